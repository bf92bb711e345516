"""One config of every detector class and combination of heads of mmdet's zoo, as a student and as its teacher of maps.

    python tests/test_detectors/detector_sweep.py

prints a line for each, and writes the table of docs/detectors.md in the place that is marked for it.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO), str(REPO / 'tests')]  # where it is started as a command

import torch  # noqa: E402
from helpers.distil import build, losses_of, total  # noqa: E402
from helpers.narrow import batch_for, distilled, fill_memory, narrowed, save_detector  # noqa: E402
from helpers.zoo import CONFIGS  # noqa: E402
from mmdet.models.detectors import BaseDetector  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging import MessageHub  # noqa: E402
from mmengine.model import revert_sync_batchnorm  # noqa: E402

from mmdet_kd.detectors.student_class import why_no_student  # noqa: E402
from mmdet_kd.errors import DistillationError  # noqa: E402

DOCUMENT = REPO / 'docs' / 'detectors.md'
BEGIN, END = '<!-- begin:sweep -->', '<!-- end:sweep -->'
TRAINS = 'trains'
_HEADS = ('rpn_head', 'roi_head', 'bbox_head', 'mask_head', 'panoptic_head', 'semantic_head')
_LARGE = {'ddod': 320, 'ssd': 320}  # pixels: their last maps need so many
#: Packages that some detectors need and mmdet does not bring: how mmdet's message calls them -> the package.
PACKAGES = {
    'mmpretrain': 'mmpretrain',
    'skimage': 'scikit-image',
    'sklearn': 'scikit-learn',
    'torchvision': 'torchvision',
}
#: Why mmdet itself cannot train some, by a part of its message.
_WHY_NOT = {
    **{module: f'needs {package}' for module, package in PACKAGES.items()},
    "CascadeRPNHead.__init__() missing 1 required positional argument: 'num_classes'": 'its config lacks num_classes',
}


class Row(NamedTuple):
    """A line of the table."""

    detector: str
    heads: str
    config: str
    outcome: str


def configs() -> dict[tuple[str, str], str]:
    """Detector class and heads -> the first config of the zoo that has them."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(CONFIGS.glob('*/*.py'), key=_preference):
        if path.parent.name.startswith('_base_'):
            continue
        try:
            model = Config.fromfile(path, import_custom_modules=False).get('model') or {}
        except Exception:  # a config whose base mmdet does not ship, or that imports another package
            continue
        kind = MODELS.get(model['type']) if isinstance(model.get('type'), str) else None
        if kind is not None and issubclass(kind, BaseDetector):
            found.setdefault((model['type'], ', '.join(_heads(model))), str(path.relative_to(CONFIGS)))
    return found


def _preference(path: Path) -> tuple[bool, bool, bool, int, str]:
    """Small and usual networks come first, and short names: what else is in a network, other tests try."""
    return 'tiny' not in path.name, 'r50' not in path.name, 'fpn' not in path.name, len(path.name), path.name


def _heads(model: dict) -> list[str]:
    """The types of heads, those of a RoI head after it; stages of a cascade count once."""
    found: list[str] = []
    for key in _HEADS:
        part = model.get(key)
        for each in part if isinstance(part, (list, tuple)) else [part]:
            if isinstance(each, dict):
                found += [each['type'], *_heads(each)]
    return list(dict.fromkeys(found))


def outcome_of(config: str, folder: Path) -> str:
    """:data:`TRAINS`, or why not; whatever else goes wrong is raised."""
    MessageHub.get_current_instance().update_info_dict({'epoch': 0, 'max_epochs': 12, 'iter': 0, 'max_iters': 100})
    size = next((size for start, size in _LARGE.items() if Path(config).name.startswith(start)), 128)
    kind = MODELS.get(Config.fromfile(CONFIGS / config, import_custom_modules=False).model.type)
    reason = why_no_student(kind)
    if reason is not None:
        return f'no student: {reason}'
    model, problem = _smallest_that_trains(config, size)
    if model is None:
        return f'mmdet cannot train it here: {problem}'
    cure = ''
    for _ in range(2):
        source = 'backbone' if model.get('neck') is None else 'neck'
        cfg = distilled(model, model, save_detector(model, folder / 'teacher.pth'), source)
        try:
            detector = fill_memory(build(cfg))
            losses = losses_of(detector, batch_for(model, size))
        except DistillationError as error:
            needed = re.search(r'set data_preprocessor.pad_size_divisor=(\d+)', str(error))
            if needed is None:
                return f'refused: {"; ".join(error.problems)}'
            model.data_preprocessor.pad_size_divisor = int(needed[1])
            cure = f' with data_preprocessor.pad_size_divisor={needed[1]}'
            continue
        hint, weights = losses['hint.loss_feat'], [p for p in detector.backbone.parameters() if p.requires_grad]
        reached = torch.autograd.grad(hint, weights, retain_graph=True, allow_unused=True)
        if not (hint.isfinite() and any(gradient is not None and gradient.any() for gradient in reached)):
            raise ValueError(f'the hint is {hint.item()}, and may not reach the backbone')
        total(losses).backward()
        return TRAINS + cure
    raise ValueError(f'it is refused with its cure as well: {cure}')


def _smallest_that_trains(config: str, size: int) -> tuple[Any, str]:
    """The narrowest model of a config that mmdet alone trains a step; None, and why not, if it trains none."""
    problem: Exception | None = None
    for divisor in (8, 1):
        try:
            model = narrowed(config, divisor)
            detector = revert_sync_batchnorm(MODELS.build(copy.deepcopy(model))).train()
            detector.init_weights()
            total(losses_of(fill_memory(detector), batch_for(model, size))).backward()
        except Exception as error:  # mmdet's own, of any sort
            problem = error
            continue
        return model, ''
    reasons = [reason for word, reason in _WHY_NOT.items() if word in str(problem)]
    if not reasons:
        raise RuntimeError(f'mmdet alone does not train it: {type(problem).__name__}: {problem}') from problem
    return None, reasons[0]


def rows(folder: Path) -> Iterator[Row]:
    """A line for each config; an error that is ours is its outcome, beginning with 'FAILS'."""
    for (detector, heads), config in sorted(configs().items()):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                outcome = outcome_of(config, folder)
            except Exception as error:  # the others are tried all the same
                outcome = f'FAILS: {type(error).__name__}: {error}'
        yield Row(detector, heads, config, outcome)


def table(found: list[Row]) -> str:
    """The table in Markdown."""
    lines = ['| detector | heads | config of mmdet | as a student, and as its teacher of maps |', '|-|-|-|-|']
    return '\n'.join([*lines, *(f'| `{r.detector}` | {r.heads} | `{r.config}` | {r.outcome} |' for r in found)])


def written_rows() -> list[Row]:
    """The lines of the table as the document has them."""
    block = re.search(f'{BEGIN}\n(.*){END}', DOCUMENT.read_text(), flags=re.S)
    _, _, *lines = block[1].strip().splitlines()
    return [Row(*(cell.strip(' `') for cell in line.strip('|').split('|'))) for line in lines]


def main() -> None:
    """Write the table."""
    import logging

    from mmdet.utils import register_all_modules

    register_all_modules()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder)):
            found.append(row)
            print(*row, sep=' | ', flush=True)
    block = f'{BEGIN}\n{table(found)}\n{END}'
    text = re.sub(f'{BEGIN}.*{END}', lambda _: block, DOCUMENT.read_text(), flags=re.S)
    DOCUMENT.write_text(text)


if __name__ == '__main__':
    main()

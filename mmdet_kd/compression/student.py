"""Decomposing a trained detector: a new config and new weights, as a training leaves them."""

import copy
import os
import pprint
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ..errors import DistillationError, raise_if_any
from ..export import plain_student_config, save_student, student_state_dict, unwritable_numbers
from ..files import written_whole
from ..runtime import drop_pretrained, find_weights, read_checkpoint
from .config import changes, decomposed_model, ranks_of_model
from .decomposed import check_layers
from .layers import Ranks
from .plan import RanksByLayer
from .survey import Survey, quiet_initialisation
from .tucker import decompose, relative_error

_PACKAGE = __name__.partition('.')[0]
#: With what the head of a fragment begins.
WRITTEN_BY = 'Written by:'
# Settings of a run that the new network must not inherit.
_RUN_SETTINGS = ('work_dir', 'launcher', 'load_from', 'resume')


def plain_config(cfg: Config) -> Config:
    """The config of the detector to decompose: of a distillation, its student."""
    plain = plain_student_config(cfg)
    if 'type' not in (plain.get('model') or {}):
        raise DistillationError(['the config has no `model` with a `type`: name the config of a detector'])
    for key in _RUN_SETTINGS:
        plain.pop(key, None)
    return plain


def build_detector(cfg: Config, weights: Mapping[str, Tensor]) -> nn.Module:
    """Build a detector that loads nothing by itself, with these weights.

    Raises:
        DistillationError: the weights are not those of the config's detector; lists what differs.
    """
    detector = _build(cfg, pretrained=False)
    try:
        detector.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        listed = str(error).split('\n', 1)[-1]
        raise DistillationError(
            [f'the weights are not those of the config; name a pair of one run:\n{listed}']
        ) from error
    return detector


def read_student(path: str | Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The weights and the meta data in a checkpoint; of a distillation, the student's.

    Raises:
        DistillationError: it does not open, or holds no weights.
    """
    checkpoint = read_checkpoint(path)
    weights = find_weights(checkpoint, path)
    meta = checkpoint.get('meta')
    return student_state_dict(weights), meta if isinstance(meta, dict) else {}


def initial_weights(cfg: Config, pretrained: bool = True) -> Mapping[str, Tensor]:
    """The weights with which a training of this config begins, or with which it would begin from scratch."""
    detector = _build(cfg, pretrained)
    with quiet_initialisation():
        detector.init_weights()
    return detector.state_dict()


def decompose_detector(detector: nn.Module, survey: Survey, ranks: RanksByLayer) -> dict[str, float]:
    """Decompose layers of a detector in place, weights and all.

    Returns:
        Name -> relative error of the kernel.

    Raises:
        DistillationError: tensorly is needed and not installed.
    """
    errors = {}
    for layer in survey.layers:
        if layer.name in ranks:
            decomposed = decompose(layer.module, layer.written(ranks[layer.name]))
            errors[layer.name] = relative_error(layer.module, decomposed)
            detector.set_submodule(layer.name, decomposed)
    return errors


def ranks_of_config(detector: nn.Module, survey: Survey, model: dict) -> RanksByLayer:
    """The ranks of another, decomposed config, for a detector of the same layers.

    Raises:
        DistillationError: it has none, or they do not fit; lists all that do not.
    """
    given = ranks_of_model(model)
    if not given:
        raise DistillationError(["--ranks names a config without type='Decomposed': name one that this tool wrote"])
    layers = {layer.name: layer for layer in survey.layers}
    check_layers(detector, given)
    skipped = [f'{name} ({survey.skipped[name]})' for name in given if name not in layers]
    if skipped:
        raise DistillationError([f'--ranks has layers that cannot be decomposed here: {", ".join(skipped)}'])
    return {name: ranks if isinstance(ranks, tuple) else (layers[name].full[0], ranks) for name, ranks in given.items()}


def files_of(stem: Path) -> tuple[Path, Path]:
    """The config and the weights that :func:`write_decomposed` writes."""
    return stem.with_name(stem.name + '.py'), stem.with_name(stem.name + '.pth')


def write_decomposed(
    cfg: Config, detector: nn.Module, layers: Mapping[str, Ranks], meta: Mapping[str, Any], stem: Path
) -> tuple[Path, Path]:
    """Write the config and the weights of a decomposed detector.

    The config starts a training from these weights, which lie beside it wherever the folder is moved.

    Args:
        cfg: of the plain detector.
        detector: decomposed.
        layers: name -> ranks.
        meta: of the checkpoint that was decomposed; its classes are kept.
        stem: of the two files, without the suffix.

    Returns:
        The paths of the config and of the weights.
    """
    config, weights = files_of(stem)
    cfg = copy.deepcopy(cfg)
    cfg.model = decomposed_model(cfg.model, detector, layers)
    drop_pretrained(cfg.model)  # it would bring weights of the layers that are no more
    _import_this_package(cfg)
    raise_if_any(unwritable_numbers(cfg))
    save_student({'state_dict': detector.state_dict(), 'meta': meta}, weights, config_text=cfg.pretty_text)
    cfg.load_from = f'{{{{ fileDirname }}}}/{weights.name}'
    with written_whole(config) as draft:
        cfg.dump(draft)
    return config, weights


def write_fragment(
    path: Path, base: Path, model: dict, detector: nn.Module, layers: Mapping[str, Ranks], command: str
) -> None:
    """Write a config that is ``base`` with some layers decomposed, and says nothing else.

    It loads no weights: those of ``base`` do not fit any more.

    Args:
        path: of the new file.
        base: the config file that it inherits.
        model: of the base, or a changed one.
        detector: what ``model`` builds, decomposed or not.
        layers: name -> ranks.
        command: that wrote it; for the head of the file.

    Raises:
        DistillationError: there is a file that was not written so, or ``base`` itself.
    """
    is_ours = path.is_file() and path.read_text().startswith(f'# {WRITTEN_BY}') and not path.samefile(base)
    if path.exists() and not is_ours:
        raise DistillationError([f'{path} is no fragment of this tool, so it is not replaced: name another file'])
    decomposed = decomposed_model(model, detector, layers)
    drop_pretrained(decomposed)
    said = changes(Config.fromfile(base).model.to_dict(), decomposed.to_dict())
    relative = Path(os.path.relpath(base.absolute(), path.absolute().parent)).as_posix()
    relative = relative if relative.startswith('.') else f'./{relative}'
    comment = textwrap.fill(
        f'{WRITTEN_BY} {command}', 118, initial_indent='# ', subsequent_indent='#     ', break_on_hyphens=False
    )
    value = pprint.pformat(said, sort_dicts=False, width=110).replace('\n', '\n' + ' ' * len('model = '))
    with written_whole(path) as draft:
        draft.write_text(f'{comment}\n_base_ = {relative!r}\n\nmodel = {value}\n')


def _build(cfg: Config, pretrained: bool) -> nn.Module:
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = copy.deepcopy(cfg.model)
    if not pretrained:
        drop_pretrained(model)
    return MODELS.build(model)


def _import_this_package(cfg: Config) -> None:
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else list(imports)
    if _PACKAGE not in imports:
        cfg.custom_imports = dict(imports=[*imports, _PACKAGE], allow_failed_imports=False)

"""The files that a config names for its data: whether they are there and only data, found before anything is built.

mmengine chooses a reader by a file's ending. A pickle runs what it holds, and so does YAML as mmengine loads it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets.data_files import MOST_JSON, require_regular
from ..errors import raise_if_any

_CODE = ('.pkl', '.pickle', '.yaml', '.yml')
_IMAGE_FOLDERS = ('img', 'img_path', 'sub_data_root')


def check_data_files(cfg: Config, splits: Sequence[str]) -> None:
    """Check that the annotation files and image folders of a config exist and hold data; opens none of them.

    Args:
        cfg: of the run.
        splits: of `train`, `val` and `test`.

    Raises:
        DistillationError: with everything that is missing, no regular file, larger than 8 GiB, or of a kind that runs
            code when it is read (.pkl, .yaml).
    """
    problems: list[str] = []
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for dataset in leaf_configs(loader.get('dataset') or {}):
            problems += _missing_files(dataset, f'{split}_dataloader')
            problems += _code_files(dataset, f'{split}_dataloader.dataset')
        for metric in metrics_of(cfg.get(f'{split}_evaluator')):
            problems += _code_files(metric, f'{split}_evaluator')
        for _, path in truth_files(cfg.get(f'{split}_evaluator')):
            if not path.exists():
                problems.append(
                    f'there is no annotation file {path.absolute()} ({split}_evaluator.ann_file). Correct it'
                )
            else:
                problems += _unread(path, f'{split}_evaluator.ann_file')
    raise_if_any(list(dict.fromkeys(problems)))


def leaf_configs(dataset: dict) -> Iterator[dict]:
    """The configs of the data sets inside any wrappers."""
    if not isinstance(dataset, dict):
        return
    parts = [*dataset.get('datasets', []), *([dataset['dataset']] if 'dataset' in dataset else [])]
    if not parts:
        yield dataset
    for part in parts:
        yield from leaf_configs(part)


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """The built data sets inside any wrappers (repeated, joined, class-balanced, mixed)."""
    parts = [*getattr(dataset, 'datasets', []), *([dataset.dataset] if hasattr(dataset, 'dataset') else [])]
    if not parts:
        yield dataset
    for part in parts:
        yield from leaf_datasets(part)


def annotation_file(dataset: dict) -> Path | None:
    """The local annotation file of a data set's config, or None."""
    path = dataset.get('ann_file')
    return local_file(path, dataset.get('data_root')) if path and not dataset.get('backend_args') else None


def truth_files(evaluators: Any) -> list[tuple[dict, Path]]:
    """The metrics of a config that name a local annotation file, each with that file."""
    named = [metric for metric in metrics_of(evaluators) if isinstance(metric.get('ann_file'), str)]
    files = [
        (metric, local_file(metric['ann_file']))
        for metric in named
        if metric['ann_file'] and not metric.get('backend_args')
    ]
    return [(metric, path) for metric, path in files if path is not None]


def local_file(path: str, root: str | None = None) -> Path | None:
    """The local file that BaseDataset would open, or None for one on a server."""
    joined = path if not root or Path(path).is_absolute() or '://' in path else f'{root.rstrip("/")}/{path}'
    return None if '://' in joined else Path(joined)


def metrics_of(evaluators: Any) -> list[dict]:
    """The configs of the metrics in a `val_evaluator` or `test_evaluator`, which may be one, several or None."""
    metrics = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return [metric for metric in metrics if isinstance(metric, dict)]


def _code_files(part: dict, where: str) -> list[str]:
    """The files of a data set or a metric, local or not, that mmengine would unpickle or load as YAML."""
    problems = []
    for key, value in part.items():
        if not (key.endswith('_file') and isinstance(value, str)):
            continue
        if key == 'split_file' or Path(value).suffix.lower() in _CODE:  # RefCOCO's is a pickle, whatever its name
            cure = 'Write the annotations as JSON'
            if key == 'proposal_file':
                cure = 'mmdet reads proposals from nothing else: take a detector with an RPN'
            problems.append(f'{where}.{key}={value!r} is a pickle or YAML, which may run code when it is read. {cure}')
    return problems


def _unread(path: Path, where: str) -> list[str]:
    """Why a file that exists is not opened, if so."""
    try:
        require_regular(path, MOST_JSON)
    except OSError as error:
        return [f'the annotation file {path.absolute()} ({where}) is not read: {error}. Put the annotations there']
    return []


def _missing_files(dataset: dict, where: str) -> list[str]:
    if dataset.get('backend_args'):
        return []
    root = dataset.get('data_root')
    files = [('annotation file', 'ann_file', dataset.get('ann_file'))]
    prefixes = dataset.get('data_prefix') or {}
    files += [('image folder', f'data_prefix.{key}', prefixes.get(key)) for key in _IMAGE_FOLDERS]
    problems = []
    for kind, key, value in files:
        path = local_file(value, root) if isinstance(value, str) and value else None
        if path is not None and not path.exists():
            problems.append(
                f'there is no {kind} {path.absolute()} ({where}.dataset: data_root={root!r}, {key}={value!r}). '
                'Put the data there, or correct these two'
            )
        elif path is not None and key == 'ann_file':
            problems += _unread(path, f'{where}.dataset.ann_file')
    return problems

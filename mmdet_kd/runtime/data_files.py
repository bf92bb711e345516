"""The files that a config names for its data: whether they are there, found before anything is built."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import raise_if_any

_IMAGE_FOLDERS = ('img', 'img_path', 'sub_data_root')


def check_data_files(cfg: Config, splits: Sequence[str]) -> None:
    """Check that the annotation files and image folders of a config exist; opens none of them.

    Args:
        cfg: of the run.
        splits: of `train`, `val` and `test`.

    Raises:
        DistillationError: with everything that is missing.
    """
    problems: list[str] = []
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for dataset in leaf_configs(loader.get('dataset') or {}):
            problems += _missing_files(dataset, f'{split}_dataloader')
        for path in truth_files(cfg.get(f'{split}_evaluator')):
            if not path.exists():
                problems.append(
                    f'there is no annotation file {path.absolute()} ({split}_evaluator.ann_file). Correct it'
                )
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


def truth_files(evaluators: Any) -> list[Path]:
    """The local annotation files that a config's metrics name."""
    metrics = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    named = [metric for metric in metrics if isinstance(metric, dict) and isinstance(metric.get('ann_file'), str)]
    paths = [
        local_file(metric['ann_file']) for metric in named if metric['ann_file'] and not metric.get('backend_args')
    ]
    return [path for path in paths if path is not None]


def local_file(path: str, root: str | None = None) -> Path | None:
    """The local file that BaseDataset would open, or None for one on a server."""
    joined = path if not root or Path(path).is_absolute() or '://' in path else f'{root.rstrip("/")}/{path}'
    return None if '://' in joined else Path(joined)


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
    return problems

"""A data set without annotations is found before training starts, with a cure."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner

from ..errors import DistillationError, raise_if_any

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
        for dataset in _leaves(loader.get('dataset') or {}):
            problems += _missing_files(dataset, f'{split}_dataloader')
        problems += _missing_truth(cfg.get(f'{split}_evaluator'), f'{split}_evaluator')
    raise_if_any(list(dict.fromkeys(problems)))


def require_annotations(runner: Runner) -> None:
    """Build the training set and check that an image of it is annotated.

    The loop that is built here is the one that `runner.train()` runs. The check stops at the first annotated image.

    Raises:
        DistillationError: no image is left after the config's filters, or none has an object.
    """
    try:
        dataset = runner.train_loop.dataloader.dataset
    except ValueError as error:
        raise_if_any(_unreadable(runner.cfg))
        if 'at least one array' not in str(error):  # how BaseDataset fails when its filters leave no image
            raise
        raise DistillationError(_describe_empty(runner.cfg)) from error
    if not _has_object(dataset):
        raise DistillationError(_describe_empty(runner.cfg))


def _leaves(dataset: dict) -> Iterator[dict]:
    """The data sets inside any wrappers."""
    if not isinstance(dataset, dict):
        return
    parts = [*dataset.get('datasets', []), *([dataset['dataset']] if 'dataset' in dataset else [])]
    if not parts:
        yield dataset
    for part in parts:
        yield from _leaves(part)


def _local(path: str, root: str | None) -> Path | None:
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
        path = _local(value, root) if isinstance(value, str) and value else None
        if path is not None and not path.exists():
            problems.append(
                f'there is no {kind} {path.absolute()} ({where}.dataset: data_root={root!r}, {key}={value!r}). '
                'Put the data there, or correct these two'
            )
    return problems


def _missing_truth(evaluators: Any, where: str) -> list[str]:
    problems = []
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators or {}]:
        value = evaluator.get('ann_file') if isinstance(evaluator, dict) else None
        path = _local(value, None) if isinstance(value, str) and not evaluator.get('backend_args') else None
        if path is not None and not path.exists():
            problems.append(f'there is no annotation file {path.absolute()} ({where}.ann_file). Correct it')
    return problems


def _unreadable(cfg: Config) -> list[str]:
    """Which of the training set's annotation files are no JSON."""
    problems = []
    for leaf in _leaves(cfg.train_dataloader.dataset):
        path = _local(leaf.get('ann_file') or '', leaf.get('data_root'))
        if path is None or path.suffix != '.json':
            continue
        try:
            json.loads(path.read_text())
        except ValueError as error:
            problems.append(f'the annotation file {path.absolute()} is truncated or no JSON ({error}): copy it again')
    return problems


def _has_object(dataset: Any) -> bool:
    if len(dataset) == 0:
        return False
    if not hasattr(dataset, 'get_data_info') or 'instances' not in dataset.get_data_info(0):
        return True  # not a set of boxes: none of our business
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return any(not instance.get('ignore_flag') for info in infos for instance in info['instances'])


def _describe_empty(cfg: Config) -> list[str]:
    return [_describe_leaf(leaf) for leaf in _leaves(cfg.train_dataloader.dataset)]


def _describe_leaf(dataset: dict) -> str:
    path = _local(dataset.get('ann_file') or '', dataset.get('data_root'))
    wanted = _classes(dataset)
    held, names = _contents(path)
    source = path.absolute() if path else dataset.get('ann_file')
    message = f'no image of the training set is annotated: {source}{held}.'
    if wanted and names and not set(wanted) & set(names):
        return (
            f'{message} The config asks for other classes ({", ".join(wanted)}): set '
            f'train_dataloader.dataset.metainfo=dict(classes=({", ".join(repr(n) for n in names)},)), the same for '
            'val and test, and num_classes of the heads'
        )
    return f'{message} Name a file with annotations, or correct filter_cfg in train_dataloader.dataset'


def _classes(dataset: dict) -> list[str]:
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        kind = dataset.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        classes = getattr(kind, 'METAINFO', {}).get('classes', ())
    return [classes] if isinstance(classes, str) else list(classes)


def _contents(path: Path | None) -> tuple[str, list[str]]:
    """What a COCO file holds, in words, and its category names."""
    try:
        content = json.loads(path.read_text()) if path is not None and path.suffix == '.json' else None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        return '', []
    names = [str(category.get('name')) for category in content.get('categories', [])]
    images, boxes = len(content.get('images', [])), len(content.get('annotations', []))
    return f' holds {images} images and {boxes} annotations of the categories {", ".join(names) or "(none)"}', names

"""Bad data is found before training starts, with a cure: what mmdet would fail on midway, or pass over silently."""

import json
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset, XMLDataset
from mmdet.registry import DATASETS
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..class_names import classes_of_dataset
from ..datasets.coco import read_coco
from ..datasets.voc_xml import read_xml
from ..errors import DistillationError, raise_if_any
from .data_classes import annotation_class_problems, config_class_problems, dataset_class_problems
from .data_files import annotation_file, leaf_configs, leaf_datasets, truth_files
from .pictures import check_pictures


def require_annotations(runner: Runner) -> None:
    """Build the training and validation sets and check that they can be trained and judged on.

    The loops that are built here are those that `runner.train()` runs. The first rank reads the header of every
    picture, unless the config has `check_pictures = False`; files on a server are left to their backend.

    Raises:
        DistillationError: an annotation file is broken; no image is left after the config's filters, or none has an
            object; the data sets do not list the same classes, or some that the annotations do not have; a picture is
            missing, broken or not the one that was annotated.
    """
    raise_if_any(config_class_problems(runner.cfg, ('train', 'val')))
    train, val = _build(runner, 'train'), _build(runner, 'val')
    if not any(map(_has_object, train)):
        raise DistillationError(_describe_empty(runner, 'train'))
    problems = [*dataset_class_problems({'train': train, 'val': val}), *annotation_class_problems(train, val)]
    raise_if_any(list(dict.fromkeys(problems)))
    if is_main_process() and runner.cfg.get('check_pictures', True):
        check_pictures([*train, *val], Path(runner.work_dir) / 'data_problems.txt', runner.logger)


def _build(runner: Runner, split: str) -> list[Any]:
    """The data sets of a loop, without wrappers."""
    try:
        loop = getattr(runner, f'{split}_loop')
    except DistillationError:
        raise
    except Exception as error:  # mmdet's readers fail in as many ways as a file can be broken
        raise_if_any(_unreadable(runner, split))
        if 'at least one array' not in str(error):  # how BaseDataset fails when its filters leave no image
            raise
        raise DistillationError(_describe_empty(runner, split)) from error
    return [] if loop is None else list(leaf_datasets(loop.dataloader.dataset))


def _unreadable(runner: Runner, split: str) -> list[str]:
    """What is wrong with the annotation files of a split."""
    problems = []
    for dataset in leaf_configs(runner.cfg[f'{split}_dataloader'].dataset):
        path, kind = annotation_file(dataset), _class_of(dataset)
        if path is None:
            continue
        if issubclass(kind, CocoDataset):
            problems += read_coco(path)[1]
        elif issubclass(kind, XMLDataset):
            folder = Path(dataset.get('data_root') or '', (dataset.get('data_prefix') or {}).get('sub_data_root', ''))
            folder /= dataset.get('ann_subdir', 'Annotations')
            problems += [
                problem for name in path.read_text().split() for problem in read_xml(folder / f'{name}.xml')[2]
            ]
        elif path.suffix == '.json':
            problems += _no_json(path)
    for path in truth_files(runner.cfg.get(f'{split}_evaluator')):
        problems += _no_json(path)
    return list(dict.fromkeys(problems))


def _no_json(path: Path) -> list[str]:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return [f'the annotation file {path.absolute()} is truncated or no JSON ({error}): copy it again']
    return []


def _class_of(dataset: dict) -> type:
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return kind if isinstance(kind, type) else object


def _has_object(dataset: Any) -> bool:
    if len(dataset) == 0:
        return False
    if not hasattr(dataset, 'get_data_info') or 'instances' not in dataset.get_data_info(0):
        return True  # not a set of boxes: none of our business
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return any(not instance.get('ignore_flag') for info in infos for instance in info['instances'])


def _describe_empty(runner: Runner, split: str) -> list[str]:
    return [_describe_leaf(leaf, split) for leaf in leaf_configs(runner.cfg[f'{split}_dataloader'].dataset)]


def _describe_leaf(dataset: dict, split: str) -> str:
    path = annotation_file(dataset)
    wanted = classes_of_dataset(dataset, f'{split}_dataloader.dataset.metainfo')
    held, names = _contents(path)
    source = path.absolute() if path else dataset.get('ann_file')
    set_name = {'train': 'training', 'val': 'validation'}[split]
    message = f'no image of the {set_name} set is annotated: {source}{held}.'
    if wanted and names and not set(wanted) & set(names):
        return (
            f'{message} The config asks for other classes ({", ".join(wanted)}): set '
            f'{split}_dataloader.dataset.metainfo=dict(classes=({", ".join(repr(n) for n in names)},)), the same for '
            'the other splits, and num_classes of the heads'
        )
    return f'{message} Name a file with annotations, or correct filter_cfg in {split}_dataloader.dataset'


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

"""Bad data is found before training starts, with a cure: what mmdet would fail on midway, or pass over silently."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..class_names import classes_of_dataset
from ..datasets.annotated import raise_all
from ..datasets.data_files import read_json
from ..errors import DistillationError, raise_if_any
from .annotation_files import annotation_problems
from .console import without_pycocotools
from .data_classes import annotation_class_problems, config_class_problems, dataset_class_problems
from .data_files import annotation_file, leaf_configs, leaf_datasets
from .pictures import check_pictures


def require_annotations(runner: Runner) -> None:
    """Build the training and validation sets and check that they can be trained and judged on.

    The loops that are built here are those that `runner.train()` runs. The first rank reads every annotation before,
    and logs what mmdet leaves out of them; it reads the header of every picture after, unless the config has
    `check_pictures = False`. Files on a server are left to their backend. With `allow_absent_classes = True` in the
    config a class may occur in no annotation.

    Raises:
        DistillationError: an annotation file is broken, or a box in it is wrong; no image is left after the config's
            filters, or none has an object; the data sets do not list the same classes, or some that the annotations do
            not have; a picture is missing, broken or not the one that was annotated.
    """
    report = _judge_files(runner, ('train', 'val'))
    train, val = _build(runner, 'train'), _build(runner, 'val')
    if not any(map(_has_object, train)):
        raise DistillationError(_describe_empty(runner, 'train'))
    may_be_absent = runner.cfg.get('allow_absent_classes', False)
    problems = [
        *dataset_class_problems({'train': train, 'val': val}),
        *annotation_class_problems(train, val, may_be_absent),
    ]
    raise_if_any(list(dict.fromkeys(problems)))
    if is_main_process() and runner.cfg.get('check_pictures', True):
        check_pictures([*train, *val], report, runner.logger)


def require_test_annotations(runner: Runner) -> None:
    """Build the test set and check that it can be judged on, as :func:`require_annotations` checks the other two.

    Raises:
        DistillationError: an annotation file is broken, or a box in it is wrong; a picture is missing or broken.
    """
    report = _judge_files(runner, ('test',))
    test = _build(runner, 'test')
    if is_main_process() and runner.cfg.get('check_pictures', True):
        check_pictures(test, report, runner.logger)


def _judge_files(runner: Runner, splits: Sequence[str]) -> Path:
    """Read the annotation files on the first rank; return where a long list of problems goes."""
    raise_if_any(config_class_problems(runner.cfg, splits))
    report = Path(runner.work_dir) / 'data_problems.txt'
    if is_main_process():
        problems, lines = annotation_problems(runner.cfg, splits)
        raise_all(problems, report)
        for line in lines:
            runner.logger.info(line)
    return report


def _build(runner: Runner, split: str) -> list[Any]:
    """The data sets of a loop, without wrappers."""
    try:
        with without_pycocotools():
            loop = getattr(runner, f'{split}_loop')
    except DistillationError:
        raise
    except Exception as error:  # mmdet's readers fail in as many ways as a file can be broken
        raise_if_any(annotation_problems(runner.cfg, (split,))[0])
        if 'at least one array' not in str(error):  # how BaseDataset fails when its filters leave no image
            raise
        raise DistillationError(_describe_empty(runner, split)) from error
    return [] if loop is None else list(leaf_datasets(loop.dataloader.dataset))


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
    set_name = {'train': 'training', 'val': 'validation', 'test': 'test'}[split]
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
        content = read_json(path) if path is not None and path.suffix == '.json' else None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        return '', []
    names = [str(category.get('name')) for category in content.get('categories', [])]
    images, boxes = len(content.get('images', [])), len(content.get('annotations', []))
    return f' holds {images} images and {boxes} annotations of the categories {", ".join(names) or "(none)"}', names

"""The classes of a run's data sets: whether all sets have the same, and whether their annotations have them.

A label is the place of a class in the list of its data set. A set with another list would be trained or judged with
wrong names. mmdet drops a class that its annotations do not have without a word: it trains with no box of it, and
numbers the others by its own count.
"""

import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset, XMLDataset
from mmengine.config import Config

from ..class_names import classes_of_dataset, read_class_names
from ..datasets.voc_xml import read_xml
from ..errors import DistillationError
from .data_files import leaf_configs

_MOST_CATEGORIES = 1 << 22  # bytes that a list of categories takes at most
_SETS = {'train': 'training', 'val': 'validation', 'test': 'test'}


def config_class_problems(cfg: Config, splits: Sequence[str]) -> list[str]:
    """What about the classes in a config forbids that its data sets are built; none of them is.

    Args:
        cfg: of the run.
        splits: of `train`, `val` and `test`. Each is looked at by itself: a string in the place of a tuple, and parts
            of one set that list other classes.
    """
    problems = []
    for split in splits:
        leaves = leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {})
        problems += _agreement_problems([(split, leaf) for leaf in leaves], classes_of_dataset)
    return problems


def dataset_class_problems(datasets: Mapping[str, Sequence[Any]]) -> list[str]:
    """Whether built data sets list the same classes in the same order.

    Args:
        datasets: `train`, `val` or `test` -> its data sets without wrappers, several where parts are joined. All are
            compared with the first one.
    """
    leaves = [(split, leaf) for split, parts in datasets.items() for leaf in parts]
    return _agreement_problems(leaves, _classes_of_built)


def _classes_of_built(dataset: Any, where: str) -> tuple[str, ...] | None:
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    return read_class_names(classes, where) if classes else None


def _agreement_problems(
    leaves: Sequence[tuple[str, Any]], read: Callable[[Any, str], tuple[str, ...] | None]
) -> list[str]:
    """Compare the classes of sets without wrappers, each with the name of its split, with those of the first."""
    named, problems = [], []
    for split, leaf in leaves:
        try:
            names = read(leaf, f'{split}_dataloader.dataset.metainfo')
        except DistillationError as error:
            problems += error.problems
        else:
            named += [(split, names)] if names else []
    for split, names in named[1:]:
        first_split, first = named[0]
        if names != first:
            other = 'another part of it' if split == first_split else f'the {_SETS[split]} set'
            problems.append(
                f'the {_SETS[first_split]} set lists its classes as ({_listed(first)}), {other} as '
                f'({_listed(names)}): a label would not mean the same class in both. Write '
                f'metainfo=dict(classes=({_listed(first)},)) into {split}_dataloader.dataset'
                + (', into each of its parts' if split == first_split else '')
                + ', and take annotations that have these classes'
            )
    return list(dict.fromkeys(problems))


def annotation_class_problems(train: Sequence[Any], val: Sequence[Any], may_be_absent: bool = False) -> Iterator[str]:
    """What classes of built data sets their annotations do not have, or have in another order.

    In COCO's format a class must be among the categories of each file, in the file's order; VOC's has no categories. In
    both, each class that the config names must occur in the training set, all of its parts taken together.

    Args:
        train: the training sets.
        val: the validation sets.
        may_be_absent: whether a class may have no object. One that is no category of a file in COCO's format may not
            be absent: mmdet would number the others by another count.
    """
    for dataset in (*train, *val):
        if _is_coco(dataset):
            yield from _coco_problems(dataset)
    if not may_be_absent:
        yield from _absence_problems([each for each in train if isinstance(each, XMLDataset) or _is_coco(each)])


def category_names(path: Path) -> list[str]:
    """The names of a COCO file's categories, in its order; the rest of the file is not read where that is possible."""
    with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.rfind(b'"categories"')
        text = content[start : start + _MOST_CATEGORIES].decode(errors='ignore') if start >= 0 else ''
    try:
        value = text.removeprefix('"categories"').lstrip().removeprefix(':').lstrip()
        return [category['name'] for category in json.JSONDecoder().raw_decode(value)[0]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return [category['name'] for category in json.loads(path.read_text())['categories']]


def _coco_problems(dataset: CocoDataset) -> Iterator[str]:
    if dataset.backend_args or '://' in str(dataset.ann_file):
        return
    path, classes = Path(dataset.ann_file), list(dataset.metainfo['classes'])
    names = category_names(path)
    missing = [name for name in classes if name not in names]
    found = [name for name in names if name in classes]
    if missing:
        yield (
            f'{path.absolute()} has no category {_listed(missing)}, which the config asks for; its categories are '
            f'{_listed(names)}: correct metainfo=dict(classes=...) of the data set, and num_classes; or add the '
            'category to the file, if it has no objects'
        )
    elif len(found) > len(classes):
        yield f'{path.absolute()} has several categories of one name, among {_listed(found)}: write the file again'
    elif found != classes:
        yield (
            f'the config lists its classes in another order than {path.absolute()}, and mmdet numbers them in the '
            f"file's: boxes would bear wrong names. Set metainfo=dict(classes=({_listed(found)},))"
        )


def _absence_problems(datasets: Sequence[CocoDataset | XMLDataset]) -> Iterator[str]:
    datasets = [dataset for dataset in datasets if not dataset.backend_args and _names_classes(dataset)]
    for classes in dict.fromkeys(tuple(dataset.metainfo['classes']) for dataset in datasets):
        parts = [dataset for dataset in datasets if tuple(dataset.metainfo['classes']) == classes]
        missing = _absent_classes(parts, classes)
        if missing:
            what = _listed(missing)
            yield (
                f'no annotation of the training set has an object {what}, which the config asks for; '
                f'{_what_there_is(parts, classes, missing)}. '
                'If that is meant, write allow_absent_classes = True into the config'
            )


def _absent_classes(datasets: Sequence[Any], classes: Sequence[str]) -> list[str]:
    """The classes without an object to learn; most often a few pictures have all, and no other one is looked at."""
    absent = set(range(len(classes)))
    for info in _annotated_pictures(datasets):
        absent -= {each['bbox_label'] for each in info['instances'] if not each.get('ignore_flag')}
        if not absent:
            break
    return [classes[label] for label in sorted(absent)]


def _what_there_is(datasets: Sequence[Any], classes: Sequence[str], missing: Sequence[str]) -> str:
    """The classes that objects have, and the cure: in VOC's format a name is misspelt, in COCO's it is a category."""
    voc = [dataset for dataset in datasets if isinstance(dataset, XMLDataset)]
    names = {box.category for info in _annotated_pictures(voc) for box in read_xml(Path(info['xml_path']))[0]}
    if len(voc) < len(datasets):
        names |= set(classes) - set(missing)
    cure = 'correct metainfo=dict(classes=...) of the data set, and num_classes'
    return f'they have {_listed(sorted(names))}: {cure}' + ('' if voc else ', or annotate some')


def _is_coco(dataset: Any) -> bool:
    """Whether mmdet reads a set as COCO's; a subclass with a reader of its own may number the categories otherwise."""
    return isinstance(dataset, CocoDataset) and type(dataset).load_data_list is CocoDataset.load_data_list


def _names_classes(dataset: CocoDataset | XMLDataset) -> bool:
    """Whether the config names the classes; those that mmdet names for COCO or VOC may be missing in a part of it."""
    return tuple(dataset.metainfo['classes']) != tuple(type(dataset).METAINFO.get('classes', ()))


def _annotated_pictures(datasets: Iterable[Any]) -> Iterator[dict]:
    for dataset in datasets:
        for index in range(len(dataset)):
            yield dataset.get_data_info(index)


def _listed(names: Iterable[str]) -> str:
    return ', '.join(map(repr, names))

"""Classes of a config that its annotations do not have.

mmdet drops them without a word: it trains with no box of such a class, and numbers the others by its own count.
"""

import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset, XMLDataset

from ..datasets.voc_xml import read_xml

_MOST_CATEGORIES = 1 << 22  # bytes that a list of categories takes at most


def class_problems(train: Sequence[Any], val: Sequence[Any]) -> Iterator[str]:
    """What is wrong with the classes of built data sets.

    In COCO's format a class must be among the categories of each file, in the file's order. VOC's has no categories:
    there each class that the config names must occur in the training set, all of its parts taken together.

    Args:
        train: the training sets.
        val: the validation sets.
    """
    for dataset in (*train, *val):
        # A subclass with a reader of its own may number the categories in its own way.
        if isinstance(dataset, CocoDataset) and type(dataset).load_data_list is CocoDataset.load_data_list:
            yield from _coco_problems(dataset)
    yield from _voc_problems([dataset for dataset in train if isinstance(dataset, XMLDataset)])


def category_names(path: Path) -> list[str]:
    """The names of a COCO file's categories, in its order; the rest of the file is not read where that is possible."""
    with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.rfind(b'"categories"')
        text = content[start : start + _MOST_CATEGORIES].decode(errors='ignore') if start >= 0 else ''
    try:
        value = text.removeprefix('"categories"').lstrip().removeprefix(':').lstrip()
        return [category['name'] for category in json.JSONDecoder().raw_decode(value)[0]]
    except (ValueError, TypeError, KeyError):
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
            f'{_listed(names)}: correct metainfo=dict(classes=...) of the data set, and num_classes'
        )
    elif len(found) > len(classes):
        yield f'{path.absolute()} has several categories of one name, among {_listed(found)}: write the file again'
    elif found != classes:
        yield (
            f'the config lists its classes in another order than {path.absolute()}, and mmdet numbers them in the '
            f"file's: boxes would bear wrong names. Set metainfo=dict(classes=({_listed(found)},))"
        )


def _voc_problems(datasets: Sequence[XMLDataset]) -> Iterator[str]:
    datasets = [dataset for dataset in datasets if not dataset.backend_args and _names_classes(dataset)]
    for classes in dict.fromkeys(tuple(dataset.metainfo['classes']) for dataset in datasets):
        parts = [dataset for dataset in datasets if tuple(dataset.metainfo['classes']) == classes]
        labels = {instance['bbox_label'] for info in _infos(parts) for instance in info['instances']}
        missing = [name for label, name in enumerate(classes) if label not in labels]
        if missing:
            names = {box.category for info in _infos(parts) for box in read_xml(Path(info['xml_path']))[0]}
            yield (
                f'no annotation of the training set has an object {_listed(missing)}, which the config asks for; they '
                f'have {_listed(sorted(names))}: correct metainfo=dict(classes=...) of the data set, and num_classes'
            )


def _names_classes(dataset: XMLDataset) -> bool:
    """Whether the config names the classes; those that mmdet names for VOC may be missing in a small part of it."""
    return tuple(dataset.metainfo['classes']) != tuple(type(dataset).METAINFO.get('classes', ()))


def _infos(datasets: Iterable[XMLDataset]) -> Iterator[dict]:
    for dataset in datasets:
        for index in range(len(dataset)):
            yield dataset.get_data_info(index)


def _listed(names: Iterable[str]) -> str:
    return ', '.join(map(repr, names))

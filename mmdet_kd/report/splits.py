"""What the annotation files of a comparison hold: its pictures and objects, and what a teacher has seen before."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..class_names import classes_of_dataset
from ..datasets.coco import read_coco
from ..runtime.data_files import annotation_file, leaf_configs
from .findings import Split

#: Of an object, in COCO's words: area in pixels from which on it is not of this size.
_SIZES = {'small': 32**2, 'medium': 96**2}
_LARGE = 'large'


class _File(NamedTuple):
    """A file in COCO's format, the data set that names it, and the folder of its pictures."""

    dataset: Mapping[str, Any]
    folder: Path
    content: Mapping[str, Any]


def split_of(cfg: Config, split: str) -> Split | None:
    """The pictures and objects of a split, as its files say.

    Args:
        cfg: of a training.
        split: 'train' or 'val'.

    Returns:
        What its data sets have together. None where one of them is not in COCO's format, does not open, or uses a part
        of its file.
    """
    files = _files(cfg, split)
    if not files:
        return None
    counts = [_counted(file) for file in files]
    return Split(_pictures(files), _sum(sizes for sizes, _ in counts), _sum(classes for _, classes in counts))


def seen_before(title: str, cfg: Config, judged: Split | None, score: str) -> list[str]:
    """That a model was trained on pictures on which it is judged, in a sentence; nothing where that cannot be told.

    Pictures are the same where they are the same file. A copy of one in another folder is not found.

    Args:
        title: of the model.
        cfg: by which it was trained.
        judged: the pictures on which it is judged; None if they are not known.
        score: by which.
    """
    both = set() if judged is None else judged.pictures & _pictures(_files(cfg, 'train'))
    if judged is None or not both:
        return []
    share = f'{len(both)} of the {len(judged.pictures)} pictures of this set'
    return [f'{share} are in the training set of {title}, as its config says, so its {score} is too high.']


def _files(cfg: Config, split: str) -> list[_File]:
    """The files of a split; none where one is not known. A file that is named twice is there once."""
    leaves = leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {})
    sets = {(annotation_file(leaf), _folder(leaf)): leaf for leaf in leaves}
    files = []
    for (path, folder), dataset in sets.items():
        if path is None or dataset.get('indices') is not None:
            return []
        content, problems = read_coco(path, labelled=False)
        if problems:
            return []
        files.append(_File(dataset, folder, content))
    return files


def _folder(dataset: Mapping[str, Any]) -> Path:
    """Where a ``CocoDataset`` looks for its pictures."""
    return Path(dataset.get('data_root') or '', (dataset.get('data_prefix') or {}).get('img') or '').resolve()


def _pictures(files: Iterable[_File]) -> frozenset[str]:
    return frozenset(str(file.folder / image['file_name']) for file in files for image in file.content['images'])


def _counted(file: _File) -> tuple[dict[str, int], dict[str, int]]:
    """The number of objects by size, and by class: of the classes of the data set, crowds left out."""
    names = {category['id']: category['name'] for category in file.content['categories']}
    wanted = classes_of_dataset(file.dataset, 'dataset.metainfo') or tuple(names.values())
    objects = [
        each
        for each in file.content['annotations']
        if names[each['category_id']] in wanted and not each.get('iscrowd') and not each.get('ignore')
    ]
    sizes = Counter(_size(each['area']) for each in objects)
    classes = Counter(names[each['category_id']] for each in objects)
    return {size: sizes[size] for size in (*_SIZES, _LARGE)}, {name: classes[name] for name in wanted}


def _size(area: float) -> str:
    return next((size for size, end in _SIZES.items() if area < end), _LARGE)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        total |= {name: total.get(name, 0) + count for name, count in each.items()}
    return total

"""What the annotation files of a comparison hold: its pictures and objects, and what a teacher has seen before."""

from collections import Counter
from collections.abc import Iterable, Mapping

from mmengine.config import Config

from ..class_names import classes_of_dataset
from ..runtime.split_files import SplitFile, seen_in_training, split_files
from .findings import Split

#: Of an object, in COCO's words: area in pixels from which on it is not of this size.
_SIZES = {'small': 32**2, 'medium': 96**2}
_LARGE = 'large'


def split_of(cfg: Config, split: str) -> Split | None:
    """The pictures and objects of a split, as its files say.

    Args:
        cfg: of a training.
        split: 'train' or 'val'.

    Returns:
        What its data sets have together. None where one of them is not in COCO's format, does not open, or uses a part
        of its file.
    """
    files = split_files(cfg, split)
    if not files:
        return None
    counts = [_counted(file) for file in files]
    pictures = frozenset(str(path) for file in files for path in file.pictures)
    return Split(pictures, _sum(sizes for sizes, _ in counts), _sum(classes for _, classes in counts))


def seen_before(title: str, cfg: Config, judged: Split | None, score: str) -> list[str]:
    """That a model was trained on pictures on which it is judged, in a sentence; nothing where that cannot be told.

    Args:
        title: of the model.
        cfg: by which it was trained.
        judged: the pictures on which it is judged; None if they are not known.
        score: by which.
    """
    if judged is None or not (both := seen_in_training(cfg, judged.pictures)):
        return []
    share = f'{len(both)} of the {len(judged.pictures)} pictures of this set'
    return [f'{share} are in the training set of {title}, as its config says, so its {score} is too high.']


def _counted(file: SplitFile) -> tuple[dict[str, int], dict[str, int]]:
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

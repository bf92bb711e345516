"""Names of classes: read from configs, and compared.

The order of the names is the order of the labels: name `i` is what label `i` means.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import list_from_file

from .errors import DistillationError, raise_if_any
from .unknown_names import some

_MOST_NAMES = 5  # in a message; a teacher may know 1203 classes


def read_class_names(value: str | Sequence[str], where: str) -> tuple[str, ...]:
    """The names in a value of `classes`, as mmengine's data sets read it.

    Args:
        value: the names, or the path of a file with one name a line.
        where: what holds the value; for the message.

    Raises:
        DistillationError: a name is no string; or the value is a string and no file, which is most often a tuple
            without its comma.
    """
    if not isinstance(value, str):
        if not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value):
            raise DistillationError([f'{where} has classes={value!r}: write the names as a tuple of strings'])
        return tuple(value)
    if '://' in value or Path(value).is_file():
        return tuple(list_from_file(value))
    raise DistillationError(
        [
            f'{where} has classes={value!r}, a string, and there is no file of that name. A single class needs a '
            f'comma to be a tuple: classes=({value!r},). A file with one name a line serves too: correct its path'
        ]
    )


def classes_of_dataset(dataset: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """The classes of a data set's config, which is no wrapper; None if it does not say.

    Args:
        dataset: the config.
        where: its place; for the message.

    Raises:
        DistillationError: as :func:`read_class_names` does.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if not classes:
        kind = dataset.get('type')
        dataset_class = DATASETS.get(kind) if isinstance(kind, str) else kind
        classes = getattr(dataset_class, 'METAINFO', {}).get('classes')
    return read_class_names(classes, where) if classes else None


def classes_of_config(
    cfg: Config, where: str | None = None, loader: str = 'train_dataloader'
) -> tuple[str, ...] | None:
    """The classes of a set of a whole config, by default the one that it trains on; None if it does not say.

    Of sets that are joined, these are the classes of the first one, as in mmengine.

    Args:
        cfg: the config.
        where: what to call the place of the classes in a message; by default the place in the config.
        loader: that of the set.

    Raises:
        DistillationError: as :func:`read_class_names` does.
    """
    dataset = (cfg.get(loader) or {}).get('dataset')
    while dataset is not None and 'type' in dataset:
        inner = dataset.get('dataset') or next(iter(dataset.get('datasets', ())), None)
        if inner is None or (dataset.get('metainfo') or {}).get('classes'):
            return classes_of_dataset(dataset, where or f'{loader}.dataset.metainfo')
        dataset = inner
    return None


def same_classes(student: Sequence[str], teacher: Sequence[str]) -> bool:
    """Whether two lists name the same classes in the same order; see :func:`comparable_names`."""
    names_s, names_t = comparable_names(student, teacher)
    return names_s == names_t


def find_classes(student: Sequence[str], teacher: Sequence[str]) -> list[int]:
    """For each class of the student's, its index among the teacher's.

    Raises:
        DistillationError: the teacher does not know one of them, or one list names a class twice.
    """
    names_s, names_t = comparable_names(student, teacher)
    twice = sorted({name for names in (names_s, names_t) for name in names if names.count(name) > 1})
    missing = [name for name, compared in zip(student, names_s, strict=True) if compared not in names_t]
    raise_if_any(
        [f'teacher.classes_by_name: {name!r} is the name of two classes of one side' for name in twice]
        + [
            f"teacher.classes_by_name: the teacher does not know the student's class {name!r}; it knows "
            f'{", ".join(teacher)}. Take a teacher that does, or give the class the same name on both sides'
            for name in missing
        ]
    )
    return [names_t.index(name) for name in names_s]


def describe_difference(student: Sequence[str], teacher: Sequence[str]) -> str:
    """Say in words how two lists of classes differ."""
    names_s, names_t = comparable_names(student, teacher)
    missing = [name for name, compared in zip(student, names_s, strict=True) if compared not in names_t]
    extra = [name for name, compared in zip(teacher, names_t, strict=True) if compared not in names_s]
    if len(student) != len(teacher) and not missing and not extra:
        return 'one of them names a class twice'
    if not missing and not extra:
        place = next(i for i, (s, t) in enumerate(zip(names_s, names_t, strict=True)) if s != t)
        return f"the same, in another order (label {place}: '{student[place]}' is the teacher's '{teacher[place]}')"
    parts = []
    if missing:
        parts.append(f'the teacher does not know {some(missing, _MOST_NAMES)}')
    if extra:
        parts.append(f'the student does not know {some(extra, _MOST_NAMES)}')
    return '; '.join(parts)


def comparable_names(student: Sequence[str], teacher: Sequence[str]) -> tuple[list[str], list[str]]:
    """Two lists of names in the spelling in which they are compared.

    Case, and whether words are joined by spaces or underscores, changed between versions of mmdet: both are ignored.
    Where two classes of one list differ by nothing else, names are compared as they are written.
    """
    folded = [[name.replace('_', ' ').lower() for name in names] for names in (student, teacher)]
    if all(len(set(names)) == len(names) for names in folded):
        return folded[0], folded[1]
    return list(student), list(teacher)

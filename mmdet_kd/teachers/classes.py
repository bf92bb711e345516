"""Which classes, in which order, a detector knows."""

from collections.abc import Sequence

from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.visualization import Visualizer

from ..errors import raise_if_any


def classes_of_config(cfg: Config) -> tuple[str, ...] | None:
    """The classes of the training set of a whole config, in the order of the labels; None if it does not say."""
    dataset = cfg.get('train_dataloader', {}).get('dataset')
    while dataset is not None and 'type' in dataset:
        classes = (dataset.get('metainfo') or {}).get('classes')
        if classes:
            return tuple(list_from_file(classes) if isinstance(classes, str) else classes)
        inner = dataset.get('dataset') or next(iter(dataset.get('datasets', ())), None)
        if inner is None:
            kind = dataset['type']
            dataset_class = DATASETS.get(kind) if isinstance(kind, str) else kind
            return tuple(getattr(dataset_class, 'METAINFO', {}).get('classes', ())) or None
        dataset = inner
    return None


def classes_in_training() -> tuple[str, ...] | None:
    """The classes of the training that is set up; None if there is none.

    A model is not told its classes. mmengine's loops tell them to the visualizer, which anyone may ask: the training
    loop first, then that of validation, whose set has the same.
    """
    try:
        meta = Visualizer.get_current_instance().dataset_meta or {}
    except RuntimeError:  # no visualizer yet, so no training either
        return None
    return tuple(meta.get('classes', ())) or None


def same_classes(student: Sequence[str], teacher: Sequence[str]) -> bool:
    """Whether two lists name the same classes in the same order.

    Case, and whether words are joined by spaces or underscores, changed between versions of mmdet.
    """
    return [_canonical(name) for name in student] == [_canonical(name) for name in teacher]


def find_classes(student: Sequence[str], teacher: Sequence[str]) -> list[int]:
    """For each class of the student's, its index among the teacher's.

    Raises:
        DistillationError: the teacher does not know one of them, or one list names a class twice.
    """
    known_s, known_t = ([_canonical(name) for name in names] for names in (student, teacher))
    twice = sorted({name for names in (known_s, known_t) for name in names if names.count(name) > 1})
    missing = [name for name in student if _canonical(name) not in known_t]
    raise_if_any(
        [f'teacher.classes_by_name: {name!r} is the name of two classes of one side' for name in twice]
        + [
            f"teacher.classes_by_name: the teacher does not know the student's class {name!r}; it knows "
            f'{", ".join(teacher)}. Take a teacher that does, or give the class the same name on both sides'
            for name in missing
        ]
    )
    return [known_t.index(name) for name in known_s]


def _canonical(name: str) -> str:
    return name.replace('_', ' ').lower()


def describe_difference(student: Sequence[str], teacher: Sequence[str]) -> str:
    """Say in words how two lists of classes differ."""
    known_s, known_t = ([_canonical(name) for name in names] for names in (student, teacher))
    missing = [name for name in student if _canonical(name) not in known_t]
    extra = [name for name in teacher if _canonical(name) not in known_s]
    if len(student) != len(teacher) and not missing and not extra:
        return 'one of them names a class twice'
    if not missing and not extra:
        place = next(i for i, (s, t) in enumerate(zip(known_s, known_t, strict=True)) if s != t)
        return f"the same, in another order (label {place}: '{student[place]}' is the teacher's '{teacher[place]}')"
    parts = []
    if missing:
        parts.append(f'the teacher does not know {", ".join(missing)}')
    if extra:
        parts.append(f'the student does not know {", ".join(extra)}')
    return '; '.join(parts)

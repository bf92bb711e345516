"""The class of a student: a detector class of mmdet with the distillation before it."""

import inspect
from collections.abc import Collection
from functools import cache
from typing import Any

from mmdet.models.detectors import (
    GLIP,
    BaseDetector,
    Detectron2Wrapper,
    GroundingDINO,
    KnowledgeDistillationSingleStageDetector,
    SemiBaseDetector,
)
from mmdet.registry import MODELS

from ..errors import raise_if_any
from ..export import DECOMPOSED, PLAIN_TYPES
from ..unknown_names import constructor_keys, near_names

#: The line that names the class which merging has overwritten.
OF_THE_BASE = 'detector=_base_.model.type'

_OWN_TEACHER = 'it loads a teacher of its own when it is built, for a test too'
_TEXTS = 'it reads texts beside pictures, by a language model of the package transformers'
#: Detector classes that cannot be students, and why not; their subclasses neither.
CANNOT: dict[type, str] = {
    SemiBaseDetector: 'it holds two detectors, under a key `detector` of its own: distil the detector that it holds',
    Detectron2Wrapper: 'it holds a detector of detectron2, under a key `detector` of its own',
    KnowledgeDistillationSingleStageDetector: _OWN_TEACHER,
    GLIP: _TEXTS,
    GroundingDINO: _TEXTS,
}


def why_no_student(plain: type) -> str | None:
    """Why a detector class of mmdet cannot be a student; None if it can."""
    return next((reason for kind, reason in CANNOT.items() if issubclass(plain, kind)), None)


def classes_with(keys: Collection[str], students: bool = True) -> dict[str, type[BaseDetector]]:
    """The registered detector classes that take all these keys, by name; those with the fewest others first.

    Args:
        keys: of a model.
        students: those that can be students, and need no other key; or else those that cannot be students.
    """
    taking = {
        name: constructor_keys(kind)
        for name, kind in MODELS.module_dict.items()
        if name not in PLAIN_TYPES and _is_detector(kind) and not inspect.isabstract(kind)
    }
    fitting = [
        name
        for name, taken in taking.items()
        if set(keys) <= taken
        and (why_no_student(MODELS.get(name)) is None) is students
        and not (students and constructor_keys(MODELS.get(name), required=True) - set(keys))
    ]
    return {name: MODELS.get(name) for name in sorted(fitting, key=lambda name: (len(taking[name]), name))}


def type_for(plain: type) -> str:
    """The ``type`` of this package that makes a student of a detector class."""
    by_family = {ours: MODELS.get(family) for ours, family in PLAIN_TYPES.items() if family is not None}
    fitting = (ours for ours, family in by_family.items() if issubclass(plain, family))
    return next(fitting, next(ours for ours, family in PLAIN_TYPES.items() if family is None))


def find_detector_class(detector: Any, ours: type, family: type, mixin: type) -> type[BaseDetector]:
    """The detector class that a config names.

    Args:
        detector: its registered name, or the class.
        ours: the ``type`` of the config.
        family: the detector class of mmdet that ``ours`` is the student of where none is named.
        mixin: what makes a class a student.

    Raises:
        DistillationError: there is no such class, it cannot be a student, or it is not of the family.
    """
    found = MODELS.get(detector) if isinstance(detector, str) else detector
    raise_if_any(_problems(detector, found, ours, family, mixin))
    return found


def _problems(detector: Any, found: Any, ours: type, family: type, mixin: type) -> list[str]:
    name = getattr(found, '__name__', detector)
    if inspect.isclass(found) and issubclass(found, mixin):
        return [
            f'detector={name!r} is a student already: leave detector out, or take that of the base, '
            'detector=_base_.model.detector'
        ]
    if detector == DECOMPOSED:
        return [
            f"detector='Decomposed' names no class: write type='Decomposed', of={ours.__name__!r}, "
            'detector=_base_.model.of'
        ]
    if isinstance(detector, dict) or (found is not None and not _is_detector(found)):
        return [
            f"detector must be the name of a detector class of mmdet, such as 'DETR', not {name!r}. In a config that "
            f'is based on one of mmdet, write {OF_THE_BASE}'
        ]
    if found is None:
        near = near_names(str(detector), MODELS.module_dict)
        cure = f'Did you mean {" or ".join(near)}?' if near else 'A class of your own needs custom_imports'
        return [f'detector: there is no class {detector!r}. {cure}']
    reason = why_no_student(found)
    if reason is not None:
        return [f'detector: a {name} cannot be a student: {reason}']
    if not issubclass(found, family):
        return [
            f'{ours.__name__} makes students of {family.__name__} and its subclasses, and {name} is none: write '
            f"type='{type_for(found)}'"
        ]
    return []


def _is_detector(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseDetector)


@cache
def student_class(ours: type, plain: type) -> type:
    """The class of the students of a detector class: a subclass of both, whose ``super()`` leads to the latter.

    Args:
        ours: a registered class of this package, with the mixin among its bases.
        plain: the detector class of mmdet.
    """
    return type(
        f'{ours.__name__}Of{plain.__name__}', (ours, plain), {'__module__': ours.__module__, 'made_of': (ours, plain)}
    )


def bare_student(ours: type, plain: type) -> Any:
    """A student without any state, for a pickle to fill: the class above has no name that can be imported."""
    kind = student_class(ours, plain)
    return kind.__new__(kind)

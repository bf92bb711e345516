"""What is known of a student and of a teacher from their configs alone."""

from typing import Any, NamedTuple

from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS

from ..classifiers import CropClassifier
from ..errors import DistillationError
from ..export import PLAIN_TYPES
from ..unknown_names import part_problems, some
from .sources import Source, read_source, teacher_reference


class Student(NamedTuple):
    """The detector that is to learn.

    Args:
        source: its config.
        kind: the type of this package that makes a student of it.
        two_stage: whether it has an RPN and a RoI head.
    """

    source: Source
    kind: str
    two_stage: bool

    @property
    def model(self) -> dict[str, Any]:
        """The keys of the detector."""
        return self.source.cfg.model

    @property
    def head(self) -> dict[str, Any]:
        """The dense head of a one-stage detector; nothing of a two-stage one."""
        return {} if self.two_stage else self.model.get('bbox_head') or {}

    @property
    def family(self) -> str:
        """In words."""
        return 'two-stage' if self.two_stage else 'one-stage'


class Teacher(NamedTuple):
    """The model that is to teach.

    Args:
        cfg: what a config names as its ``teacher``.
        is_classifier: whether it classifies what is in a box, and detects nothing.
    """

    cfg: dict[str, Any]
    is_classifier: bool


def read_student(name: str) -> Student:
    """Find a student and say of which family it is.

    Raises:
        DistillationError: there is no such config, it holds no detector that can be a student, or it is a distillation.
    """
    source = read_source(name, 'STUDENT')
    model = source.cfg.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise DistillationError([f'STUDENT: {name} has no `model` with a `type`: name the config of a detector'])
    if not isinstance(model['type'], str):
        raise DistillationError(
            [
                f'STUDENT: {name} is in the style of `with read_base()`, on which no `_base_` can build. Write it as '
                f"one with strings: python -c \"from mmengine import Config; Config.fromfile('{source.path}')"
                ".dump('student_with_strings.py')\""
            ]
        )
    if model['type'] in PLAIN_TYPES:
        raise DistillationError(
            [f'STUDENT: {name} is a distillation already: name the student that it builds on, its `_base_`, say']
        )
    detector = MODELS.get(model['type'])
    if detector is None:
        raise DistillationError(part_problems('STUDENT: model', dict(type=model['type']), MODELS))
    for kind, plain in PLAIN_TYPES.items():
        base = MODELS.get(plain)
        if issubclass(detector, base):
            _refuse_own_methods(name, detector, base)
            return Student(source, kind, issubclass(detector, TwoStageDetector))
    raise DistillationError(
        [
            f'STUDENT: the class of {name}, {detector.__name__}, is neither a two-stage nor a one-stage detector: no '
            'student can be made of it. Name another, Faster R-CNN or RetinaNet, say'
        ]
    )


def read_teacher(name: str, checkpoint: str | None) -> Teacher:
    """Find a teacher: the config of a detector or a classifier, or one of this package's fragments of teachers.

    Args:
        name: of the config.
        checkpoint: a file or an address; None leaves it to the fragment.

    Raises:
        DistillationError: there is no such config, it holds no model, or nobody says the checkpoint.
    """
    source = read_source(name, 'TEACHER')
    for key in ('teacher', 'classifier'):  # of a fragment
        if isinstance(source.cfg.get(key), dict):
            cfg = source.cfg[key].to_dict()
            return Teacher({**cfg, 'checkpoint': checkpoint or cfg['checkpoint']}, key == 'classifier')
    model = source.cfg.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise DistillationError([f'TEACHER: {name} has no `model` with a `type`: name the config of a detector'])
    if checkpoint is None:
        raise DistillationError([f'TEACHER: name its checkpoint too, behind {name}: a file or an address'])
    cfg = dict(config=teacher_reference(source), checkpoint=checkpoint)
    kind = MODELS.get(model['type']) if isinstance(model['type'], str) else model['type']
    if kind is not None and issubclass(kind, CropClassifier):
        return Teacher(dict(type='ClassifierTeacher', **cfg), True)
    return Teacher(cfg, False)


def _refuse_own_methods(name: str, detector: type, base: type) -> None:
    """Refuse a detector whose class does more than its base: as a student it would be the base."""
    between = detector.__mro__[: detector.__mro__.index(base)]
    own = sorted({method for each in between for method in vars(each) if not method.startswith('__')})
    own = [method for method in own if callable(getattr(detector, method))]
    if own:
        raise DistillationError(
            [
                f'STUDENT: the class of {name}, {detector.__name__}, has its own {some(own)}: a student would do '
                f'without. Name a detector that does as a {base.__name__} does'
            ]
        )

"""What is known of a student and of a teacher from their configs alone."""

from typing import Any, NamedTuple

from mmdet.models.detectors import BaseDetector, DetectionTransformer, SingleStageDetector, TwoStageDetector
from mmdet.registry import MODELS

from ..classifiers import CropClassifier
from ..detectors import type_for, why_no_student
from ..errors import DistillationError
from ..export import PLAIN_TYPES
from ..unknown_names import part_problems
from .sources import Source, read_source, teacher_reference


class Student(NamedTuple):
    """The detector that is to learn.

    Args:
        source: its config.
        detector: its class.
    """

    source: Source
    detector: type

    @property
    def kind(self) -> str:
        """The type of this package that makes a student of it."""
        return type_for(self.detector)

    @property
    def two_stage(self) -> bool:
        """Whether it has an RPN and a RoI head."""
        return issubclass(self.detector, TwoStageDetector)

    @property
    def model(self) -> dict[str, Any]:
        """The keys of the detector."""
        return self.source.cfg.model

    @property
    def head(self) -> dict[str, Any]:
        """The dense head of a one-stage detector; nothing of another."""
        return self.model.get('bbox_head') or {} if issubclass(self.detector, SingleStageDetector) else {}

    @property
    def has_dense_head(self) -> bool:
        """Whether it scores boxes at each place of its maps; a DETR scores queries, and SOLO masks."""
        others = issubclass(self.detector, (TwoStageDetector, DetectionTransformer))
        return bool(self.model.get('bbox_head')) and not others

    @property
    def family(self) -> str:
        """In words."""
        if self.two_stage:
            return 'two-stage student'
        return 'one-stage student' if issubclass(self.detector, SingleStageDetector) else self.detector.__name__


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
    if not issubclass(detector, BaseDetector):
        raise DistillationError([f'STUDENT: {name} holds a {detector.__name__}, which is no detector: name a detector'])
    reason = why_no_student(detector)
    if reason is not None:
        raise DistillationError([f'STUDENT: {name} holds a {detector.__name__}, which cannot be a student: {reason}'])
    return Student(source, detector)


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

"""The student of any other class."""

from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS

from .distillation_mixin import KnowledgeDistillationMixin


@MODELS.register_module()
class KnowledgeDistillationDetector(KnowledgeDistillationMixin, BaseDetector):
    """A detector of any class that learns from a frozen teacher while it trains: DETR, DINO, CondInst, SOLO, ...

    Its keys are those of the class that ``detector`` names, at the same place, with ``teacher`` and ``distillers``
    beside them. It trains by that class's own ``loss()``, predicts as the plain student does, and its checkpoint is the
    plain student's but for the adapters, whose keys begin with ``distillers.``.

    Args:
        detector: name of the student's class, or the class: 'DETR', or ``_base_.model.type`` in a config that is based
            on one of mmdet.
        teacher: ``dict(config=..., checkpoint=...)``; see :class:`~mmdet_kd.teachers.DetectorTeacher`.
        teachers: name -> config of a teacher, instead, where there are several.
        distillers: name -> config of a distiller, any number of them.
        student_scale: size of the student's pictures relative to the loaded ones, which the teacher sees; see
            :class:`KnowledgeDistillationMixin`.
        num_classes: of every head that scores the classes of the data, which have theirs if it is not given.
        **student: the keys of the detector class.

    Raises:
        DistillationError: no ``detector`` is given, or it cannot be a student; or the teacher, the student and the
            distillers do not fit together; lists all that does not.
    """

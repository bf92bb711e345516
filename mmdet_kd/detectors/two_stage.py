"""The student of the two-stage family."""

from typing import Any

from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS

from .distillation_mixin import KnowledgeDistillationMixin


@MODELS.register_module()
class KnowledgeDistillationTwoStageDetector(KnowledgeDistillationMixin, TwoStageDetector):
    """A two-stage detector that learns from a frozen teacher while it trains.

    Its keys are a plain two-stage detector's (Faster, Mask, Cascade R-CNN, ...), at the same place, with ``teacher``
    and ``distillers`` beside them. It predicts as the plain student does, and its checkpoint is the plain student's but
    for the adapters, whose keys begin with ``distillers.``.

    Args:
        teacher: ``dict(config=..., checkpoint=...)``; see :class:`~mmdet_kd.teachers.DetectorTeacher`.
        distillers: name -> config of a distiller, any number of them.
        **student: the keys of :class:`mmdet.models.TwoStageDetector`.

    Raises:
        DistillationError: the teacher, the student and the distillers do not fit together; lists all that does not.
    """

    def __init__(self, *, teacher: dict, distillers: dict, **student: Any) -> None:
        super().__init__(teacher=teacher, distillers=distillers, **student)

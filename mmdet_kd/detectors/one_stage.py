"""The student of the one-stage family."""

import inspect
from typing import Any

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from torch import nn

from ..errors import raise_if_any
from .distillation_mixin import KnowledgeDistillationMixin


@MODELS.register_module()
class KnowledgeDistillationOneStageDetector(KnowledgeDistillationMixin, SingleStageDetector):
    """A one-stage detector that learns from a frozen teacher while it trains.

    Its keys are a plain one-stage detector's (SSD, RetinaNet, FCOS, GFL, ATSS, ...), at the same place, with
    ``teacher`` and ``distillers`` beside them. It predicts as the plain student does, and its checkpoint is the plain
    student's but for the adapters, whose keys begin with ``distillers.``.

    Args:
        detector: name of a one-stage class with code of its own, 'RTMDet' or 'RPN', or the class; mmdet's
            ``SingleStageDetector`` serves all others.
        teacher: ``dict(config=..., checkpoint=...)``; see :class:`~mmdet_kd.teachers.DetectorTeacher`.
        teachers: name -> config of a teacher, instead, where there are several.
        distillers: name -> config of a distiller, any number of them.
        student_scale: size of the student's pictures relative to the loaded ones, which the teacher sees; see
            :class:`KnowledgeDistillationMixin`.
        num_classes: of the head, which has its own if it is not given.
        **student: the keys of :class:`mmdet.models.SingleStageDetector`.

    Raises:
        DistillationError: the teacher, the student and the distillers do not fit together; lists all that does not.
    """

    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)
        if self.plain_class().loss is SingleStageDetector.loss:
            raise_if_any(_loss_problems(self.bbox_head))


def _loss_problems(head: nn.Module) -> list[str]:
    """What forbids that a detector trains this head: its loss is called with the maps and the samples of a batch."""
    wanted = [
        name
        for name, parameter in inspect.signature(head.loss).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    further = [name for name in wanted[1:] if name != 'batch_data_samples']
    if not further:
        return []
    return [
        f'the loss of {type(head).__name__} needs {", ".join(further)}, which a detector of its own gives it: it '
        'cannot be a student; it can be a teacher'
    ]

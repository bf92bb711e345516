"""The student of the two-stage family."""

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
        detector: name of a two-stage class with code of its own, 'TridentFasterRCNN', or the class; mmdet's
            ``TwoStageDetector`` serves all others.
        teacher: ``dict(config=..., checkpoint=...)``; see :class:`~mmdet_kd.teachers.DetectorTeacher`.
        teachers: name -> config of a teacher, instead, where there are several.
        distillers: name -> config of a distiller, any number of them.
        student_scale: size of the student's pictures relative to the loaded ones, which the teacher sees; see
            :class:`KnowledgeDistillationMixin`.
        num_classes: of every head that scores the classes of the data, which have theirs if it is not given. One line
            says it for a cascade too, whose heads are a list.
        **student: the keys of :class:`mmdet.models.TwoStageDetector`.

    Raises:
        DistillationError: the teacher, the student and the distillers do not fit together; lists all that does not.
    """

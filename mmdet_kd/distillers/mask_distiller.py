"""Distilling the masks of a RoI head."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import RoIMasks
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from .base import BaseDistiller, has_weight
from .pair import Model, ModelPair
from .response import mean_over_ranks

_CURE = 'Leave this distiller out, or take another detector'


@MODELS.register_module()
class MaskDistiller(BaseDistiller):
    r"""Has the teacher's mask head draw the object in each RoI on which the student's mask head was trained.

    The method is this project's: no published one compares the mask logits of Mask R-CNN. The RoIs are the student's
    positive ones, cut out of the teacher's maps. Of each the mask of its true class is compared, whose cells are object
    or not:

    .. math:: L = \frac{1}{P h w} \sum_{i=1}^{P} \sum_{x=1}^{h w} l(s_{i x}, t_{i x})

    with the logits s and t of both sides, and l as ``loss_mask`` says. :class:`~mmdet_kd.losses.SoftenedBCELoss` is
    the binary cross entropy towards the teacher's probabilities, whose least value is their entropy;
    :class:`~mmdet_kd.losses.SoftenedKLLoss` is the same less that entropy, so that it is 0 where both sides agree. P is
    the mean over the ranks, and at least 1.

    Each stage of a cascade is judged by the teacher's stage of the same index, or by its last, and counts with the
    weight that the student's own losses of that stage have. One mask for any class, on either side, means that of the
    true class.

    Args:
        pair: the two sides; the detector fills it in.
        loss_mask: config of a loss of sigmoids, called with (student logits, teacher logits, avg_factor), a row a RoI
            and a column a cell: (P, h * w).
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: a side has no masks that are known, their sizes differ, or their classes do.
    """

    kinds = ('roi.masks',)
    parts = ('mask',)

    def __init__(self, pair: ModelPair, loss_mask: dict, weight: float = 1.0) -> None:
        super().__init__(weight)
        raise_if_any(_head_problems(pair.student, ('masks',)) + _head_problems(pair.teacher, ('masks', 'given masks')))
        raise_if_any(_size_problems(pair) + _class_problems(pair))
        self.compares_classes = any(view.num_classes is not None for view in pair.teacher.roi.mask_stages)
        self._stage_weights = pair.student.roi.stage_weights
        height, width = pair.student.mask_sizes[0]
        logits = torch.zeros(2, height * width)
        self.loss_mask = self._build_loss(
            'loss_mask', loss_mask, 'sigmoid scores', lambda loss: loss(logits, logits, avg_factor=1.0)
        )
        raise_if_any(self.problems)

    @property
    def is_active(self) -> bool:
        """Whether the loss counts at present."""
        return super().is_active and has_weight(self.loss_mask)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the masks of this step; returns 'mask', of a cascade summed."""
        del step
        losses = [
            self._stage_weights[stage] * self._compare(masks, teacher.masks(stage, masks.rois, masks.labels))
            for stage, masks in student.roi_masks()
        ]
        return {'mask': torch.stack(losses).sum()}

    def _compare(self, masks: RoIMasks, logits_t: Tensor) -> Tensor:
        positive = mean_over_ranks(len(masks.rois), logits_t.device)
        return self.loss_mask(masks.logits.flatten(1), logits_t.flatten(1), avg_factor=positive)


def _head_problems(side: Model, questions: tuple[str, ...]) -> list[str]:
    return side.roi.problems(questions, 'MaskDistiller', side.name, cure=_CURE)


def _size_problems(pair: ModelPair) -> list[str]:
    """That a stage of the student's has masks of another size than the stage that judges it."""
    problems = []
    for stage, size_s in enumerate(pair.student.mask_sizes):
        judge = pair.teacher.roi.judge(stage)
        size_t = pair.teacher.mask_sizes[judge]
        if size_s != size_t:
            problems.append(
                f"MaskDistiller: the student's masks (stage {stage}) have {_cells(size_s)} cells, the teacher's (stage "
                f"{judge}) {_cells(size_t)}: give the student the teacher's mask_roi_extractor.roi_layer.output_size "
                'and mask_head.upsample_cfg, and set train_cfg.rcnn.mask_size to their product, or take another teacher'
            )
    return problems


def _cells(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _class_problems(pair: ModelPair) -> list[str]:
    """That a teacher with a mask a class knows other classes than the student."""
    student = pair.student.roi.num_classes
    counts = {view.num_classes for view in pair.teacher.roi.mask_stages} - {None, student}
    if not counts or (pair.classes_by_name and student < min(counts)):
        return []
    listed = ' and '.join(map(str, sorted(counts)))
    return [
        f"MaskDistiller: the student knows {student} classes, the teacher's mask heads {listed}: take a teacher that "
        "was trained on the student's classes, or write teacher=dict(classes_by_name=True, ...) if it knows all of "
        'these and more'
    ]

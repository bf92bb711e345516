"""The outputs of an RPN, for the anchors of another one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..heads import RPNOutputs, fit, sizes_of, which_fit
from .alignment import cell_positions, sample_map


def same_grids(maps: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether the maps of two sides have the same heights and widths.

    They differ where the two pad alike pictures to other sizes, or where one rounds up, the other down, the size of a
    picture that its stride does not divide.
    """
    return all(m.shape[-2:] == other.shape[-2:] for m, other in zip(maps, others, strict=True))


def on_the_grids_of(student: RPNOutputs, teacher: RPNOutputs, channels: int) -> tuple[RPNOutputs, Tensor]:
    """The teacher's outputs for the student's anchors, where the grids of the two differ.

    Both count their cells from the upper left corner. What only the teacher has is cropped; where only the student has
    cells, at the lower right, the teacher says nothing.

    Args:
        student: outputs whose grids are wanted.
        teacher: outputs on grids of the same strides.
        channels: score channels of an anchor of the teacher's.

    Returns:
        The teacher's outputs on the student's grids, and which anchors (N, M) have one, as 0 and 1.
    """
    sizes = sizes_of(student.cls_scores)
    fitted = RPNOutputs(fit(teacher.cls_scores, sizes), fit(teacher.bbox_preds, sizes))
    return fitted, which_fit(teacher.cls_scores, sizes, channels)


def at_anchors_of(
    student: RPNOutputs,
    teacher: RPNOutputs,
    strides: Sequence[tuple[int, int]],
    channels: int,
    ratios: Tensor,
) -> tuple[RPNOutputs, Tensor]:
    """The teacher's outputs for the student's anchors, where the teacher sees a larger picture.

    An anchor lies at the upper left corner of its cell. Between anchors, scores and deltas are interpolated; what an
    anchor says of an object changes linearly on the way to the next, so the deltas stay true.

    Args:
        student: outputs whose anchors are meant.
        teacher: outputs for anchors that cover the same regions, a level each.
        strides: of the student's and the teacher's maps, pixels, a pair a level.
        channels: score channels of an anchor of the teacher's.
        ratios: pixels of the teacher's that one of the student's spans in x and y, (N, 2).

    Returns:
        The teacher's outputs on the student's grids, and which anchors (N, M) have one, as 0 and 1.
    """
    cls_scores, bbox_preds, valid = [], [], []
    levels = zip(student.cls_scores, teacher.cls_scores, teacher.bbox_preds, strides, strict=True)
    for wanted, scores, deltas, (stride_s, stride_t) in levels:
        corners = cell_positions(tuple(wanted.shape[-2:]), ratios * stride_s, offset=0)
        # sample_map counts from the centres of the cells; the anchors lie half a cell before them
        points = corners + stride_t / 2
        cls_scores.append(sample_map(scores, stride_t, points))
        bbox_preds.append(sample_map(deltas, stride_t, points))
        on_map = (points[..., 0] <= scores.shape[-1] * stride_t) & (points[..., 1] <= scores.shape[-2] * stride_t)
        valid.append(on_map.flatten(1).repeat_interleave(scores.shape[1] // channels, dim=1))
    return RPNOutputs(cls_scores, bbox_preds), torch.cat(valid, dim=1).float()

"""How the box heads of RoI heads score."""

import torch.nn.functional as F
from torch import Tensor, nn


def is_sigmoid(head: nn.Module) -> bool:
    """Whether a box head scores each class by itself. A ``use_sigmoid`` of mmdet's usual losses does not make it so."""
    return getattr(head, 'custom_cls_channels', False) and getattr(head.loss_cls, 'use_sigmoid', False)


def score_channels(head: nn.Module) -> int:
    """How many scores a box head gives a RoI."""
    count = head.num_classes
    return head.loss_cls.get_cls_channels(count) if head.custom_cls_channels else count + 1


def with_background(scores: Tensor, sigmoid: bool) -> Tensor:
    """Scores as logits (n, C + 1), the background last.

    C sigmoids, given that at most one class is there, are the softmax of their logits and a 0 for the background.
    """
    return F.pad(scores, (0, 1)) if sigmoid else scores


def box_head_problems(heads: list[nn.Module], who: str, whose: str) -> list[str]:
    """What about the box heads, one a stage, forbids comparing their scores and deltas.

    Args:
        heads: of one side.
        who: compares; for messages.
        whose: the heads are; for messages.
    """
    problems = []
    for stage, head in enumerate(heads):
        where = f"{who}: the {whose}'s {type(head).__name__} (stage {stage})"
        if not hasattr(head, 'loss_and_target') or score_channels(head) != head.num_classes + (not is_sigmoid(head)):
            problems.append(
                f'{where} does not classify by a softmax over C + 1 classes, or by C sigmoids; use a BBoxHead'
            )
        elif not (
            getattr(head, 'with_cls', False)  # SABLHead has neither, and regresses buckets
            and getattr(head, 'with_reg', False)
            and getattr(head.bbox_coder, 'encode_size', None) == 4
        ):
            problems.append(f'{where} has no classification or no regression of 4 deltas; use a BBoxHead')
    return problems

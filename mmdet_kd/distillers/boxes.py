"""Box regressions of two heads, brought to one encoding. No box is looped over, none is selected on the host."""

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from .pair import ModelPair


def same_coder(coder_s: object, coder_t: object) -> bool:
    """Whether two box coders encode alike."""
    return type(coder_s) is type(coder_t) and _settings(coder_s) == _settings(coder_t)


def _settings(coder: object) -> dict[str, object]:
    # Clipping to the border concerns decoding with a given picture size alone.
    return {k: tuple(v) if isinstance(v, list) else v for k, v in vars(coder).items() if k != 'clip_border'}


def recode(deltas: Tensor, boxes: Tensor, coder_s: object, coder_t: object) -> Tensor:
    """The teacher's deltas in the student's encoding.

    Args:
        deltas: (n, 4), encoded by ``coder_t`` relative to ``boxes``.
        boxes: anchors or RoIs (n, 4), xyxy, pixels.
        coder_s: the student's box coder.
        coder_t: the teacher's.

    Returns:
        (n, 4), in single precision; ``deltas`` itself where both encode alike.
    """
    if same_coder(coder_s, coder_t):
        return deltas
    flat = (boxes[:, 2:] <= boxes[:, :2]).any(dim=1, keepdim=True)  # a cascade clips some boxes to nothing
    boxes = torch.where(flat, _unit(boxes), boxes)
    return coder_s.encode(boxes, _decode(coder_t, boxes, deltas.float()))


def scale_problems(pair: ModelPair, coder_s: object, coder_t: object) -> list[str]:
    """What forbids comparing the deltas of pictures of different size, as ``student_scale`` asks."""
    if pair.student_scale is None:
        return []
    boxes, deltas = torch.tensor([[8.0, 16.0, 40.0, 32.0]]), torch.tensor([[0.2, -0.1, 0.3, 0.1]])
    return [
        f"the {side.name}'s {type(coder).__name__} encodes a box and its enlarged copy differently, so that deltas of "
        'pictures of different size cannot be compared; use a DeltaXYWHBBoxCoder, or no student_scale'
        for side, coder in ((pair.student, coder_s), (pair.teacher, coder_t))
        if not torch.allclose(2 * _decode(coder, boxes, deltas), _decode(coder, 2 * boxes, deltas))
    ]


def _decode(coder: object, boxes: Tensor, deltas: Tensor) -> Tensor:
    return get_box_tensor(coder.decode(boxes, deltas))


def encode_targets(targets: Tensor, boxes: Tensor, positive: Tensor, coder: object) -> Tensor:
    """The targets of a head that regresses decoded boxes, as deltas.

    Args:
        targets: boxes (n, 4), xyxy, pixels; of any value where not ``positive``.
        boxes: anchors or RoIs (n, 4), xyxy, pixels.
        positive: (n,), bool.
        coder: the student's box coder.

    Returns:
        (n, 4); finite, also where not positive.
    """
    positive = positive[:, None]
    # Where not positive, a box may be flat, and has no encoding then.
    return coder.encode(torch.where(positive, boxes, _unit(boxes)), torch.where(positive, targets, _unit(boxes)))


def select_class(bbox_pred: Tensor, labels: Tensor) -> Tensor:
    """The deltas (n, 4) that a head gives for each RoI's class.

    Args:
        bbox_pred: (n, C * 4), or (n, 4) where the regression is class-agnostic.
        labels: (n,); the background's C selects some class, to be given no weight.
    """
    if bbox_pred.shape[1] == 4:
        return bbox_pred
    per_class = bbox_pred.reshape(len(bbox_pred), bbox_pred.shape[1] // 4, 4)
    index = labels.clamp(0, per_class.shape[1] - 1)[:, None, None].expand(-1, 1, 4)
    return per_class.gather(1, index).squeeze(1)


def _unit(boxes: Tensor) -> Tensor:
    """A box (1, 4) that every coder can encode."""
    unit = torch.zeros_like(boxes[:1])
    unit[:, 2:] = 1
    return unit if len(unit) else boxes

"""What the functions ask of the shapes of their arguments."""

from torch import Tensor


def check_logits(logits_s: Tensor, logits_t: Tensor, classes: str) -> None:
    """Refuse class scores that cannot be compared row by row.

    Args:
        logits_s: of the student.
        logits_t: of the teacher.
        classes: what a row has, for the message.

    Raises:
        ValueError: they are not two matrices of one shape.
    """
    if logits_s.shape != logits_t.shape or logits_s.dim() != 2:
        raise ValueError(
            f'student and teacher logits must both be (n, {classes}), not {tuple(logits_s.shape)} '
            f'and {tuple(logits_t.shape)}'
        )


def check_same_shape(feat_s: Tensor, feat_t: Tensor) -> None:
    """Refuse two maps that cannot be compared cell by cell.

    Args:
        feat_s: adapted map of the student.
        feat_t: map of the teacher.

    Raises:
        ValueError: they have two shapes.
    """
    if feat_s.shape != feat_t.shape:
        raise ValueError(
            f'a student map {tuple(feat_s.shape)} cannot be compared with a teacher map {tuple(feat_t.shape)}: '
            "put an adapter between them, e.g. adapter=dict(type='ConvAdapter')"
        )

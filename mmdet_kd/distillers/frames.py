"""What losses on maps are told of the pictures: the true boxes, the padding and the student's anchors.

The two maps of a level meet on the teacher's grid, so all is counted in its cells.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..knowledge import SCORE_MAPS, Step
from ..losses.frame import Anchors, Frame
from ..losses.functional import best_overlap
from .levels import stride_problems
from .pair import Model


class Frames(nn.Module):
    """Makes the frames of all compared levels of a step.

    Args:
        strides: of the student's and of the teacher's map of each level, in pixels of their own pictures.
        anchors: what :func:`student_anchors` found for these levels; None if no loss asks.
    """

    def __init__(self, strides: Sequence[tuple[int, int]], anchors: Sequence[Tensor] | None) -> None:
        super().__init__()
        self._strides = list(strides)
        self._grids = None if anchors is None else nn.ModuleList(map(_AnchorGrid, anchors, self._strides))

    def forward(self, maps: Sequence[Tensor], step: Step) -> list[Frame]:
        """The frame of each level.

        Args:
            maps: of the teacher, where the student's meet them, a level each (N, C, H, W).
            step: that is going on.
        """
        frames = []
        for place, (feat, (_, stride)) in enumerate(zip(maps, self._strides, strict=True)):
            valid = step.valid(tuple(feat.shape[-2:]), stride, 'teacher', feat.device)
            frames.append(Frame(step.boxes_on(stride, 'teacher'), valid, step.generator(feat.device, place)))
        return frames if self._grids is None else self._with_anchors(frames, step)

    def _with_anchors(self, frames: Sequence[Frame], step: Step) -> list[Frame]:
        placed = [grid.on_common_grid(step.ratios) for grid in self._grids]
        best = [best_overlap(frame.boxes, frame.valid, *grid) for frame, grid in zip(frames, placed, strict=True)]
        of_all = torch.stack(best).amax(dim=0)
        return [
            frame._replace(anchors=Anchors(*grid, of_level, of_all))
            for frame, grid, of_level in zip(frames, placed, best, strict=True)
        ]


class _AnchorGrid(nn.Module):
    """The student's anchors of a level. Its buffers move with the detector; they are in no checkpoint.

    Args:
        anchors: of two rows of two cells, (2, 2, A, 4), xyxy, in the student's pixels.
        strides: of the student's and of the teacher's map, in pixels of their own pictures.
    """

    def __init__(self, anchors: Tensor, strides: tuple[int, int]) -> None:
        super().__init__()
        self._stride_s, self._stride_t = strides
        self.register_buffer('_first', anchors[0, 0], persistent=False)
        self.register_buffer('_spacing', (anchors[1, 1] - anchors[0, 0])[0, :2], persistent=False)

    def on_common_grid(self, ratios: Tensor | None) -> tuple[Tensor, Tensor]:
        """Anchors of the first cell (1 or N, A, 4), and how far those of the next lie (2,), in the teacher's cells.

        Where the teacher's cells span other parts of the picture than the student's, the student's map is interpolated
        at their centres; the anchors are moved there likewise.

        Args:
            ratios: how many of the teacher's pixels one of the student's spans in x and y, (N, 2); None: 1.
        """
        ratio = self._spacing.new_ones(1, 1, 4) if ratios is None else ratios.repeat(1, 2)[:, None]
        place = (self._stride_t / (ratio * self._stride_s) - 1) / 2  # of that cell's centre, in the student's cells
        first = (self._first + place * self._spacing.repeat(2)) * ratio / self._stride_t
        return first, self._spacing / self._stride_s


def student_anchors(student: Model, source: str, levels: Sequence[int], loss: str) -> tuple[list[Tensor], list[str]]:
    """The student's own anchors on its maps.

    Args:
        student: whose RPN, or dense head, has them.
        source: of its maps.
        levels: of these that are compared.
        loss: name of what asks; for messages.

    Returns:
        Of each level, the anchors of two rows of two cells (2, 2, A, 4), xyxy, in its pixels; and what forbids them.
    """
    view = student.anchored
    cure = 'Take a student with anchors, or a loss that asks for none, such as FGDLoss'
    problems = view.problems(('anchors',), f'FeatureDistiller: {loss}', 'student', cure)
    if problems:
        return [], problems
    read = 'neck' if 'neck' in student.maps else 'backbone'
    count = len(view.strides if source == SCORE_MAPS else student.maps[source])
    if source not in (read, SCORE_MAPS) or count != len(view.strides):
        return [], [
            f"FeatureDistiller: {loss} asks which anchors each map has, and the student's {view.name} has them on the "
            f"{len(view.strides)} levels of its {read}, not on the {count} of its {source}: set source='{read}', or "
            'take a loss that asks for none, such as FGDLoss'
        ]
    problems = stride_problems(f'FeatureDistiller: {loss}', student, view)
    if problems:
        return [], problems
    of_levels = view.anchors([(2, 2)] * count, torch.device('cpu'))
    return [of_levels[level].view(2, 2, -1, 4) for level in levels], []

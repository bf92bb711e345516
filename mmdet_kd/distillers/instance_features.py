"""The features of instances in the maps of two detectors."""

from collections.abc import Sequence

import torch
from mmcv.ops import roi_align
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import raise_if_any
from ..knowledge import StudentKnowledge, TeacherKnowledge
from .base import call_problems
from .levels import pair_levels
from .pair import ModelPair
from .sources import missing_maps

_CELLS = 10  # of the features of an instance, in height and width
_SAMPLES = 2  # of a cell, in height and width
_CELLS_OF_A_LEVEL = 14  # of its map: an instance as long belongs to this level; 224 pixels to that of stride 16


class InstanceFeatures(nn.Module):
    """Cuts instances out of paired maps of the two sides, and brings the student's features to the teacher's channels.

    Args:
        who: the distiller; for messages.
        pair: the two sides.
        source: 'neck' or 'backbone'.
        levels: indices of the student's levels; all if not given.
        teacher_levels: see :class:`FeatureDistiller`.
        adapter: config of the one adapter of all levels; its channels are filled in. None compares bare features.

    Raises:
        DistillationError: there are no such maps, or one adapter does not serve all of them.
    """

    def __init__(
        self,
        who: str,
        pair: ModelPair,
        source: str,
        levels: Sequence[int] | None,
        teacher_levels: Sequence[int] | None,
        adapter: dict | None,
    ) -> None:
        super().__init__()
        raise_if_any(missing_maps(who, pair, source))
        maps_s, maps_t = (side.maps[source] for side in (pair.student, pair.teacher))
        paired = pair_levels(who, source, maps_s, maps_t, levels, teacher_levels)
        self.source = source
        #: Indices of the student's and of the teacher's levels, the finest first.
        self.levels = sorted(zip(*paired, strict=True), key=lambda each: maps_s[each[0]].stride)
        self.strides = [(maps_s[i].stride, maps_t[j].stride) for i, j in self.levels]
        channels_s = sorted({maps_s[i].channels for i, _ in self.levels})
        channels_t = sorted({maps_t[j].channels for _, j in self.levels})
        raise_if_any(_channel_problems(who, channels_s, channels_t, adapter is not None))
        self.adapter = None
        if adapter is not None:
            self.adapter = MODELS.build({'in_channels': channels_s[0], 'out_channels': channels_t[0], **adapter})
            feats = [torch.zeros(1, channels[0], _CELLS, _CELLS) for channels in (channels_s, channels_t)]
            raise_if_any(call_problems('adapter', lambda: (self.adapter(*feats) - feats[1]).sum()))

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The adapted student's and the teacher's features (N * K, C, 10, 10) of boxes (N, K, 4), xyxy, pixels."""
        maps_s, maps_t = student.features(self.source), teacher.features(self.source)
        strides_s, strides_t = zip(*self.strides, strict=True)
        levels = levels_of(boxes, strides_s)
        feat_s = cut_out([maps_s[i] for i, _ in self.levels], strides_s, boxes, levels)
        feat_t = cut_out([maps_t[j] for _, j in self.levels], strides_t, boxes, levels)
        return (feat_s if self.adapter is None else self.adapter(feat_s, feat_t)), feat_t


def levels_of(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """The level of each box, (N, K): the coarsest that has 14 cells in its length, or the finest.

    The length of a box is the root of its area, so that 224 pixels belong to stride 16.

    Args:
        boxes: (N, K, 4), xyxy, pixels.
        strides: of the levels, the finest first.

    Source: ``SingleRoIExtractor.map_roi_levels`` of mmdet, with a ``finest_scale`` of 14 strides of the first level.
    """
    length = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1).sqrt()
    reached = torch.stack([length >= _CELLS_OF_A_LEVEL * stride for stride in strides])
    return reached[1:].sum(dim=0)


def cut_out(maps: Sequence[Tensor], strides: Sequence[int], boxes: Tensor, levels: Tensor) -> Tensor:
    """The features of boxes, each from the map of its level.

    Boxes are cut out of every map: which of them a level has need not be known, and nothing waits for the device.

    Args:
        maps: of the levels (N, C, H, W).
        strides: of the levels.
        boxes: (N, K, 4), xyxy, pixels.
        levels: of the boxes (N, K).

    Returns:
        (N * K, C, 10, 10), in single precision, with a gradient towards the maps.
    """
    images = torch.arange(len(boxes), dtype=boxes.dtype, device=boxes.device)
    rois = torch.cat([images[:, None, None].expand(-1, boxes.shape[1], 1), boxes], dim=2).flatten(0, 1)
    features = rois.new_zeros(())
    for level, (feat, stride) in enumerate(zip(maps, strides, strict=True)):
        feat = feat.float().contiguous()  # mmcv's operator would read another layout wrongly
        of_level = roi_align(feat, rois, (_CELLS, _CELLS), 1 / stride, _SAMPLES, 'avg', True)
        features = torch.where((levels == level).view(-1, 1, 1, 1), of_level, features)
    return features


def _channel_problems(who: str, student: Sequence[int], teacher: Sequence[int], adapted: bool) -> list[str]:
    problems = [
        f"{who}: the {name}'s levels have {', '.join(map(str, channels))} channels, and one adapter serves all levels: "
        'name those of one width in levels, or leave the parts that compare maps out'
        for name, channels in (('student', student), ('teacher', teacher))
        if len(channels) > 1
    ]
    if not problems and not adapted and student != teacher:
        problems.append(
            f"{who}: the student's maps have {student[0]} channels, the teacher's {teacher[0]}: set "
            "adapter=dict(type='Conv3x3Adapter')"
        )
    return problems

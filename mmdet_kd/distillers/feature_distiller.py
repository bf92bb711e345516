"""Distilling the maps of the backbone, the neck or the encoder of a DETR, or of the class scores of a dense head."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import raise_if_any
from ..knowledge import MEMORY, SCORE_MAPS, MapShape, Side, Step, StudentKnowledge, TeacherKnowledge
from ..losses.frame import Anchors, Frame
from .alignment import cell_positions, crop, crop_to_common_cells, sample_map
from .base import BaseDistiller, ComparedMaps, call_problems, has_weight
from .frames import Frames, student_anchors
from .levels import Pairing, pair_levels
from .pair import ModelPair
from .sources import map_shapes_of, source_problems

Reduction = Literal['mean', 'sum']

#: What a loss may be told of its level.
_TOLD = ('student_channels', 'teacher_channels', 'channels', 'stride')


def _empty_frame() -> Frame:
    """Of a picture of 2x2 cells without boxes, for trying a loss, on the device where the detector is built."""
    none = torch.zeros(1, 0)
    anchors = Anchors(first=torch.ones(1, 1, 4), spacing=torch.ones(2), best=none, best_of_all_levels=none)
    return Frame([torch.zeros(0, 4)], torch.ones(1, 2, 2, dtype=torch.bool), torch.Generator(), anchors)


@MODELS.register_module()
class FeatureDistiller(BaseDistiller):
    """Brings maps of the student near the teacher's, level by level.

    One block of settings serves all levels. Each level gets adapters of its own, and a loss of its own where the loss
    has something to train. The losses of the levels are averaged by default, so that a loss weight means the same for
    one map and for a pyramid.

    Args:
        pair: the two sides; the detector fills it in.
        loss: config of a loss that is called with (adapted student map, teacher map), each (N, C, H, W), and with a
            :class:`~mmdet_kd.losses.Frame` if its class says ``needs_frame = True``. What its constructor takes of
            the following is filled in, level by level: ``student_channels`` and ``teacher_channels``, those of the maps
            that it is given; ``channels``, the teacher's; ``stride``, pixels of the teacher's picture that a cell
            spans. A loss that takes both ``student_channels`` and ``teacher_channels`` adapts by itself: without an
            adapter it may be given maps of unlike channels.
        source: 'neck' or 'backbone'; 'memory', what the encoders of two DETRs make of the maps, 0 on the padding; or
            'dense.cls', the class scores of both dense heads as they make them, with A * K channels for A priors a cell
            and K scores of each.
        levels: indices of the student's levels; all if not given.
        teacher_levels: indices of the teacher's levels, one for each of ``levels``. If not given, they are found; see
            ``pairing``.
        pairing: 'stride' pairs levels of alike strides, in the teacher's pixels, within a factor of the square root of
            2; 'index' pairs levels of the same index. Where a level has no partner, or several, the error has the line
            to write.
        adapter: config of the adapter; its channels are filled in. None gives the loss the bare maps.
        teacher_adapter: config of one for the teacher's maps, which keeps their shape, called with (map, map). One
            that learns needs a loss of yours that trains both sides: this package's losses are constant in the
            teacher's map, and mmdet's are least where both maps vanish. None leaves the maps as they are.
        reduction: 'mean' or 'sum' of the losses of the levels. Methods whose authors add them up have published loss
            weights for that.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: there is no such map or level, a level has no partner or several, bare maps differ in stride,
            or in channels to which the loss does not adapt, or the loss does not train the teacher's adapter.
    """

    parts = ('feat',)

    def __init__(
        self,
        pair: ModelPair,
        loss: dict,
        source: str = 'neck',
        levels: Sequence[int] | None = None,
        teacher_levels: Sequence[int] | None = None,
        adapter: dict | None = None,
        teacher_adapter: dict | None = None,
        pairing: Pairing = 'stride',
        reduction: Reduction = 'mean',
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        if reduction not in get_args(Reduction):
            raise_if_any([f'FeatureDistiller: reduction must be one of {get_args(Reduction)}, not {reduction!r}'])
        self.reduction = reduction
        raise_if_any(source_problems('FeatureDistiller', pair, source))
        maps_s, maps_t = map_shapes_of(pair, source)
        self.levels, self.teacher_levels = pair_levels(
            'FeatureDistiller', source, maps_s, maps_t, levels, teacher_levels, pairing, pair.student_scale
        )
        shapes = [(maps_s[i], maps_t[j]) for i, j in zip(self.levels, self.teacher_levels, strict=True)]
        if adapter is None:
            adapts = {'student_channels', 'teacher_channels'} <= _parameters_of(loss)
            raise_if_any([p for s, t in shapes for p in _bare_problems(source, s, t, pair.student_scale, adapts)])
        self._student_scale = pair.student_scale
        self._strides = [(s.stride, t.stride) for s, t in shapes]
        self.source = source
        self.compares_classes = source == SCORE_MAPS
        self.kinds = ('dense',) if source == SCORE_MAPS else (source,)
        self.adapters = None if adapter is None else nn.ModuleList(_build_adapter(adapter, s, t) for s, t in shapes)
        self.teacher_adapters = (
            None if teacher_adapter is None else nn.ModuleList(_build_adapter(teacher_adapter, t, t) for _, t in shapes)
        )
        # an adapter brings the student's channels to the teacher's
        self.loss = self._build_losses(loss, shapes if adapter is None else [(t, t) for _, t in shapes])
        self._frames = self._build_frames(pair)
        raise_if_any(self.problems)
        for place, sides in enumerate(shapes):
            feats = [torch.zeros(1, side.channels, 2, 2) for side in sides]
            frame = _empty_frame() if self._needs_frame else None
            self.problems += call_problems('adapter and loss', partial(self._compare, place, *feats, frame))
            self.problems += [] if self.problems else self._untrained_problems(place, feats, frame)
        raise_if_any(list(dict.fromkeys(self.problems)))

    @property
    def is_active(self) -> bool:
        """Whether the loss counts at present."""
        return super().is_active and has_weight(self.loss)

    @property
    def compared_maps(self) -> ComparedMaps:
        """See :class:`BaseDistiller`."""
        levels = list(zip(self.levels, self.teacher_levels, strict=True))
        return ComparedMaps(self.source, levels, *(own and own[0] for own in (self.adapters, self.teacher_adapters)))

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the maps of this step; returns ``{'feat': loss}``, the mean or the sum over the levels."""
        maps_s, maps_t = student.features(self.source), teacher.features(self.source)
        pairs = [
            self._same_region(place, self._without_padding(place, maps_s[i], step), maps_t[j], step)
            for place, (i, j) in enumerate(zip(self.levels, self.teacher_levels, strict=True))
        ]
        frames = [None] * len(pairs) if self._frames is None else self._frames([feat_t for _, feat_t in pairs], step)
        shown = [self._shown(place, feat_t, step, 'teacher') for place, (_, feat_t) in enumerate(pairs)]
        losses = torch.stack(
            [self._compare(place, *pair, frames[place], shown[place]) for place, pair in enumerate(pairs)]
        )
        return {'feat': losses.mean() if self.reduction == 'mean' else losses.sum()}

    def _shown(self, place: int, feat: Tensor, step: Step, side: Side) -> Tensor | None:
        """Where a memory shows pictures, (N, 1, H, W); None for other maps, whose padding counts."""
        if self.source != MEMORY:
            return None
        stride = self._strides[place][side == 'teacher']
        return step.valid(tuple(feat.shape[-2:]), stride, side, feat.device)[:, None]

    def _without_padding(self, place: int, feat_s: Tensor, step: Step) -> Tensor:
        """The student's map; of a memory, with 0 on the padding, which an adapter would mix with other cells."""
        shown = self._shown(place, feat_s, step, 'student')
        return feat_s if shown is None else feat_s.masked_fill(~shown, 0)

    def _same_region(self, place: int, feat_s: Tensor, feat_t: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Both maps, as far as they show the same part of the picture; of a smaller picture, on the teacher's grid."""
        stride_s, stride_t = self._strides[place]
        if step.ratios is not None:
            common = tuple(map(min, step.teacher_canvas, (extent / self._student_scale for extent in step.canvas)))
            feat_t = crop(feat_t, common, stride_t)
            spacing = stride_t / step.ratios  # of the teacher's cells, in the student's pixels
            points = cell_positions(tuple(feat_t.shape[-2:]), spacing, offset=0.5)
            return sample_map(feat_s, stride_s, points), feat_t
        if step.canvas != step.teacher_canvas:  # the two pad alike pictures to other sizes
            common = tuple(map(min, step.canvas, step.teacher_canvas))
            feat_s, feat_t = crop(feat_s, common, stride_s), crop(feat_t, common, stride_t)
        return crop_to_common_cells(feat_s, feat_t) if stride_s == stride_t else (feat_s, feat_t)

    def _build_frames(self, pair: ModelPair) -> Frames | None:
        """What makes the frames of the losses, with the student's anchors if they ask for them; None if they do not."""
        loss = self._loss_of(0)
        name, anchors = type(loss).__name__, None
        if getattr(loss, 'needs_anchors', False):
            anchors, problems = student_anchors(pair.student, self.source, self.levels, name)
            if not self._needs_frame:
                problems = [f'FeatureDistiller: anchors are told in a frame: set needs_frame = True in {name} as well']
            raise_if_any(problems)
        return Frames(self._strides, anchors) if self._needs_frame else None

    def _compare(
        self, place: int, feat_s: Tensor, feat_t: Tensor, frame: Frame | None = None, shown: Tensor | None = None
    ) -> Tensor:
        if shown is not None:
            feat_t = feat_t.masked_fill(~shown, 0)
        if self.teacher_adapters is not None:
            feat_t = self.teacher_adapters[place](feat_t, feat_t)
        if self.adapters is not None:
            feat_s = self.adapters[place](feat_s, feat_t)
        if shown is not None:  # adapters write on the padding too
            feat_s, feat_t = feat_s.masked_fill(~shown, 0), feat_t.masked_fill(~shown, 0)
        loss = self._loss_of(place)
        return loss(feat_s, feat_t) if frame is None else loss(feat_s, feat_t, frame)

    def _loss_of(self, place: int) -> nn.Module:
        return self.loss[place] if isinstance(self.loss, nn.ModuleList) else self.loss

    def _untrained_problems(self, place: int, feats: Sequence[Tensor], frame: Frame | None) -> list[str]:
        """That the adapter of the teacher's maps has weights which the loss does not train, or trains to nothing."""
        weights = [] if self.teacher_adapters is None else [*self.teacher_adapters[place].parameters()]
        if not weights:
            return []
        kind = type(self._loss_of(place))
        with torch.enable_grad():
            loss = self._compare(place, *(feat.requires_grad_() for feat in feats), frame)
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        if any(gradient is None for gradient in found):
            why = "is constant in the teacher's map"
        elif kind.__module__.startswith('mmdet.'):
            why = 'is least where both maps vanish'
        else:
            return []
        return [f'FeatureDistiller: {kind.__name__} {why}, so teacher_adapter cannot learn by it: leave that out']

    def _build_losses(self, cfg: dict, shapes: Sequence[tuple[MapShape, MapShape]]) -> nn.Module:
        """One loss for all levels; a list of one for each where it has parameters or buffers, or is told of its level.

        Args:
            cfg: of the loss.
            shapes: of the two maps that it is given, level by level.
        """
        first = self._build_map_loss(cfg, *shapes[0])
        if not first.state_dict() and not _parameters_of(cfg) & set(_TOLD):
            return first
        return nn.ModuleList([first, *(self._build_map_loss(cfg, *sides) for sides in shapes[1:])])

    def _build_map_loss(self, cfg: dict, student: MapShape, teacher: MapShape) -> nn.Module:
        maps = [torch.zeros(1, side.channels, 2, 2) for side in (student, teacher)]
        numbers = (student.channels, teacher.channels, teacher.channels, teacher.stride)
        told = {name: n for name, n in zip(_TOLD, numbers, strict=True) if name in _parameters_of(cfg)}
        self._needs_frame = getattr(_class_of(cfg), 'needs_frame', False)
        more = (_empty_frame(),) if self._needs_frame else ()
        return self._build_loss('loss', {**told, **cfg}, 'maps', lambda built: built(*maps, *more))


def _class_of(cfg: dict) -> Callable | None:
    kind = cfg.get('type')
    return MODELS.get(kind) if isinstance(kind, str) else kind


def _parameters_of(cfg: dict) -> set[str]:
    """What the constructor of a configured module takes."""
    kind = _class_of(cfg)
    return set() if kind is None else set(inspect.signature(kind).parameters)


def _build_adapter(adapter: dict, student: MapShape, teacher: MapShape) -> nn.Module:
    channels = dict(in_channels=student.channels, out_channels=teacher.channels)
    return MODELS.build({**channels, **adapter})


def _bare_problems(
    source: str, student: MapShape, teacher: MapShape, student_scale: float | None, adapts: bool
) -> list[str]:
    same_grid = student.stride == teacher.stride or student_scale is not None  # then maps are brought to one grid
    if same_grid and (adapts or student.channels == teacher.channels):
        return []
    rule = 'the loss adapts channels alone' if adapts else 'a bare hint compares equal shapes'
    return [
        f"FeatureDistiller: {rule}, but the student's {source} has {student.channels} channels at stride "
        f"{student.stride} and the teacher's {teacher.channels} at stride {teacher.stride}. Set "
        "adapter=dict(type='ConvAdapter')"
    ]

"""The teacher's knowledge: computed piece by piece, when a distiller first asks for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from ..heads import DensePredictions, DenseView, RoIOutputs, RoIView, RPNOutputs, RPNView, TowerMaps, find_view
from .class_map import ClassMap
from .crossed import DensePass, match, run_head, run_rest
from .layout import to_plain_layout
from .parts import AS_IT_COMES, PartForm, maps_for_rois, run_encoder, run_mask_head, run_part, run_roi_head
from .student import MEMORY, SCORE_MAPS


class TeacherKnowledge:
    """What a frozen detector makes of one batch.

    Each piece is computed once, on first ask, and without a graph; what nobody asks for is never computed.

    Args:
        detector: the teacher, in eval mode.
        images: its own normalised batch (N, 3, H, W).
        ratios: how many of its pixels one of the student's spans in x and y, (N, 2); None where both see the same.
        class_map: what brings its class scores to the student's classes; None where both know the same.
        forms: name of a part -> in which form it gets its maps; the others get them as they come.
        img_shapes: height and width of each picture without its padding, in its own pixels; None: they have none.
        copies: how many maps of each picture the student has (TridentNet). What is asked here is repeated as often, all
            pictures once, then all again.
        tower_depths: after how many convolutions of its dense head's towers the student's maps may be put in.
    """

    def __init__(
        self,
        detector: nn.Module,
        images: Tensor,
        ratios: Tensor | None = None,
        class_map: ClassMap | None = None,
        forms: Mapping[str, PartForm] | None = None,
        img_shapes: Sequence[tuple[int, int]] | None = None,
        copies: int = 1,
        tower_depths: Collection[int] = (),
    ) -> None:
        self._tower_depths = tower_depths
        self._detector = detector
        self._images = images
        self._class_map = class_map
        self._forms = forms or {}
        self._copies = copies
        self.ratios = None if ratios is None else ratios.repeat(copies, 1)
        self.canvas: tuple[int, int] = tuple(images.shape[-2:])
        self._img_shapes = [self.canvas] * len(images) if img_shapes is None else list(img_shapes)

    def features(self, source: str) -> tuple[Tensor, ...]:
        """The maps of the 'backbone', the 'neck' or the 'memory', or the :data:`SCORE_MAPS`.

        Returns:
            (N, C, H, W) each, contiguous.
        """
        if source == SCORE_MAPS:
            return self._plain_scores
        if source == MEMORY:
            return self._plain_memory
        return self._plain_backbone if source == 'backbone' else self._plain_neck

    @cached_property
    def rpn(self) -> RPNOutputs:
        """The raw outputs of the RPN head."""
        view = find_view(self._detector.rpn_head, RPNView)
        return view.outputs(self._run('rpn_head', self._shared))

    @cached_property
    def rpn_predictions(self) -> DensePredictions:
        """The same, as what a dense head of one class predicts for its priors."""
        return find_view(self._detector.rpn_head, RPNView).predictions(self.rpn)

    @cached_property
    def dense(self) -> DensePredictions:
        """What the dense head predicts for its priors, of the student's classes."""
        return self._predictions(self._dense_pass.raw)

    def crossed(self, given: TowerMaps, depth: int, align: bool) -> DensePredictions:
        """What the rest of the dense head makes of the student's maps, with a gradient towards these alone.

        Args:
            given: maps within the towers, with the teacher's channels.
            depth: after how many convolutions of each tower they are.
            align: give their channels the mean and the deviation of the teacher's own, level by level.
        """
        if align:
            given = match(given, self._dense_pass.statistics[depth])
        return self._predictions(run_rest(self._dense_view, given, depth, self._form('bbox_head')))

    @cached_property
    def _dense_pass(self) -> DensePass:
        return run_head(self._dense_view, self._shared, self._form('bbox_head'), self._tower_depths)

    @property
    def _dense_view(self) -> DenseView:
        return find_view(self._detector.bbox_head, DenseView)

    def _predictions(self, raw: tuple) -> DensePredictions:
        maps = self._dense_view.maps(raw, training=False)
        return DensePredictions(self._dense_view, maps, self._class_map and self._class_map.map_scores)

    def roi(self, stage: int, rois: Tensor) -> RoIOutputs:
        """What the RoI head says of given RoIs (n, 5), in the student's pixels, of the student's classes.

        A cascade of the student with more stages than the teacher's has its later ones judged by the teacher's last.
        """
        roi_head = self._detector.roi_head
        stage = find_view(roi_head, RoIView).judge(stage)
        outputs = run_roi_head(
            roi_head, stage, self._roi_maps, self._in_own_pixels(rois.detach()), self._form('roi_head')
        )
        with torch.no_grad():
            return outputs if self._class_map is None else self._class_map(outputs)

    def masks(self, stage: int, rois: Tensor, labels: Tensor) -> Tensor:
        """The logits (n, h, w) of the mask of each given RoI's class.

        Args:
            stage: index of the student's stage; one that the teacher lacks is judged by its last.
            rois: (n, 5): index of the picture, box in the student's pixels.
            labels: (n,), of the student's classes.
        """
        roi_head = self._detector.roi_head
        view = find_view(roi_head, RoIView)
        stage = view.judge(stage)
        masks = run_mask_head(
            roi_head, stage, self._roi_maps, self._in_own_pixels(rois.detach()), self._form('roi_head')
        )
        return view.mask_stages[stage].select(masks, labels if self._class_map is None else self._class_map.own(labels))

    def _in_own_pixels(self, rois: Tensor) -> Tensor:
        if self.ratios is None:
            return rois
        factors = self.ratios[rois[:, 0].long()].repeat(1, 2).to(rois.dtype)
        return torch.cat([rois[:, :1], rois[:, 1:] * factors], dim=1)

    def _form(self, part: str) -> PartForm:
        return self._forms.get(part, AS_IT_COMES)

    def _run(self, part: str, maps: Tensor | tuple[Tensor, ...]) -> tuple:
        return tuple(run_part(getattr(self._detector, part), maps, self._form(part)))

    @cached_property
    def _backbone(self) -> tuple[Tensor, ...]:
        return self._run('backbone', self._images)

    @cached_property
    def _neck(self) -> tuple[Tensor, ...]:
        return self._run('neck', self._backbone)

    # Losses are several times slower where the maps of the two sides lie differently in memory.

    @cached_property
    def _plain_backbone(self) -> tuple[Tensor, ...]:
        return self._repeat(map(to_plain_layout, self._backbone))

    @cached_property
    def _plain_neck(self) -> tuple[Tensor, ...]:
        return self._repeat(map(to_plain_layout, self._neck))

    @cached_property
    def _plain_memory(self) -> tuple[Tensor, ...]:
        last = self._neck if self._detector.with_neck else self._backbone
        memory = run_encoder(self._detector, last, self.canvas, self._img_shapes, self._form('encoder'))
        return self._repeat(map(to_plain_layout, memory))

    @cached_property
    def _plain_scores(self) -> tuple[Tensor, ...]:
        """Of the student's classes."""
        return tuple(map(to_plain_layout, self.dense.score_maps))

    @cached_property
    def _roi_maps(self) -> tuple[Tensor, ...]:
        """The shared maps for the operators that cut out RoIs."""
        return maps_for_rois(self._plain_neck if self._detector.with_neck else self._plain_backbone)

    @property
    def _shared(self) -> tuple[Tensor, ...]:
        """The maps that the heads read."""
        return self._repeat(self._neck if self._detector.with_neck else self._backbone)

    def _repeat(self, maps: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """The maps of all pictures, as often as the student has some of each."""
        return tuple(maps if self._copies == 1 else (feat.repeat(self._copies, 1, 1, 1) for feat in maps))

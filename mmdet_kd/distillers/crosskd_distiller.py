"""Distilling predictions that the teacher's head makes of the student's maps (CrossKD)."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import raise_if_any
from ..heads import DensePredictions, DenseView, TowerMaps
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge, towers_kind
from ..losses.checks import check_range
from ..losses.functional import disagreement_bce, hint_loss, softened_kl
from .base import BaseDistiller, call_problems
from .pair import ModelPair
from .response import mean_over_ranks
from .same_priors import class_probabilities, giou_distances, heads_of_pair, log_iou_distances

Boxes = Literal['distributions', 'giou', 'log iou']
Divisor = Literal['positives', 'centerness']
_SIDES = 4


@MODELS.register_module()
class CrossKDDistiller(BaseDistiller):
    r"""Compares what the teacher's dense head makes of the student's maps with what it makes of its own (CrossKD).

    In both towers of the student's head, that of the classes and that of the boxes, the maps after ``depth``
    convolutions are taken, before the activation. They go through the rest of the teacher's head, which is frozen; what
    it predicts for them, the crossed predictions, learns from the teacher's own. So the labels train the whole of the
    student's head, and the teacher only what comes before these maps.

    * 'cls': :func:`~mmdet_kd.losses.functional.disagreement_bce`, the sum over all priors.
    * 'bbox': the distance of the boxes, weighted by the teacher's largest class score p_i, the sum over the priors. By
      ``boxes``, the distance is one minus the generalised IoU, minus the logarithm of the IoU, or, of distributions
      over K bins, :math:`\frac{1}{4} \sum_{side} \mathrm{KL}(\mathrm{softmax}(t) \| \mathrm{softmax}(s))`.
    * 'quality': the binary cross entropy towards the teacher's quality, the sum over the student's positive priors.

    A prior that the student's head leaves out counts nothing. All are divided by ``divisor``, but distributions by the
    sum of their weights p_i; these are the means over the ranks, and at least 1.

    Args:
        pair: the two sides; the detector fills it in.
        depth: after how many convolutions of its towers the student's maps are taken, from 1 to the number that both
            heads have (``stacked_convs``).
        boxes: how they are compared: 'distributions', 'giou' or 'log iou'.
        cls_weight: >= 0.
        bbox_weight: >= 0.
        quality_weight: >= 0. None leaves the quality out.
        beta: of the weight of the class scores, >= 0.
        divisor: 'positives', the number of the student's positive priors; or 'centerness', the sum of the centerness
            that these are trained towards, as FCOS divides its own loss.
        align: whether each channel of the student's maps is first given the mean and the deviation that the teacher's
            has in the rank's batch, level by level; see :func:`~mmdet_kd.losses.functional.match_statistics`.
        adapter: config of what brings the student's maps to the teacher's channels, on the same grid; each tower has
            one, for all levels. None where the channels are the same.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the heads differ in priors or classes, score by a softmax, have no such towers or, without an
            adapter, unlike ones, or one does not say what is compared.

    Source: Wang et al., CVPR 2024 (CrossKD), section 3.2; alignment, weights and divisors as in the authors' code.
    """

    kinds = ('dense', 'dense.labels')
    compares_classes = True

    def __init__(
        self,
        pair: ModelPair,
        depth: int = 3,
        boxes: Boxes = 'giou',
        cls_weight: float = 1.0,
        bbox_weight: float = 1.0,
        quality_weight: float | None = None,
        beta: float = 1.0,
        divisor: Divisor = 'positives',
        align: bool = True,
        adapter: dict | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        for name, value, known in (('boxes', boxes, Boxes), ('divisor', divisor, Divisor)):
            if value not in get_args(known):
                raise_if_any([f'CrossKDDistiller: {name} must be one of {get_args(known)}, not {value!r}'])
        weights = dict(cls=cls_weight, bbox=bbox_weight)
        if quality_weight is not None:
            weights['quality'] = quality_weight
        self.parts = tuple(weights)
        for part in self.parts:
            setattr(self, f'{part}_weight', float(check_range(f'{part}_weight', weights[part], at_least=0)))
        self.beta = check_range('beta', beta, at_least=0)
        self.boxes, self.divisor, self.align = boxes, divisor, bool(align)
        compared = [
            'distributions' if boxes == 'distributions' else 'boxes',
            *(['quality'] if self._has_quality else []),
        ]
        trained = ['labels', *(['centerness'] if divisor == 'centerness' else [])]
        student, teacher, problems = heads_of_pair(
            'CrossKDDistiller', pair, ('scores', 'priors', 'towers'), trained, of_teacher=compared
        )
        if not teacher.use_sigmoid:
            problems.append('CrossKDDistiller: it compares sigmoids, and the teacher scores by a softmax: leave it out')
        problems += _depth_problems(depth, student, teacher)
        raise_if_any(problems)
        self.depth = depth
        self.tower_adapters = _build_adapters(adapter, student.towers.channels(depth), teacher.towers.channels(depth))
        self.kinds = ('dense', *(f'dense.{question}' for question in trained), towers_kind(depth))

    @property
    def is_active(self) -> bool:
        """Whether a part counts at present."""
        return super().is_active and any(getattr(self, f'{part}_weight') > 0 for part in self.parts)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the two predictions of the teacher's head in this step; returns 'cls', 'bbox' and 'quality'."""
        del step
        predicted_s = student.dense
        predicted_t, known = teacher.dense.on_grids(predicted_s.sizes)
        crossed = teacher.crossed(self._adapted(student.dense_towers(self.depth)), self.depth, self.align)
        labels, counts = student.dense_assignment
        if known is not None:
            counts = counts * known
        positive = predicted_s.view.is_positive(labels)
        total = student.dense_centerness if self.divisor == 'centerness' else positive.sum()
        divisor = mean_over_ranks(total, labels.device)
        with torch.autocast(labels.device.type, enabled=False):
            losses = {
                'cls': self._compare_scores(crossed, predicted_t, counts) / divisor,
                'bbox': self._compare_boxes(crossed, predicted_t, (counts > 0).float(), divisor),
            }
            if self._has_quality:
                towards = predicted_t.quality.detach().float().sigmoid()
                rows = F.binary_cross_entropy_with_logits(crossed.quality.float(), towards, reduction='none')
                losses['quality'] = (rows * (positive & (counts > 0))).sum() / divisor
        return {part: getattr(self, f'{part}_weight') * loss for part, loss in losses.items()}

    @property
    def _has_quality(self) -> bool:
        return 'quality' in self.parts

    def _adapted(self, maps: TowerMaps) -> TowerMaps:
        if self.tower_adapters is None:
            return maps
        return TowerMaps(
            *(
                [adapter(feat, feat) for feat in levels]
                for adapter, levels in zip(self.tower_adapters, maps, strict=True)
            )
        )

    def _compare_scores(self, crossed: DensePredictions, predicted_t: DensePredictions, counts: Tensor) -> Tensor:
        logits = (each.scores.flatten(0, 1).float() for each in (crossed, predicted_t))
        return (disagreement_bce(*logits, beta=self.beta) * counts.flatten()).sum()

    def _compare_boxes(
        self, crossed: DensePredictions, predicted_t: DensePredictions, taught: Tensor, divisor: Tensor
    ) -> Tensor:
        weight = class_probabilities(predicted_t).amax(dim=-1) * taught
        if self.boxes == 'giou':
            return (giou_distances(crossed, predicted_t) * weight).sum() / divisor
        if self.boxes == 'log iou':
            return (log_iou_distances(crossed, predicted_t) * weight).sum() / divisor
        logits = [
            each.view.distributions(each.regressed.flatten(0, 1).float()).flatten(0, 1)  # (N * M * 4, K)
            for each in (crossed, predicted_t)
        ]
        sides = softened_kl(*logits, temperature=1.0).view(*weight.shape, _SIDES)
        return (sides.mean(dim=2) * weight).sum() / mean_over_ranks(weight.sum(), weight.device)


def _depth_problems(depth: int, student: DenseView, teacher: DenseView) -> list[str]:
    lengths = {side: min(map(len, view.towers)) for side, view in (('student', student), ('teacher', teacher))}
    most = min(lengths.values())
    if isinstance(depth, int) and 1 <= depth <= most:
        return []
    return [
        f"CrossKDDistiller: depth is {depth!r}, and the student's towers have {lengths['student']} convolutions, the "
        f"teacher's {lengths['teacher']} (stacked_convs): it must lie in 1..{most}"
    ]


def _build_adapters(cfg: dict | None, student: tuple[int, int], teacher: tuple[int, int]) -> nn.ModuleList | None:
    """One a tower, from the student's channels to the teacher's."""
    if cfg is not None:
        adapters, problems = nn.ModuleList(), []
        for c_s, c_t in zip(student, teacher, strict=True):
            adapter = MODELS.build({'in_channels': c_s, 'out_channels': c_t, **cfg})
            given, wanted = torch.zeros(1, c_s, 2, 3), torch.zeros(1, c_t, 2, 3)
            problems += call_problems('adapter', lambda a=adapter, g=given, w=wanted: hint_loss(a(g, g), w))
            adapters.append(adapter)
        raise_if_any([f'CrossKDDistiller: {problem}' for problem in dict.fromkeys(problems)])
        return adapters
    if student == teacher:
        return None
    raise_if_any(
        [
            f"CrossKDDistiller: within its towers the student's head has {student[0]} channels for the classes and "
            f"{student[1]} for the boxes, the teacher's {teacher[0]} and {teacher[1]} (feat_channels). Set "
            "adapter=dict(type='ConvAdapter')"
        ]
    )
    return None

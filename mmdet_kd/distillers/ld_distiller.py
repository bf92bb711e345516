"""Distilling distributions of the sides of boxes (LD)."""

from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import DensePredictions
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from ..losses.checks import check_range
from ..losses.functional import Overlap, softened_kl, valuable_region
from .base import BaseDistiller
from .pair import ModelPair
from .response import mean_over_ranks
from .same_priors import class_probabilities, heads_of_pair

Divisor = Literal['weights', 'none']
_SIDES = 4


@MODELS.register_module()
class LDDistiller(BaseDistiller):
    r"""Brings the distributions of the sides of boxes near the teacher's (LD).

    For heads that regress a distribution of each side over K bins, as GFL's do.

    .. math::
        L_i = \frac{1}{4 K} \sum_{side} \tau^2 \,
            \mathrm{KL}(\mathrm{softmax}(t_i / \tau) \| \mathrm{softmax}(s_i / \tau))

    * 'main': L of the positive priors, each weighted by the student's largest class score, which is constant.
    * 'region': L of the priors of the valuable region, each weighted by its IoU, see
      :func:`~mmdet_kd.losses.functional.valuable_region`; a fourth of it, as the authors have it.
    * 'cls': of the positive priors, the divergence of softmaxes over the class logits, the mean over the classes and
      over the priors, times the square of its temperature.
    * 'region_cls': the same of the valuable region.

    The first two are sums, divided by the sum of their weights, the last two by their number of priors; these are the
    means over the ranks, and at least 1.

    Args:
        pair: the two sides; the detector fills it in.
        main_weight: >= 0.
        region_weight: >= 0. None leaves the region out.
        cls_weight: >= 0. None leaves the classes out.
        region_cls_weight: >= 0. None leaves the classes of the region out.
        temperature: tau > 0, of the distributions.
        cls_temperature: > 0.
        divisor: 'weights', or 'none': the sums of the first two are divided by nothing, as in the authors' code, so
            that they grow with the pictures of a rank. Then the class scores are averaged level by level, and added up.
        overlap: which anchors the region has: 'diou', the paper's, or 'of anchor', the authors' code.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the heads differ in priors, bins or classes, or one does not say what is compared.

    Source: Zheng et al., CVPR 2022 (LD).
    """

    kinds = ('dense', 'dense.labels')
    compares_classes = True

    def __init__(
        self,
        pair: ModelPair,
        main_weight: float = 0.25,
        region_weight: float | None = 0.25,
        cls_weight: float | None = None,
        region_cls_weight: float | None = None,
        temperature: float = 10.0,
        cls_temperature: float = 2.0,
        divisor: Divisor = 'weights',
        overlap: Overlap = 'diou',
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        weights = dict(main=main_weight, region=region_weight, cls=cls_weight, region_cls=region_cls_weight)
        self.parts = tuple(part for part, given in weights.items() if given is not None)
        for part in self.parts:
            setattr(self, f'{part}_weight', float(check_range(f'{part}_weight', weights[part], at_least=0)))
        self.temperature = check_range('temperature', temperature, above=0)
        self.cls_temperature = check_range('cls_temperature', cls_temperature, above=0)
        for name, value, known in (('divisor', divisor, Divisor), ('overlap', overlap, Overlap)):
            if value not in get_args(known):
                raise_if_any([f'LDDistiller: {name} must be one of {get_args(known)}, not {value!r}'])
        self.divisor, self.overlap = divisor, overlap
        asked, of_student = ('scores', 'priors', 'distributions'), ('anchors', 'labels')
        student, teacher, problems = heads_of_pair('LDDistiller', pair, asked, of_student)
        if student.box_channels != teacher.box_channels:
            bins = [view.box_channels // _SIDES for view in (student, teacher)]
            problems.append(
                f'LDDistiller: the student has {bins[0]} bins a side, the teacher {bins[1]}: give both the same reg_max'
            )
        raise_if_any(problems)

    @property
    def is_active(self) -> bool:
        """Whether any part counts at present."""
        return super().is_active and any(getattr(self, f'{part}_weight') > 0 for part in self.parts)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the two sides of this step; returns 'main', 'region', 'cls' and 'region_cls', as configured."""
        predicted_s = student.dense
        predicted_t, known = teacher.dense.on_grids(predicted_s.sizes)
        labels, counts = student.dense_assignment
        taught = (counts > 0).float() if known is None else (counts > 0) * known
        regions = {'': predicted_s.view.is_positive(labels) & (taught > 0)}
        weights = {'main': regions[''] * class_probabilities(predicted_s).amax(dim=-1)}
        if {'region', 'region_cls'} & set(self.parts):
            weights['region'] = self._region(predicted_s, step) * taught
            regions['region_'] = weights['region'] > 0
        with torch.autocast(labels.device.type, enabled=False):
            return self._of_sides(predicted_s, predicted_t, weights) | self._of_classes(
                predicted_s, predicted_t, regions
            )

    def _of_sides(
        self, predicted_s: DensePredictions, predicted_t: DensePredictions, weights: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        logits = [
            each.view.distributions(each.regressed.flatten(0, 1).float()).flatten(0, 1)  # (N * M * 4, K)
            for each in (predicted_s, predicted_t)
        ]
        bins = logits[0].shape[1]
        sides = softened_kl(*logits, temperature=self.temperature) / bins
        rows = sides.view(*predicted_s.regressed.shape[:2], _SIDES).mean(dim=2)
        losses = {}
        for part, share in (('main', 1.0), ('region', 0.25)):
            if part in self.parts:
                total = weights[part].sum()
                divisor = mean_over_ranks(total, total.device) if self.divisor == 'weights' else 1.0
                losses[part] = share * getattr(self, f'{part}_weight') * (rows * weights[part]).sum() / divisor
        return losses

    def _of_classes(
        self, predicted_s: DensePredictions, predicted_t: DensePredictions, regions: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        wanted = {f'{region}cls': places for region, places in regions.items() if f'{region}cls' in self.parts}
        if not wanted:
            return {}
        logits = [each.scores.flatten(0, 1).float() for each in (predicted_s, predicted_t)]
        rows = softened_kl(*logits, temperature=self.cls_temperature) / logits[0].shape[1]
        rows = rows.view(predicted_s.scores.shape[:2])
        groups = predicted_s.counts if self.divisor == 'none' else [rows.shape[1]]
        losses = {}
        for part, places in wanted.items():
            total = rows.new_zeros(())
            for of_group, in_group in zip(rows.split(groups, dim=1), places.split(groups, dim=1), strict=True):
                total = total + (of_group * in_group).sum() / mean_over_ranks(in_group.sum(), rows.device)
            losses[part] = getattr(self, f'{part}_weight') * total
        return losses

    def _region(self, predicted: DensePredictions, step: Step) -> Tensor:
        """The weight of each prior (N, M) in the valuable region; 0 outside of it."""
        boxes = torch.nn.utils.rnn.pad_sequence(step.truth.boxes, batch_first=True)
        counts = [torch.ones(len(each), dtype=torch.bool, device=boxes.device) for each in step.truth.boxes]
        is_box = torch.nn.utils.rnn.pad_sequence(counts, batch_first=True)
        anchors = predicted.view.anchors(predicted.sizes, boxes.device)
        return valuable_region(anchors, boxes, is_box, overlap=self.overlap)

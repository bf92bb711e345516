"""Distilling the instances on which the two sides disagree (GID)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import DensePredictions
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from ..losses.checks import check_range
from ..losses.functional import class_distances, instance_feature_loss, instance_pairs, instance_relation_loss
from .base import BaseDistiller, ComparedMaps
from .general_instances import Disagreement, Instances, choose_instances, find_candidates
from .instance_features import InstanceFeatures
from .pair import ModelPair
from .response import mean_over_ranks
from .same_priors import pair_problems, same_deltas

Predictions = Literal['dense', 'rpn']
_OF_SCORES: dict[Predictions, tuple[str, ...]] = {
    'dense': ('scores', 'priors', 'boxes'),
    'rpn': ('objectness', 'anchors', 'deltas'),
}


@MODELS.register_module()
class GIDDistiller(BaseDistiller):
    r"""Compares the two sides on the instances that they disagree on most: features, relations, and predictions (GID).

    In each picture K boxes are chosen, of the priors whose class scores differ most, with the box of the side that is
    surer. Both sides must have the same priors. No true box is asked for.

    * 'feat': :func:`~mmdet_kd.losses.functional.instance_feature_loss` of what RoIAlign cuts out of the maps, 10x10
      cells, the student's after an adapter. The mean over the instances of the batch.
    * 'rel': :func:`~mmdet_kd.losses.functional.instance_relation_loss` of the same features. The mean over the pairs of
      the instances of a rank's batch, or of each picture.
    * 'cls' and 'bbox': of the priors that the student's head would train towards the chosen boxes,
      :func:`~mmdet_kd.losses.functional.class_distances`, and the L1 distance of their boxes: of the deltas where both
      sides have the same box coder; otherwise of the four sides, in strides. The sum over the batch, divided by the
      number of these priors.

    Denominators are averaged over the ranks. The paper's weights of the response are lambda_3 alpha, here
    ``cls_weight``, and lambda_3 beta, ``bbox_weight``. Of a softmax, the background is compared, and plays no part in
    the choice.

    With ``predictions='rpn'`` instances come from the RPN: its objectness is the one class, and its anchors are the
    priors. The paper has results of two-stage detectors, but no code behind them was published; RoI heads are not
    compared.

    Args:
        pair: the two sides; the detector fills it in.
        predictions: 'dense', of a one-stage detector's head, or 'rpn'.
        source: of the maps, 'neck' or 'backbone'.
        levels: indices of the student's maps; all if not given.
        teacher_levels: see :class:`FeatureDistiller`.
        adapter: config of the student's, for all levels; its channels are filled in. None compares bare features.
        feat_weight: >= 0; lambda_1. None leaves the features out.
        rel_weight: >= 0; lambda_2. None leaves the relations out.
        cls_weight: >= 0. None leaves the class scores out.
        bbox_weight: >= 0. None leaves the boxes out.
        instances: K, of a picture at most.
        candidates: that are looked at in a picture at most.
        iou_threshold: of two candidates that overlap by more, the second is left out.
        min_size: width and height of an instance are above it, pixels.
        disagreement: 'class', the largest difference of a class's probabilities, as in the paper; or 'maximum', the
            difference of the largest probabilities, as in the authors' code.
        per_image: relations are those of the instances of one picture, not of the batch.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: a head does not say what is compared; the heads differ in priors, classes or in how they
            score; or there are no such maps, or their channels differ from level to level.

    Source: Dai et al., CVPR 2021 (GID).
    """

    def __init__(
        self,
        pair: ModelPair,
        predictions: Predictions = 'dense',
        source: str = 'neck',
        levels: Sequence[int] | None = None,
        teacher_levels: Sequence[int] | None = None,
        adapter: dict | None = None,
        feat_weight: float | None = 5e-4,
        rel_weight: float | None = 40.0,
        cls_weight: float | None = 0.1,
        bbox_weight: float | None = 1.0,
        instances: int = 10,
        candidates: int = 3000,
        iou_threshold: float = 0.3,
        min_size: float = 10.0,
        disagreement: Disagreement = 'class',
        per_image: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        weights = dict(feat=feat_weight, rel=rel_weight, cls=cls_weight, bbox=bbox_weight)
        self.parts = tuple(part for part, given in weights.items() if given is not None)
        for part in self.parts:
            setattr(self, f'{part}_weight', float(check_range(f'{part}_weight', weights[part], at_least=0)))
        raise_if_any(_option_problems(predictions, disagreement, self.parts))
        self.instances = int(check_range('instances', instances, at_least=1))
        self.candidates = int(check_range('candidates', candidates, at_least=1))
        self.iou_threshold = check_range('iou_threshold', iou_threshold, at_least=0)
        self.min_size = check_range('min_size', min_size, at_least=0)
        self.disagreement, self.per_image = disagreement, per_image
        self.predictions = predictions
        self.compares_classes = predictions == 'dense'
        compares_priors = bool({'cls', 'bbox'} & set(self.parts))
        compares_maps = bool({'feat', 'rel'} & set(self.parts))
        self.kinds = (predictions,)
        if compares_priors and predictions == 'dense':
            self.kinds += ('dense.assign',)
        if compares_maps:
            self.kinds += (source,)
        self._read_heads(pair, compares_priors)
        self.features = None
        if compares_maps:
            self.features = InstanceFeatures('GIDDistiller', pair, source, levels, teacher_levels, adapter)

    @property
    def is_active(self) -> bool:
        """Whether any part counts at present."""
        return super().is_active and any(map(self._weight_of, self.parts))

    @property
    def compared_maps(self) -> ComparedMaps | None:
        """See :class:`BaseDistiller`; instances are cut out of them."""
        if self.features is None:
            return None
        return ComparedMaps(self.features.source, self.features.levels, self.features.adapter)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the two sides of this step; returns 'feat', 'rel', 'cls' and 'bbox', as configured."""
        predicted_s = self._predicted(student)
        predicted_t, known = self._predicted(teacher).on_grids(predicted_s.sizes)
        device = predicted_s.maps.scores[0].device
        with torch.autocast(device.type, enabled=False):
            candidates = find_candidates(predicted_s, predicted_t, known, self.candidates, self.disagreement)
            instances = choose_instances(
                candidates, step.picture_sizes(device), self.instances, self.iou_threshold, self.min_size
            )
            losses = self.idle(device)  # a part whose weight is 0 at present
            if self._counts('feat', 'rel'):
                losses |= self._compare_features(student, teacher, instances)
            if self._counts('cls', 'bbox'):
                losses |= self._compare_priors(student, predicted_s, predicted_t, known, instances)
        return losses

    def _compare_features(
        self, student: StudentKnowledge, teacher: TeacherKnowledge, instances: Instances
    ) -> dict[str, Tensor]:
        boxes, valid = instances
        feat_s, feat_t = self.features(student, teacher, boxes)
        losses = {}
        if self._counts('feat'):
            count = mean_over_ranks(valid.sum(), valid.device)
            losses['feat'] = self.feat_weight * instance_feature_loss(feat_s, feat_t, valid.flatten(), count)
        if self._counts('rel'):
            groups = valid if self.per_image else valid.view(1, -1)
            vectors = (feat.reshape(*groups.shape, -1) for feat in (feat_s, feat_t))
            count = mean_over_ranks(instance_pairs(groups).sum(), valid.device)
            losses['rel'] = self.rel_weight * instance_relation_loss(*vectors, groups, count)
        return losses

    def _compare_priors(
        self,
        student: StudentKnowledge,
        predicted_s: DensePredictions,
        predicted_t: DensePredictions,
        known: Tensor | None,
        instances: Instances,
    ) -> dict[str, Tensor]:
        boxes = [own[valid] for own, valid in zip(*instances, strict=True)]  # mmdet assigns picture by picture
        assigned = (student.dense_assigned if self.predictions == 'dense' else student.rpn_assigned)(boxes)
        if known is not None:
            assigned = assigned & (known > 0)
        at = assigned.nonzero(as_tuple=True)
        count = mean_over_ranks(assigned.sum(), assigned.device)
        losses = {}
        if self._counts('cls'):
            logits = (each.scores[at].float() for each in (predicted_s, predicted_t))
            distances = class_distances(*logits, predicted_s.view.use_sigmoid)
            losses['cls'] = self.cls_weight * distances.sum() / count
        if self._counts('bbox'):
            ours, theirs = (self._regressed(each, at) for each in (predicted_s, predicted_t))
            losses['bbox'] = self.bbox_weight * (ours - theirs.detach()).abs().sum() / count
        return losses

    def _regressed(self, predicted: DensePredictions, at: tuple[Tensor, Tensor]) -> Tensor:
        """Four numbers for the box of each prior, (k, 4), of one unit for both sides."""
        if self._same_deltas:
            return predicted.regressed[at].float()
        return predicted.boxes_of(*at) / predicted.priors.strides[at[1]]

    def _predicted(self, knowledge: StudentKnowledge | TeacherKnowledge) -> DensePredictions:
        return knowledge.dense if self.predictions == 'dense' else knowledge.rpn_predictions

    def _weight_of(self, part: str) -> float:
        return getattr(self, f'{part}_weight')

    def _counts(self, *parts: str) -> bool:
        return any(part in self.parts and self._weight_of(part) > 0 for part in parts)

    # Building and checking.

    def _read_heads(self, pair: ModelPair, compares_priors: bool) -> None:
        asked = _OF_SCORES[self.predictions]
        views = [side.dense if self.predictions == 'dense' else side.rpn for side in (pair.student, pair.teacher)]
        raise_if_any(
            views[0].problems((*asked, 'assign') if compares_priors else asked, 'GIDDistiller', 'student')
            + views[1].problems(asked, 'GIDDistiller', 'teacher')
        )
        student, teacher = views if self.predictions == 'dense' else (view.dense for view in views)
        raise_if_any(pair_problems('GIDDistiller', pair, student, teacher))
        self._same_deltas = same_deltas(student, teacher)


def _option_problems(predictions: str, disagreement: str, parts: Sequence[str]) -> list[str]:
    problems = [
        f'GIDDistiller: {name} must be one of {get_args(known)}, not {value!r}'
        for name, value, known in (
            ('predictions', predictions, Predictions),
            ('disagreement', disagreement, Disagreement),
        )
        if value not in get_args(known)
    ]
    if not parts:
        problems.append('GIDDistiller: all weights are None: nothing would be distilled')
    return problems

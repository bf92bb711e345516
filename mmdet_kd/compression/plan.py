"""Choosing the ranks of a whole network."""

from collections.abc import Mapping

from ..errors import DistillationError
from .survey import Survey, SurveyedLayer
from .tucker import evbmf_ranks

#: How near the FLOPs come to a target, as a share of it.
TOLERANCE = 0.02
_HALVINGS = 60
RanksByLayer = dict[str, tuple[int, int]]


def uniform_base(survey: Survey) -> RanksByLayer:
    """Full ranks, which know nothing of the weights: scaled, every layer keeps the same share of its channels."""
    return {
        layer.name: (layer.full[0], min(layer.full) if layer.kernel_cells == 1 else layer.full[1])
        for layer in survey.layers
    }


def evbmf_base(survey: Survey) -> RanksByLayer:
    """The ranks that variational Bayes finds in the weights of each layer."""
    return {layer.name: evbmf_ranks(layer.module) for layer in survey.layers}


def plan_at(survey: Survey, base: Mapping[str, tuple[int, int]], factor: float = 1.0) -> RanksByLayer:
    """Ranks that are ``factor`` times ``base``, where they save anything; the other layers are not in the result."""
    return _worthwhile(survey, {name: _scaled(ranks, factor) for name, ranks in base.items()})


def plan_for_share(survey: Survey, base: Mapping[str, tuple[int, int]], share: float) -> RanksByLayer:
    """Ranks in common proportion to ``base`` that bring the whole detector to a share of its FLOPs.

    The common factor is bisected; then single ranks grow by one where that still fits, the costliest first.

    Args:
        survey: of the detector.
        base: ranks of each layer.
        share: of the FLOPs of the whole detector, between 0 and 1.

    Raises:
        DistillationError: no ranks come within :data:`TOLERANCE` of it; the message says what can be reached.
    """
    least = survey.flops_at(plan_at(survey, base, 0)) / survey.flops
    if not least <= share < 1:
        raise DistillationError(
            [
                f'a share of {share:.4g} of the FLOPs cannot be reached: the layers that can be decomposed bring this '
                f'detector to {least:.4g} with ranks of 1, and to 1 with full ones. Choose a share '
                'between the two, or skip fewer layers'
            ]
        )
    low, high = 0.0, float(max(max(layer.full) for layer in survey.layers))  # base ranks are 1 at least
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if survey.flops_at(plan_at(survey, base, middle)) <= share * survey.flops:
            low = middle
        else:
            high = middle
    ranks = _fill(survey, {name: _scaled(each, low) for name, each in base.items()}, share * survey.flops)
    reached = survey.flops_at(ranks) / survey.flops
    if abs(reached - share) > TOLERANCE * share:
        raise DistillationError(
            [
                f'the ranks of this detector are few: the nearest from below to a share of {share:.4g} of its FLOPs is '
                f'{reached:.4g}. Ask for that'
            ]
        )
    return ranks


def _fill(survey: Survey, ranks: RanksByLayer, budget: float) -> RanksByLayer:
    """Let single ranks grow by one while the budget lasts."""

    def cost_of_growing(layer: SurveyedLayer, side: int) -> int:
        now = ranks[layer.name]
        return layer.flops(layer.best(_grown(now, side))) - layer.flops(layer.best(now))

    left = budget - survey.flops_at(_worthwhile(survey, ranks))
    sides = [(layer, side) for layer in survey.layers for side in ((1,) if layer.one_sided else (0, 1))]
    for layer, side in sorted(sides, key=lambda each: cost_of_growing(*each), reverse=True):
        cost = cost_of_growing(layer, side)
        if cost <= left:
            ranks[layer.name] = _grown(ranks[layer.name], side)
            left -= cost
    return _worthwhile(survey, ranks)


def _grown(ranks: tuple[int, int], side: int) -> tuple[int, int]:
    return (ranks[0] + 1, ranks[1]) if side == 0 else (ranks[0], ranks[1] + 1)


def _scaled(ranks: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(ranks[0] * factor)), max(1, round(ranks[1] * factor))


def _worthwhile(survey: Survey, ranks: Mapping[str, tuple[int, int]]) -> RanksByLayer:
    best = {layer.name: layer.best(ranks[layer.name]) for layer in survey.layers}
    return {layer.name: best[layer.name] for layer in survey.layers if best[layer.name] != layer.full}

"""Where the maps that are compared come from."""

from ..knowledge import MEMORY, SCORE_MAPS, MapShape
from .pair import ModelPair
from .same_priors import background_problems, pair_problems


def source_problems(who: str, pair: ModelPair, source: str) -> list[str]:
    """What forbids comparing the maps of a source.

    Args:
        who: compares them; for messages.
        pair: the two sides.
        source: 'backbone', 'neck', :data:`~mmdet_kd.knowledge.MEMORY` or :data:`~mmdet_kd.knowledge.SCORE_MAPS`.
    """
    sides = (pair.student, pair.teacher)
    if source == SCORE_MAPS:
        cure = "Set source='neck', or take detectors with such heads"
        unanswered = [p for side in sides for p in side.dense.problems(('scores', 'priors'), who, side.name, cure)]
        if unanswered:
            return unanswered
        problems = pair_problems(who, pair, pair.student.dense, pair.teacher.dense)
        return problems + background_problems(who, pair, "set source='neck'")
    if source == MEMORY:
        cure = "Set source='neck', or take two detectors of the DETR family"
        return [p for side in sides for p in side.encoder.problems((MEMORY,), who, side.name, cure)]
    return missing_maps(
        who, pair, source, f', or {SCORE_MAPS!r} where both have a dense head, or {MEMORY!r} where both are DETRs'
    )


def missing_maps(who: str, pair: ModelPair, source: str, others: str = '') -> list[str]:
    """The sides that have no maps of the backbone or the neck, whichever is asked for.

    Args:
        who: compares them; for messages.
        pair: the two sides.
        source: 'backbone' or 'neck'.
        others: what else may be named; for messages.
    """
    return [
        f'{who}: the {side.name} has no {source!r}; source must be one of {", ".join(side.maps)}{others}'
        for side in (pair.student, pair.teacher)
        if source not in side.maps
    ]


def map_shapes_of(pair: ModelPair, source: str) -> tuple[tuple[MapShape, ...], tuple[MapShape, ...]]:
    """Channels and strides of the student's maps of a source, and of the teacher's."""
    if source == SCORE_MAPS:  # of the same priors and, since the teacher's are mapped, of the same classes
        return pair.student.score_maps, pair.student.score_maps
    if source == MEMORY:
        return pair.student.memory_maps, pair.teacher.memory_maps
    return pair.student.maps[source], pair.teacher.maps[source]

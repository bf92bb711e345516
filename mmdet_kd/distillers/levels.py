"""Which level of the student is compared with which of the teacher."""

import math
from collections.abc import Sequence
from itertools import repeat
from typing import Literal, get_args

from ..errors import raise_if_any
from ..heads import DenseView, RPNView
from ..knowledge import MapShape
from .pair import Model

Pairing = Literal['stride', 'index']

_ALIKE = math.sqrt(2) * 1.01  # strides of networks that do not divide a picture evenly are measured as whole pixels
#: Rounding moves the stride of a last map, of one cell or two, by less than a factor of this (SSDLite: 1.6).
_ROUNDED = 1.9


def pair_levels(
    who: str,
    source: str,
    student: Sequence[MapShape],
    teacher: Sequence[MapShape],
    levels: Sequence[int] | None = None,
    teacher_levels: Sequence[int] | None = None,
    pairing: Pairing = 'stride',
    student_scale: float | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pair the levels of two networks.

    Networks whose lists of strides are the same are paired by index. Otherwise two levels are alike where their cells
    span alike parts of the picture: where their strides, in the teacher's pixels, differ by less than a factor of the
    square root of 2.

    Args:
        who: pairs them; for messages.
        source: of the maps; for messages.
        student: shapes of the student's levels.
        teacher: shapes of the teacher's.
        levels: indices of the student's levels that are meant; all of them if not given.
        teacher_levels: indices of the teacher's, one for each of ``levels``. If not given, they are found.
        pairing: how they are found: 'stride', the level that is alike; or 'index', the level of the same index.
        student_scale: size of the student's pictures relative to the teacher's; None where both see the same.

    Returns:
        Indices of the student's levels, and of the teacher's.

    Raises:
        DistillationError: there is no such level; or a level has no partner, or several. The message has the line to
            write, where there is one.
    """
    if pairing not in get_args(Pairing):
        raise_if_any([f'{who}: pairing must be one of {get_args(Pairing)}, not {pairing!r}'])
    every = levels is None
    levels = tuple(range(len(student))) if levels is None else tuple(levels)
    raise_if_any(
        _level_problems(who, 'student', source, levels, student)
        + _level_problems(who, 'teacher', source, teacher_levels or (), teacher)
    )
    if teacher_levels is not None:
        if not levels or len(levels) != len(teacher_levels):
            raise_if_any(
                [
                    f'{who}: levels={levels} and teacher_levels={tuple(teacher_levels)} must name one level of each '
                    'side for every comparison, and at least one'
                ]
            )
        return levels, tuple(teacher_levels)
    if not levels:
        raise_if_any([f'{who}: levels=() names no level; name at least one'])
    if pairing == 'index' or _strides(student) == _strides(teacher):
        raise_if_any(_level_problems(who, 'teacher', source, levels, teacher))
        if pairing == 'index' and every and len(student) != len(teacher):
            raise_if_any([_undecided(who, source, student, teacher, student_scale)])
        return levels, levels
    partners = {
        level: [i for i, shape in enumerate(teacher) if _alike(student[level], shape, student_scale)]
        for level in levels
    }
    chosen = [found[0] for found in partners.values() if len(found) == 1]
    decided = len(chosen) == len(levels) and len(set(chosen)) == len(chosen)
    if not decided or (every and len(chosen) != len(teacher)):
        raise_if_any([_undecided(who, source, student, teacher, student_scale)])
    return levels, tuple(chosen)


def common_levels(
    student: Sequence[MapShape], teacher: Sequence[MapShape], student_scale: float | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The levels of two networks that are alike: indices of the student's, and of the teacher's.

    Args:
        student: shapes of the student's levels.
        teacher: shapes of the teacher's.
        student_scale: see :func:`pair_levels`.

    Returns:
        Empty where none is alike, or one is like several.
    """
    pairs = [(i, j) for i, s in enumerate(student) for j, t in enumerate(teacher) if _alike(s, t, student_scale)]
    ours, theirs = (tuple(side) for side in zip(*pairs, strict=True)) if pairs else ((), ())
    unique = len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
    return (ours, theirs) if unique else ((), ())


def stride_problems(who: str, side: Model, view: DenseView | RPNView) -> list[str]:
    """That a head counts the cells of its maps by other strides than they have, so that its priors lie elsewhere.

    mmdet trains such a head without a word. Beside one whose strides are true, cells of other places would be compared.

    Args:
        who: compares its priors; for messages.
        side: whose head it is.
        view: of the head.
    """
    said, maps = [stride[0] for stride in view.strides], side.shared_maps
    if len(said) == len(maps) and all(map(_are_within, said, _strides(maps), repeat(_ROUNDED))):
        return []
    trained_so = ', and take a teacher that was trained so' if side.name == 'teacher' else ''
    return [
        f"{who}: the {side.name}'s {view.name} takes its maps for those of strides "
        f'{", ".join(f"{stride:g}" for stride in said)}, and they have strides {_listed(maps)}: set the strides of its '
        f'anchor_generator, or of the head, to those of the maps{trained_so}'
    ]


def _alike(student: MapShape, teacher: MapShape, student_scale: float | None) -> bool:
    return _are_within(student.stride / (student_scale or 1.0), teacher.stride, _ALIKE)


def _are_within(first: float, second: float, factor: float) -> bool:
    return max(first, second) <= factor * min(first, second)


def _undecided(
    who: str,
    source: str,
    student: Sequence[MapShape],
    teacher: Sequence[MapShape],
    student_scale: float | None,
) -> str:
    ours, theirs = common_levels(student, teacher, student_scale)
    line = f'levels={ours}, teacher_levels={theirs}' if ours else 'levels=(...), teacher_levels=(...)'
    return (
        f"{who}: the student's {source} has {len(student)} levels (strides {_listed(student)}), the teacher's "
        f'{len(teacher)} (strides {_listed(teacher)}), and not each has one partner of its stride. Name those to '
        f'compare: {line}'
    )


def _level_problems(who: str, side: str, source: str, levels: Sequence[int], maps: Sequence[MapShape]) -> list[str]:
    return [
        f"{who}: the {side}'s {source} has no level {level}; it has levels 0 to {len(maps) - 1} (strides "
        f'{_listed(maps)}): name those in levels'
        for level in levels
        if not 0 <= level < len(maps)
    ]


def _strides(maps: Sequence[MapShape]) -> list[int]:
    return [each.stride for each in maps]


def _listed(maps: Sequence[MapShape]) -> str:
    return ', '.join(str(stride) for stride in _strides(maps))

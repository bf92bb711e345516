"""The keys of a model that its type does not take: a slip of the pen, another family's, or another detector's."""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from mmdet.registry import MODELS

from ..export import PLAIN_TYPES
from ..unknown_names import near_names, part_problems

#: The parts that mmdet builds from their configs as they are.
_PARTS = ('backbone', 'neck', 'rpn_head', 'roi_head', 'bbox_head')


def student_key_problems(kind: str, plain: type, student: Mapping[str, Any], own: Collection[str]) -> list[str]:
    """What forbids that the keys of a model are given to a detector class, and those of its parts to theirs.

    Args:
        kind: the ``type`` of the model.
        plain: the detector class of mmdet of which it makes a student.
        student: the keys of the model, without those that ``kind`` takes for itself.
        own: the names of these.
    """
    known = {*own, *_parameters(plain)}
    unknown = sorted(set(student) - known)
    other = {key: family for key in unknown if (family := _family_with(key)) is not None}
    if other and set(other.values()) != {kind}:
        family = next(iter(other.values()))
        return [
            f'{kind} makes a student of a {plain.__name__}, which has no {" and no ".join(other)}. Write '
            f"type='{family}'"
        ]
    near = {key: near_names(key, known) for key in unknown}
    problems = [f'{kind} has no {key!r}. Did you mean {" or ".join(names)}?' for key, names in near.items() if names]
    rest = [key for key, names in near.items() if not names]
    if rest:
        problems.append(
            f'{kind} makes a student of a {plain.__name__}, which has no {", ".join(rest)}: a detector class of mmdet '
            'with keys of its own cannot be a student; it can be the teacher of maps'
        )
    for part in _PARTS:
        if isinstance(student.get(part), Mapping):
            problems += part_problems(f'model.{part}', student[part], MODELS)
    return problems


def _parameters(plain: type) -> Collection[str]:
    return inspect.signature(plain).parameters


def _family_with(key: str) -> str | None:
    """The type of this package whose student has a key; None if there is none."""
    return next((ours for ours, plain in PLAIN_TYPES.items() if key in _parameters(MODELS.get(plain))), None)

"""The keys of a model that its class does not take: a slip of the pen, another family's, or another detector's."""

from collections.abc import Collection, Mapping
from typing import Any

from mmdet.models.backbones import TridentResNet
from mmdet.models.dense_heads import RTMDetHead
from mmdet.models.roi_heads import TridentRoIHead
from mmdet.registry import MODELS

from ..unknown_names import constructor_keys, near_names, part_problems, some
from .student_class import OF_THE_BASE, classes_with, type_for, why_no_student

#: The parts that mmdet builds from their configs as they are.
_PARTS = (
    'backbone',
    'neck',
    'rpn_head',
    'roi_head',
    'bbox_head',
    'mask_head',
    'semantic_head',
    'panoptic_head',
    'panoptic_fusion_head',
)
#: The classes that need no `detector` -> the head that each has.
_HEAD_OF = {'SingleStageDetector': 'bbox_head', 'TwoStageDetector': 'roi_head'}
#: Parts whose detector has code of its own under the keys of a plain one -> its name, and what the plain one lacks.
_OWN_CODE: dict[type, tuple[str, str]] = {
    TridentResNet: ('TridentFasterRCNN', 'which gives each branch its pictures'),
    TridentRoIHead: ('TridentFasterRCNN', 'which gives each branch its pictures'),
    RTMDetHead: ('RTMDet', 'which exchanges the statistics of batch norm among ranks'),
}


def student_key_problems(kind: str, plain: type, student: Mapping[str, Any], own: Collection[str]) -> list[str]:
    """What forbids that the keys of a model are given to a detector class, and those of its parts to theirs.

    Args:
        kind: the ``type`` of the model.
        plain: the detector class of mmdet of which it makes a student.
        student: the keys of the model, without those that ``kind`` takes for itself.
        own: the names of these.
    """
    if {'of', 'layers'} <= set(student) - {*constructor_keys(plain)}:
        return [
            f'the base is a decomposed {student["of"]}, and its layers are named in the model itself: write '
            f"type='Decomposed', of='{kind}', detector=_base_.model.of"
        ]
    known = {*own, *constructor_keys(plain)}
    near = {key: near_names(key, known) for key in sorted(set(student) - known)}
    takers = classes_with(student)
    if near and takers:
        return [_other_class(kind, plain, student, [*near], takers)]
    problems = [f'{kind} has no {key!r}. Did you mean {" or ".join(names)}?' for key, names in near.items() if names]
    rest = [key for key, names in near.items() if not names]
    if rest:
        takers = classes_with(set(student) - (set(near) - set(rest)))
        problems.append(_other_class(kind, plain, student, rest, takers))
    for part in _PARTS:
        if isinstance(student.get(part), Mapping):
            problems += part_problems(f'model.{part}', student[part], MODELS)
    return problems


def lost_class_problems(plain: type, student: Mapping[str, Any]) -> list[str]:
    """The parts of a student that belong to a detector class of their own, where the config names none.

    Args:
        plain: the detector class of mmdet that the student would be.
        student: the keys of the model.
    """
    head = _HEAD_OF.get(plain.__name__)
    if head is not None and student.get(head) is None:
        return [
            f'the model has no {head}, so it is no {plain.__name__}: for an RPN alone, write '
            "type='KnowledgeDistillationOneStageDetector', detector='RPN'"
        ]
    problems: dict[str, str] = {}
    for part in _PARTS:
        cfg = student.get(part)
        kind = cfg.get('type') if isinstance(cfg, Mapping) else None
        found = MODELS.get(kind) if isinstance(kind, str) else kind
        for base in getattr(found, '__mro__', ()):
            if base in _OWN_CODE:
                name, what = _OWN_CODE[base]
                problems.setdefault(
                    name,
                    f"model.{part}: {found.__name__} is of mmdet's {name}, {what}, and a plain {plain.__name__} does "
                    f"not: add detector='{name}' to the model",
                )
    return list(problems.values())


def _other_class(
    kind: str, plain: type, student: Mapping[str, Any], keys: list[str], takers: Mapping[str, type]
) -> str:
    """The problem with keys that the class does not take, with the line that names one that takes all."""
    problem = f'{kind} makes a student of a {plain.__name__}, which has no {" and no ".join(keys)}'
    if not takers:
        refused = classes_with(keys, students=False)
        if refused:
            name, taker = next(iter(refused.items()))
            return f'{problem}: they are of a {name}, which cannot be a student: {why_no_student(taker)}'
        return f'{problem}, and no detector class of mmdet takes all keys of this model. Leave these out'
    types = {name: type_for(taker) for name, taker in takers.items()}
    plain_ones = [name for name in takers if name in _HEAD_OF and _HEAD_OF[name] in student]
    if plain_ones:
        return f"{problem}. Write type='{types[plain_ones[0]]}'"
    ours = kind if kind in types.values() else types[next(iter(types))]
    line = f'add {OF_THE_BASE}' if ours == kind else f"write type='{ours}', {OF_THE_BASE}"
    named = [name for name in takers if types[name] == ours]
    return f'{problem}: {line}, or detector=... with the name of the class ({some(named)})'

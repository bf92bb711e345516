"""A student that starts with the weights of its teacher's neck and heads."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..distillers import ModelPair
from ..errors import raise_if_any
from ..export import student_state_dict
from ..runtime.run_changes import differences
from ..runtime.run_record import without_init
from ..teachers import BaseTeacher

_BACKBONE = 'backbone.'
_LISTED = 10


def check_inheritance(teachers: Mapping[str, BaseTeacher], pairs: Mapping[str, ModelPair]) -> None:
    """Check that the student can take over every weight outside of the backbone, where a teacher has ``inherit``.

    Args:
        teachers: name -> teacher.
        pairs: name of a teacher -> the student and that teacher, without weights.

    Raises:
        DistillationError: several teachers have ``inherit``, or names or shapes differ; lists all that do.
    """
    inherited = [name for name, teacher in teachers.items() if teacher.inherit]
    if len(inherited) > 1:
        raise_if_any(
            [f'the student cannot inherit from {" and ".join(inherited)}: keep inherit=True in one of them, at most']
        )
    for name in inherited:
        raise_if_any(_problems(pairs[name].student.detector, pairs[name].teacher.detector))


@torch.no_grad()
def inherit(
    student: nn.Module, student_cfg: Mapping[str, Any], teacher_cfg: Mapping[str, Any], teacher: nn.Module
) -> None:
    """Copy every weight of a teacher outside of the backbone into the student's module of the same name.

    One line of the log says so. It names the settings in which these parts differ too, since equal shapes do not say
    that two heads mean the same by their numbers.

    Args:
        student: initialised; it is changed. Its backbone and its distillers stay as they are.
        student_cfg: of its model.
        teacher_cfg: of the teacher's model.
        teacher: with its weights as they were trained.

    Source: Yang et al., CVPR 2022 (FGD), the "inheriting strategy" of its experiments.
    """
    own, trained = _weights(student), _weights(teacher)
    for key, weight in own.items():
        weight.copy_(trained[key])
    parts = sorted({key.partition('.')[0] for key in own})
    settings = [{part: _plain(without_init(cfg.get(part))) for part in parts} for cfg in (teacher_cfg, student_cfg)]
    found = _some([said for _, said in differences('', *settings)])
    differ = f" Settings of these that differ, the teacher's -> the student's: {found}." if found else ''
    print_log(
        f"The student starts with its teacher's weights in {', '.join(parts)} (inherit=True). Say so where you compare "
        f'it with a student that does not.{differ}',
        logger='current',
    )


def _problems(student: nn.Module, teacher: nn.Module) -> list[str]:
    """Which weights outside of the backbone do not fit; the models may be on the meta device."""
    own, offered = ({key: tuple(value.shape) for key, value in _weights(m).items()} for m in (student, teacher))
    misfits = [
        *(f'{k} {own[k]}, of the teacher {offered[k]}' for k in own if k in offered and own[k] != offered[k]),
        *(f'{key}, which the teacher lacks' for key in own if key not in offered),
        *(f'{key}, which the student lacks' for key in offered if key not in own),
    ]
    if not misfits:
        return []
    return [
        "inherit=True: the student is to start with its teacher's weights in neck and heads, and some do not fit: "
        f'{_some(misfits)}. Leave inherit out, or give both sides the same neck and heads'
    ]


def _weights(detector: nn.Module) -> dict[str, Tensor]:
    """What a plain detector's checkpoint holds outside of the backbone."""
    weights = student_state_dict(detector.state_dict())
    return {key: value for key, value in weights.items() if not key.startswith(_BACKBONE)}


def _some(listed: list[str]) -> str:
    more = f', and {len(listed) - _LISTED} more' if len(listed) > _LISTED else ''
    return ', '.join(listed[:_LISTED]) + more


def _plain(cfg: Any) -> Any:
    """A part of a config in plain types, without the scopes that mmengine notes in it."""
    if isinstance(cfg, dict):
        return {key: _plain(value) for key, value in cfg.items() if key != '_scope_'}
    return [_plain(value) for value in cfg] if isinstance(cfg, (list, tuple)) else cfg

"""A student, a teacher and one observed step, for tests of a single distiller."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmdet_kd.distillers import Model, ModelPair
from mmdet_kd.heads import Call
from mmdet_kd.knowledge import (
    KINDS,
    Step,
    StudentKnowledge,
    TeacherKnowledge,
    box_heads,
    observe_student,
    record_calls,
)

from .distil import build, raw_batch, step_of


class Observed(NamedTuple):
    """What was seen of one step; `raw` are the calls as mmdet made them."""

    student: StudentKnowledge
    teacher: TeacherKnowledge
    raw: dict[str, list[Call]]
    batch: dict[str, Any]

    @property
    def images(self) -> Tensor:
        """The student's normalised batch."""
        return self.batch['inputs']

    @property
    def sides(self) -> tuple[StudentKnowledge, TeacherKnowledge, Step]:
        """What a distiller is handed."""
        return self.student, self.teacher, self.told(self.teacher)

    def told(self, teacher: TeacherKnowledge) -> Step:
        """What a distiller is told that learns from a teacher."""
        return step_of(self.batch, teacher)


def pair_of(student_cfg: Config, teacher_cfg: Config) -> ModelPair:
    """Both sides on the CPU, their regressions spread so that either may be the better one."""
    sides = []
    for seed, (name, cfg) in enumerate((('student', student_cfg), ('teacher', teacher_cfg))):
        detector = build(cfg, seed=seed)
        with torch.no_grad():
            for layer in _outputs(detector):
                layer.weight.mul_(20)
                layer.bias.normal_(std=0.2, generator=torch.Generator().manual_seed(seed))
        sides.append(Model(name, detector, cfg.model))
    sides[1].detector.eval().requires_grad_(False)
    return ModelPair(*sides)


@contextmanager
def observed(pair: ModelPair, boxes: tuple[int, ...] = (3, 2), size: int = 64) -> Iterator[Observed]:
    """One step of the student's own loss, on a batch of square pictures with so many boxes each."""
    detector = pair.student.detector
    torch.manual_seed(0)
    batch = detector.data_preprocessor(raw_batch(boxes, size), training=True)
    points = {'rpn': (detector.rpn_head, 'forward'), 'rpn_targets': (detector.rpn_head, 'get_targets')}
    for stage, head in enumerate(box_heads(detector.roi_head)):
        points[f'roi{stage}'] = (head, 'loss_and_target')
    kinds = [k for k in KINDS if hasattr(detector, k) or k in ('rpn', 'roi')]
    with observe_student(detector, kinds) as student:
        with record_calls(points) as raw:
            detector.loss(batch['inputs'], batch['data_samples'])
        yield Observed(student, TeacherKnowledge(pair.teacher.detector, batch['inputs']), raw, batch)


def bound(errors: list[tuple[float, float]]) -> tuple[float, float]:
    """A margin that lets some rows of (student error, teacher error) go if any may, and what the others pay."""
    needed = sorted(error_t - error_s for error_s, error_t in errors)
    gaps = [(high - low, (high + low) / 2) for low, high in itertools.pairwise(needed) if high + low > 0]
    margin = max(gaps)[1] if gaps else 0.0  # amid the widest gap, so that no rounding decides
    paying = [error_s for error_s, error_t in errors if error_s + margin > error_t]
    assert paying, 'the example would prove nothing'
    return margin, sum(paying)


def _outputs(detector: nn.Module) -> Iterator[nn.Module]:
    yield from (detector.rpn_head.rpn_cls, detector.rpn_head.rpn_reg)
    for head in box_heads(detector.roi_head):
        yield from (head.fc_cls, head.fc_reg)

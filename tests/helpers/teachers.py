"""Teachers with weights as of a training, and all that they can be asked."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor

from mmdet_kd.knowledge import box_heads
from mmdet_kd.teachers import DetectorTeacher

from .trained import pictures, randomise_as_trained

CPU = torch.device('cpu')
KINDS = ('backbone', 'neck', 'rpn', 'roi')
ROIS = torch.tensor([[0, 3.0, 5, 40, 30], [1, 10.0, 12, 60, 64], [0, 20.0, 2, 30, 62]])


def trained(cfg: Config, path: Path, *parts: str) -> tuple[dict, Path]:
    """The model and the weights of a detector whose weights are as a training leaves them."""
    detector = MODELS.build(copy.deepcopy(cfg.model))
    randomise_as_trained(detector, *(parts or ('backbone', 'neck')))
    torch.save({'state_dict': detector.state_dict()}, path)
    return dict(model=cfg.model), path


def loaded(
    source: tuple[dict, Path], asked: Iterable[str] = KINDS, device: torch.device = CPU, **speed: Any
) -> DetectorTeacher:
    """A teacher of these weights, for distillers that ask for these kinds of knowledge."""
    teacher = DetectorTeacher(*source, **speed)
    teacher.load(device, asked=asked)
    return teacher


def answers(teacher: DetectorTeacher, asked: Sequence[str] = KINDS) -> list[Tensor]:
    """All that a teacher is asked of two pictures that are not the one that it was verified on."""
    device = next(teacher.parameters()).device
    knowledge = teacher.knowledge_of(pictures(seed=7, size=(128, 160)).to(device))
    found = [feat for source in ('backbone', 'neck') if source in asked for feat in knowledge.features(source)]
    if 'rpn' in asked:
        found += [tensor for tensors in knowledge.rpn for tensor in tensors]
    if 'roi' in asked:
        stages = range(len(box_heads(teacher.detector.roi_head)))
        found += [tensor for stage in stages for tensor in knowledge.roi(stage, ROIS.to(device))]
    return found + ([knowledge.dense.scores, knowledge.dense.regressed] if 'dense' in asked else [])


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor], share: float) -> None:
    """Each differs by so much of its largest value at most."""
    for a, b in zip(found, expected, strict=True):
        assert (a.float() - b).abs().max() <= share * b.abs().max()


def said(log: Sequence[str]) -> str:
    """The one line about the speed-ups of a teacher."""
    (line,) = [line for line in log if line.startswith('To make the teacher')]
    return line

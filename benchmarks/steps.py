"""The steps that are compared: a student's own, a plain pass of its teacher, and the distilled one.

Weights are untrained, pictures are noise: neither changes what a step costs, but for the number of proposals.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from meter import seconds
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmdet_kd.distillers import BaseDistiller
from mmdet_kd.export import drop_pretrained, plain_student_config
from mmdet_kd.knowledge import TeacherKnowledge, box_heads

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


@dataclass(frozen=True)
class Workload:
    """What a step has to do.

    Args:
        images: a batch.
        size: of their sides, pixels.
        rois: that the RoI head samples, an image.
        boxes: of the ground truth, an image.
    """

    images: int = 2
    size: int = 320
    rois: int = 64
    boxes: int = 5

    def batch(self, num_classes: int) -> dict[str, Any]:
        """Pictures of noise with random boxes, as a data loader gives them."""
        shapes = [(3, self.size, self.size)] * self.images
        return demo_mm_inputs(self.images, shapes, num_items=[self.boxes] * self.images, num_classes=num_classes)

    def some_rois(self) -> Tensor:
        """As many RoIs (n, 5) as a step samples."""
        count = self.images * self.rois
        corners = torch.rand(count, 2) * self.size / 2
        extents = 8 + torch.rand(count, 2) * self.size / 3
        images = torch.arange(self.images).repeat_interleave(self.rois)[:, None].float()
        return torch.cat([images, corners, corners + extents], dim=1).to(DEVICE)


def student_work(cfg: Config, work: Workload) -> Workload:
    """What the student has to do where the teacher does ``work``: its pictures may be smaller."""
    return replace(work, size=round(work.size * (cfg.model.get('student_scale') or 1)))


def prepared(cfg: Config, work: Workload) -> Config:
    """A config that samples ``work.rois``, if it has RoIs, with untrained teachers."""
    cfg = copy.deepcopy(cfg)
    drop_pretrained(cfg.model)
    for teacher in teachers_of(cfg):
        teacher.checkpoint = None
    train_cfg = cfg.model.train_cfg
    if 'rcnn' in train_cfg:
        for stage in train_cfg.rcnn if isinstance(train_cfg.rcnn, list) else [train_cfg.rcnn]:
            stage.sampler.num = work.rois
        train_cfg.rpn_proposal.max_per_img = max(train_cfg.rpn_proposal.max_per_img, 2 * work.rois)
    return cfg


def teachers_of(cfg: Config) -> list[ConfigDict]:
    """The configs of a config's teachers, in place."""
    several = cfg.model.get('teachers') or {'teacher': cfg.model.get('teacher')}
    return [teacher for teacher in several.values() if teacher is not None]


def build(cfg: Config) -> nn.Module:
    """A detector as the Runner leaves it before the first step."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.init_weights()
    return model.train().to(DEVICE)


def build_distilled(cfg: Config, **teacher: Any) -> nn.Module:
    """A distillation, with other options of its teacher."""
    cfg = copy.deepcopy(cfg)
    cfg.model.teacher.update(teacher)
    return build(cfg)


def student_step(cfg: Config, work: Workload) -> Callable[[], None]:
    """A step of the student alone."""
    return step_of(build(plain_student_config(cfg)), cfg, work)


def step_of(model: nn.Module, cfg: Config, work: Workload) -> Callable[[], None]:
    """A training step: forward, backward, update; the same one whenever it is called."""
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    torch.manual_seed(0)
    head = box_heads(model.roi_head)[0] if hasattr(model, 'roi_head') else model.bbox_head
    batch = work.batch(head.num_classes)

    def step() -> None:
        torch.manual_seed(0)
        model.train_step(copy.deepcopy(batch), optim_wrapper)

    return step


@dataclass(frozen=True)
class PlainTeacher:
    """The teacher as it is in mmdet, in eval mode and single precision, without a graph."""

    detector: nn.Module
    kinds: frozenset[str]

    @classmethod
    def of(cls, model: nn.Module) -> PlainTeacher:
        """The teacher of a distillation, asked for what its distillers ask for."""
        model_cfg = copy.deepcopy(model.teacher.cfg.model)
        drop_pretrained(model_cfg)
        detector = MODELS.build(model_cfg).requires_grad_(False).eval().to(DEVICE)
        return cls(detector, frozenset(kind for distiller in model.distillers.values() for kind in distiller.kinds))

    @property
    def weight_bytes(self) -> int:
        """What its weights take."""
        return sum(tensor.nbytes for tensor in self.detector.state_dict().values())

    def pass_of(self, work: Workload) -> Callable[[], object]:
        """A forward pass as deep as the distillers ask."""
        images, rois = torch.randn(work.images, 3, work.size, work.size, device=DEVICE), work.some_rois()

        def run() -> object:
            knowledge = TeacherKnowledge(self.detector, images)
            found: list[object] = [
                knowledge.features(source) for source in ('backbone', 'neck') if source in self.kinds
            ]
            if 'rpn' in self.kinds:
                found.append(knowledge.rpn)
            if 'roi' in self.kinds:
                found.append(knowledge.roi(0, rois))
            return found

        return run


def loss_seconds(model: nn.Module, step: Callable[[], None]) -> float:
    """What the losses of a distilled step take by themselves, forward and backward, without teacher and adapters.

    Each distiller is called again with the same two sides, now that the teacher and the adapters have answered, and its
    losses are followed back to these answers and to the student's outputs.
    """
    spent = []

    def again(distiller: BaseDistiller, sides: tuple[Any, Any], losses: object) -> None:
        del losses
        with _remembering_adapters(distiller) as adapters:
            distiller.forward(*sides)
            leaves = [adapter.result for adapter in adapters] or _outputs_of(sides[0], distiller.kinds)

            def follow_back() -> None:
                total = sum(distiller.forward(*sides).values())
                torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)

            follow_back()
            spent.append(seconds(follow_back))

    hooks = [
        hook
        for distiller in model.distillers.values()
        for hook in (
            distiller.register_forward_pre_hook(lambda _, sides: (sides[0], _RememberedTeacher(sides[1]))),
            distiller.register_forward_hook(again),
        )
    ]
    step()
    for hook in hooks:
        hook.remove()
    return sum(spent)


def _outputs_of(student: Any, kinds: tuple[str, ...]) -> list[Tensor]:
    """What a distiller's losses depend on."""
    outputs: list[Tensor] = [m for kind in kinds if kind in ('backbone', 'neck') for m in student.features(kind)]
    if 'rpn' in kinds:
        outputs += [m for maps in student.rpn for m in maps]
    if 'roi' in kinds:
        outputs += [tensor for _, found, _ in student.roi_stages() for tensor in found]
    return outputs


@contextmanager
def _remembering_adapters(distiller: BaseDistiller) -> Iterator[list[_RememberedAdapter]]:
    """Inside, the adapters compute once."""
    adapters = getattr(distiller, 'adapters', None)
    if adapters is None:
        yield []
        return
    distiller.adapters = nn.ModuleList(_RememberedAdapter(adapter) for adapter in adapters)
    try:
        yield list(distiller.adapters)
    finally:
        distiller.adapters = adapters


class _RememberedAdapter(nn.Module):
    def __init__(self, adapter: nn.Module) -> None:
        super().__init__()
        self._adapter = adapter
        self.result: Tensor | None = None

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        if self.result is None:
            self.result = self._adapter(feat_s, feat_t).detach().requires_grad_()
        return self.result


class _RememberedTeacher:
    """A teacher's knowledge that judges the RoIs of a stage once; the rest of it remembers by itself."""

    def __init__(self, teacher: TeacherKnowledge) -> None:
        self._teacher = teacher
        self._judged: dict[int, Any] = {}

    def roi(self, stage: int, rois: Tensor) -> Any:
        if stage not in self._judged:
            self._judged[stage] = self._teacher.roi(stage, rois)
        return self._judged[stage]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._teacher, name)

"""The steps that are compared: a student's own, a plain pass of its teacher, and the distilled one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any

import torch
from meter import seconds
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmdet_kd.class_names import classes_of_config
from mmdet_kd.detectors.student_view import shrink
from mmdet_kd.distillers import BaseDistiller
from mmdet_kd.export import plain_student_config, student_state_dict
from mmdet_kd.heads import depths_of
from mmdet_kd.knowledge import TeacherKnowledge
from mmdet_kd.runtime import drop_pretrained, read_checkpoint

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
Batch = dict[str, Any]
Step = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """What a step on pictures of noise has to do.

    Args:
        images: a batch.
        size: of their sides, pixels; or height and width.
        rois: that the RoI head samples, an image.
        boxes: of the ground truth, an image.
    """

    images: int = 2
    size: int | tuple[int, int] = 320
    rois: int = 64
    boxes: int = 5

    def batch(self, cfg: Config) -> Batch:
        """Pictures of noise with random boxes, as a data loader gives them."""
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        shapes = [(3, height, width)] * self.images
        return demo_mm_inputs(self.images, shapes, num_items=[self.boxes] * self.images, num_classes=_num_classes(cfg))

    def prepared(self, cfg: Config) -> Config:
        """A config that samples so many RoIs, if it has some, with untrained teachers."""
        cfg = copy.deepcopy(cfg)
        for teacher in teachers_of(cfg):
            teacher.checkpoint = None
        train_cfg = cfg.model.train_cfg
        if 'rcnn' in train_cfg:
            for stage in train_cfg.rcnn if isinstance(train_cfg.rcnn, list) else [train_cfg.rcnn]:
                stage.sampler.num = self.rois
            train_cfg.rpn_proposal.max_per_img = max(train_cfg.rpn_proposal.max_per_img, 2 * self.rois)
        return cfg


def _num_classes(cfg: Config) -> int:
    model = cfg.model
    if 'roi_head' not in model:
        return model.bbox_head.num_classes
    heads = model.roi_head.bbox_head
    return (heads[0] if isinstance(heads, list) else heads).num_classes


def teachers_of(cfg: Config) -> list[ConfigDict]:
    """The configs of a config's teachers, in place."""
    several = cfg.model.get('teachers') or {'teacher': cfg.model.get('teacher')}
    return [teacher for teacher in several.values() if teacher is not None]


def taught_by_a_detector_alone(cfg: Config) -> bool:
    """Whether a config has one teacher, a detector: a step's tax is counted in its passes."""
    return [teacher.get('type', 'DetectorTeacher') for teacher in teachers_of(cfg)] == ['DetectorTeacher']


def build(cfg: Config, weights: Path | None = None) -> nn.Module:
    """A detector as the Runner leaves it before a step.

    Args:
        cfg: a distillation, or a plain detector.
        weights: a checkpoint of its student, or of the whole distillation.
    """
    cfg = copy.deepcopy(cfg)
    drop_pretrained(cfg.model)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(DEVICE)  # where its teacher is verified
    names = classes_of_config(cfg)
    if names and hasattr(model, 'set_classes'):
        model.set_classes(names)
    model.init_weights()
    if weights is not None:
        state_dict = read_checkpoint(weights)['state_dict']
        taught = hasattr(model, 'distillers')
        model.load_state_dict(state_dict if taught else student_state_dict(state_dict))
    return model.train()


def build_distilled(cfg: Config, weights: Path | None = None, **teacher: Any) -> nn.Module:
    """A distillation, with other options of its only teacher."""
    cfg = copy.deepcopy(cfg)
    teachers_of(cfg)[0].update(teacher)
    return build(cfg, weights)


def student_step(cfg: Config, batch: Batch, weights: Path | None = None) -> Step:
    """A step of the student alone, on what it would see of a batch."""
    scale = cfg.model.get('student_scale')
    if scale is not None:
        batch, _ = shrink(batch, scale)
    return step_of(build(plain_student_config(cfg), weights), cfg, batch)


def step_of(model: nn.Module, cfg: Config, batch: Batch) -> Step:
    """A training step: forward, backward, update; the same one whenever it is called, since its learning rate is 0."""
    wrapper = copy.deepcopy(cfg.optim_wrapper)
    wrapper.optimizer.lr = 0.0
    optim_wrapper = build_optim_wrapper(model, wrapper)

    def step() -> None:
        torch.manual_seed(0)
        model.train_step(copy.deepcopy(batch), optim_wrapper)

    return step


class PlainTeacher:
    """The teacher as it is in mmdet, in eval mode and single precision, without a graph.

    Args:
        model: a distillation with one teacher, a detector.
        step: of it; what its distillers ask in this step is asked again in each pass.
    """

    def __init__(self, model: nn.Module, step: Step) -> None:
        model_cfg = copy.deepcopy(model.teacher.cfg.model)
        drop_pretrained(model_cfg)
        self.detector = MODELS.build(model_cfg).requires_grad_(False).eval().to(DEVICE)
        self.questions: list[Callable[[TeacherKnowledge], object]] = []
        self._tower_depths = model.teacher.tower_depths
        self._view: dict[str, Any] = {}
        with _before_distillers(model, self._listen):
            step()

    @property
    def weight_bytes(self) -> int:
        """What its weights take."""
        return state_bytes(self.detector)

    def pass_over(self, batch: Batch) -> Step:
        """A forward pass over noise as large as the teacher's view of the batch, as deep as the distillers asked."""
        images = torch.randn(len(batch['inputs']), 3, *self._view['canvas'], device=DEVICE)

        def run() -> None:
            knowledge = TeacherKnowledge(self.detector, images, self._view['ratios'], tower_depths=self._tower_depths)
            for question in self.questions:
                question(knowledge)

        return run

    def _listen(self, student: Any, teacher: TeacherKnowledge, step: Any) -> tuple[Any, Any, Any]:
        self._view = dict(canvas=teacher.canvas, ratios=teacher.ratios)
        return student, _Overheard(teacher, self.questions), step


class _Overheard:
    """A teacher's knowledge, all questions to which are noted."""

    def __init__(self, knowledge: TeacherKnowledge, questions: list[Callable[[TeacherKnowledge], object]]) -> None:
        self._knowledge, self._questions = knowledge, questions

    def __getattr__(self, name: str) -> Any:
        answer = getattr(self._knowledge, name)
        if not callable(answer):
            self._questions.append(attrgetter(name))
            return answer

        def ask(*args: Any) -> Any:
            self._questions.append(methodcaller(name, *args))
            return answer(*args)

        return ask


@contextmanager
def _before_distillers(model: nn.Module, see: Callable[[Any, Any, Any], tuple[Any, Any, Any]]) -> Iterator[None]:
    """Inside, distillers are handed what ``see`` makes of the student's and the teacher's knowledge."""
    hooks = [each.register_forward_pre_hook(lambda _, sides: see(*sides)) for each in model.distillers.values()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def state_bytes(module: nn.Module) -> int:
    """What the weights and statistics of a module take."""
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def loss_seconds(model: nn.Module, step: Step) -> float:
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

    hooks = [distiller.register_forward_hook(again) for distiller in model.distillers.values()]
    with _before_distillers(model, lambda student, teacher, step: (student, _RememberedTeacher(teacher), step)):
        step()
    for hook in hooks:
        hook.remove()
    return sum(spent)


def _outputs_of(student: Any, kinds: tuple[str, ...]) -> list[Tensor]:
    """What a distiller's losses depend on."""
    outputs: list[Tensor] = [m for kind in kinds if kind in ('backbone', 'neck') for m in student.features(kind)]
    if 'rpn' in kinds:
        outputs += [m for maps in student.rpn for m in maps]
    if 'dense' in kinds:
        outputs += [*student.dense.maps.scores, *student.dense.maps.regressed]
    for depth in depths_of({kind.removeprefix('dense.') for kind in kinds}):
        outputs += [m for maps in student.dense_towers(depth) for m in maps]
    if 'roi' in kinds:
        outputs += [tensor for _, found, _ in student.roi_stages() for tensor in found if tensor is not None]
    if 'roi.masks' in kinds:
        outputs += [masks.logits for _, masks in student.roi_masks()]
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
        self._masks: dict[int, Tensor] = {}

    def roi(self, stage: int, rois: Tensor) -> Any:
        if stage not in self._judged:
            self._judged[stage] = self._teacher.roi(stage, rois)
        return self._judged[stage]

    def masks(self, stage: int, rois: Tensor, labels: Tensor) -> Tensor:
        if stage not in self._masks:
            self._masks[stage] = self._teacher.masks(stage, rois, labels)
        return self._masks[stage]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._teacher, name)

"""Distillation around any detector whose ``loss()`` is left as it is."""

import copy
import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..distillers import BaseDistiller, Pair, Side
from ..errors import DistillationError, raise_if_any
from ..export import with_num_classes
from ..knowledge import Truth, observe_student
from ..teachers import BaseTeacher, Batch, classes_in_training
from .class_check import class_problems
from .loss_guard import FiniteLossGuard
from .teachers_by_name import build_teachers, teacher_of
from .two_views import TwoViews, check_student_scale


class KnowledgeDistillationMixin:
    """Makes a student of the detector class that follows it in the bases.

    The teacher is held outside the registered modules, so that it is in nobody's ``parameters()``, ``state_dict()``,
    optimizer, DDP bucket or checkpoint; it follows the student from device to device all the same.

    Args:
        teacher: config of the teacher; its ``type`` is :class:`~mmdet_kd.teachers.DetectorTeacher` if not given.
        teachers: name -> config of a teacher, instead, where there are several. A distiller learns from the one that
            its ``teacher`` names, or from the only one of its sort. Each looks at a batch once.
        distillers: name -> config of a distiller. None as a config leaves an inherited one out.
        student_scale: size of the student's pictures relative to the loaded ones, in (0, 1). The pipeline loads them at
            the teacher's size; the student sees the same crop and flip, smaller. None: both see what is loaded.
        num_classes: of every box and mask head, which have theirs if it is not given.
        **student: the keys of the plain detector.

    Raises:
        DistillationError: the teacher, the student and the distillers do not fit together; lists all that does not.
    """

    def __init__(
        self,
        *,
        distillers: Mapping[str, dict | None],
        teacher: dict | None = None,
        teachers: Mapping[str, dict] | None = None,
        student_scale: float | None = None,
        num_classes: int | None = None,
        **student: Any,
    ) -> None:
        check_student_scale(student_scale)
        if num_classes is not None:
            student = with_num_classes(student, num_classes)
        student_cfg = ConfigDict(copy.deepcopy(student))
        super().__init__(**student)
        self._hold_teachers(build_teachers(teacher, teachers))
        self.student_scale = student_scale
        self.distillers = self._build_distillers(distillers, student_cfg)
        self._views: TwoViews | None = None
        self._guard = FiniteLossGuard()

    def init_weights(self) -> None:
        """Initialise the student as mmdet does, then load the teachers and check that they fit it.

        mmengine's Runner calls this when a training starts, and never for a test.

        Raises:
            DistillationError: a teacher's weights or classes do not fit; lists all that does not.
        """
        super().init_weights()
        for teacher in self.teachers.values():
            teacher.load(next(self.parameters()).device)
        raise_if_any(self._class_problems() + self._view_problems())

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Any]:
        """The student's own losses, and ``<distiller>.loss_<part>`` for each part of each distiller.

        Args:
            batch_inputs: the student's normalised batch (N, 3, H, W).
            batch_data_samples: annotations and meta information of each image.
        """
        loaded = None if self._views is None else self._views.take()
        at_work = [distiller for distiller in self.distillers.values() if distiller.at_work]
        kinds = {kind for distiller in at_work for kind in distiller.kinds}
        with observe_student(self, kinds, tuple(batch_inputs.shape[-2:])) as student:
            losses = super().loss(batch_inputs, batch_data_samples)
            teachers = _Looks(self.teachers, Batch(batch_inputs, _truth(batch_data_samples), loaded))
            soft = {}
            for name, distiller in self.distillers.items():
                teacher = teachers[self._teacher_of[name]] if distiller.at_work else None
                parts = distiller(student, teacher) if distiller.at_work else distiller.idle(batch_inputs.device)
                soft.update({f'{name}.loss_{part}': distiller.weight * loss for part, loss in parts.items()})
        self._guard.watch(soft)
        return {**{name: self._weigh(name, loss) for name, loss in losses.items()}, **soft}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The student's weights and the adapters'; refuses to be saved after a loss that was not finite."""
        self._guard.drain()
        return super().state_dict(*args, **kwargs)

    def _weigh(self, name: str, loss: Any) -> Any:
        """One of the student's own losses (a tensor, or a list with one a level) in its mix with the soft ones."""
        weight = 1.0
        for distiller in self.distillers.values():
            weight *= distiller.hard_loss_weight(name)
        if weight == 1.0:
            return loss
        return [weight * level for level in loss] if isinstance(loss, (list, tuple)) else weight * loss

    # The teachers: held, moved, but not registered.

    @property
    def teacher(self) -> BaseTeacher:
        """The only teacher.

        Raises:
            ValueError: there are several.
        """
        (teacher,) = self.teachers.values()
        return teacher

    def _hold_teachers(self, teachers: dict[str, BaseTeacher]) -> None:
        self.__dict__['teachers'] = teachers

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Move the teachers along: ``to()``, ``cuda()`` and ``half()`` all come here, also from a wrapper."""
        for teacher in self.teachers.values():
            teacher._apply(fn, recurse)
        return super()._apply(fn, recurse)

    # Building and checking.

    @property
    @abstractmethod
    def head_classes(self) -> int:
        """How many classes the student's heads know."""

    def _build_distillers(self, configs: Mapping[str, dict | None], student_cfg: ConfigDict) -> nn.ModuleDict:
        if not isinstance(configs, Mapping) or all(cfg is None for cfg in configs.values()):
            raise DistillationError(
                [f'distillers is {configs!r}: nothing would be distilled. Write dict(name=dict(type=...), ...)']
            )
        configs = {name: cfg for name, cfg in configs.items() if cfg is not None}
        student = Side('student', self, student_cfg)
        pairs = {name: self._pair_with(teacher, student) for name, teacher in self.teachers.items()}
        distillers, problems = nn.ModuleDict(), []
        self._teacher_of: dict[str, str] = {}
        with torch.random.fork_rng(devices=[]):  # adapters draw no numbers that the student would draw without them
            for name, cfg in configs.items():
                try:
                    self._teacher_of[name] = self._find_teacher(cfg)
                    distillers[_checked_name(name)] = _build_distiller(cfg, pairs[self._teacher_of[name]])
                except DistillationError as error:
                    problems += [f'distillers.{name}: {problem}' for problem in error.problems]
        raise_if_any(problems or self._idle_teachers())
        return distillers

    def _pair_with(self, teacher: BaseTeacher, student: Side) -> Pair:
        shape = Side('teacher', teacher.build_shape(), teacher.cfg.model)
        return Pair(student, shape, self.student_scale, teacher.classes_by_name)

    def _find_teacher(self, cfg: Any) -> str:
        if not isinstance(cfg, Mapping):
            raise DistillationError([f'must be dict(type=...), not {cfg!r}'])
        return teacher_of(cfg.get('teacher'), _distiller_class(cfg).learns_from, self.teachers)

    def _idle_teachers(self) -> list[str]:
        return [
            f'teachers.{name}: no distiller learns from it; leave it out, or add a distiller'
            for name in self.teachers
            if name not in self._teacher_of.values()
        ]

    def _class_problems(self) -> list[str]:
        problems = [
            problem
            for name, teacher in self.teachers.items()
            for problem in class_problems(
                classes_in_training(),
                self.head_classes,
                teacher,
                any(self.distillers[each].compares_classes for each, of in self._teacher_of.items() if of == name),
            )
        ]
        return list(dict.fromkeys(problems))

    def _view_problems(self) -> list[str]:
        """Compare how all sides look at a picture; where they differ, keep the loaded pictures for the teachers."""
        student = self.data_preprocessor
        problems = [p for teacher in self.teachers.values() for p in teacher.preprocessing_problems(student)]
        if self.student_scale is None and not any(t.wants_loaded_pictures(student) for t in self.teachers.values()):
            return problems
        if self._views is None:
            self._views = TwoViews(self.student_scale)
            student.register_forward_pre_hook(self._views)
        if not getattr(student, 'batch_augments', None):
            return problems
        return [
            *problems,
            'the teacher sees the pictures as they were loaded, with a data_preprocessor or a size of its own, and '
            'batch_augments would change only what the student sees: remove batch_augments, or have both sides look '
            'alike',
        ]


class _Looks(dict):
    """What each teacher makes of a batch, once it is asked for."""

    def __init__(self, teachers: Mapping[str, BaseTeacher], batch: Batch) -> None:
        super().__init__()
        self._teachers, self._batch = teachers, batch

    def __missing__(self, name: str) -> Any:
        self[name] = self._teachers[name].see(self._batch)
        return self[name]


def _truth(data_samples: SampleList) -> Truth:
    instances = [sample.gt_instances for sample in data_samples]
    return Truth([get_box_tensor(each.bboxes) for each in instances], [each.labels for each in instances])


def _checked_name(name: str) -> str:
    # A stage of a cascade logs its losses as s0.loss_cls; the rest are names that a ModuleDict has taken.
    if '.' in name or hasattr(nn.ModuleDict, name) or re.fullmatch(r's\d+', name):
        raise DistillationError(['this name is taken; choose another, without a dot'])
    return name


def _distiller_class(cfg: Mapping[str, Any]) -> type[BaseDistiller]:
    kind = cfg.get('type')
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if inspect.isclass(found) and issubclass(found, BaseDistiller):
        return found
    package = __name__.partition('.')[0] + '.'
    ours = [
        name
        for name, module in MODELS.module_dict.items()
        if module.__module__.startswith(package) and inspect.isclass(module) and issubclass(module, BaseDistiller)
    ]
    raise DistillationError([f'{kind!r} is not a distiller. This package has {", ".join(sorted(ours))}'])


def _build_distiller(cfg: Mapping[str, Any], pair: Pair) -> BaseDistiller:
    arguments = {key: value for key, value in cfg.items() if key not in ('type', 'teacher')}
    try:
        return MODELS.build({'type': _distiller_class(cfg), **arguments, 'pair': pair})
    except DistillationError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DistillationError([str(error)]) from error

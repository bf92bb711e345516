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
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..distillers import BaseDistiller, Pair, Side
from ..errors import DistillationError, raise_if_any
from ..export import with_num_classes
from ..knowledge import TeacherKnowledge, observe_student
from ..teachers import DetectorTeacher, classes_in_training, preprocess_alike
from .class_check import class_problems
from .loss_guard import FiniteLossGuard
from .two_views import LoadedPictures, TwoViews, check_student_scale


class KnowledgeDistillationMixin:
    """Makes a student of the detector class that follows it in the bases.

    The teacher is held outside the registered modules, so that it is in nobody's ``parameters()``, ``state_dict()``,
    optimizer, DDP bucket or checkpoint; it follows the student from device to device all the same.

    Args:
        teacher: config of the teacher; its ``type`` is :class:`~mmdet_kd.teachers.DetectorTeacher` if not given.
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
        teacher: dict,
        distillers: Mapping[str, dict | None],
        student_scale: float | None = None,
        num_classes: int | None = None,
        **student: Any,
    ) -> None:
        check_student_scale(student_scale)
        if num_classes is not None:
            student = with_num_classes(student, num_classes)
        student_cfg = ConfigDict(copy.deepcopy(student))
        super().__init__(**student)
        self._hold_teacher(_build_teacher(teacher))
        self.student_scale = student_scale
        self.distillers = self._build_distillers(distillers, student_cfg)
        self._views: TwoViews | None = None
        self._guard = FiniteLossGuard()

    def init_weights(self) -> None:
        """Initialise the student as mmdet does, then load the teacher and check that the two fit.

        mmengine's Runner calls this when a training starts, and never for a test.

        Raises:
            DistillationError: the teacher's weights or classes do not fit; lists all that does not.
        """
        super().init_weights()
        self.teacher.load(next(self.parameters()).device)
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
            teacher = self._look(batch_inputs, loaded) if at_work else None
            soft = {}
            for name, distiller in self.distillers.items():
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

    # The teacher: held, moved, but not registered.

    def _hold_teacher(self, teacher: DetectorTeacher) -> None:
        self.__dict__['teacher'] = teacher

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Move the teacher along: ``to()``, ``cuda()`` and ``half()`` all come here, also from a wrapper."""
        self.teacher._apply(fn, recurse)
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
        pair = Pair(
            Side('student', self, student_cfg),
            Side('teacher', self.teacher.build_shape(), self.teacher.cfg.model),
            self.student_scale,
            self.teacher.classes_by_name,
        )
        distillers, problems = nn.ModuleDict(), []
        with torch.random.fork_rng(devices=[]):  # adapters draw no numbers that the student would draw without them
            for name, cfg in configs.items():
                try:
                    distillers[_checked_name(name)] = _build_distiller(cfg, pair)
                except DistillationError as error:
                    problems += [f'distillers.{name}: {problem}' for problem in error.problems]
        raise_if_any(problems)
        return distillers

    def _class_problems(self) -> list[str]:
        return class_problems(
            classes_in_training(),
            self.head_classes,
            self.teacher,
            any(distiller.compares_classes for distiller in self.distillers.values()),
        )

    def _view_problems(self) -> list[str]:
        """Compare how both sides look at a picture; where they differ, keep the loaded pictures for the teacher."""
        student, teacher = self.data_preprocessor, self.teacher.detector.data_preprocessor
        if self.student_scale is None and preprocess_alike(student, teacher):
            return []
        if self._views is None:
            self._views = TwoViews(self.student_scale)
            student.register_forward_pre_hook(self._views)
        if not getattr(student, 'batch_augments', None):
            return []
        return [
            'the teacher sees the pictures as they were loaded, with a data_preprocessor or a size of its own, and '
            'batch_augments would change only what the student sees: remove batch_augments, or have both sides look '
            'alike'
        ]

    def _look(self, batch_inputs: Tensor, loaded: LoadedPictures | None) -> TeacherKnowledge:
        """Show the teacher the batch as it would see it alone."""
        if loaded is None:
            return self.teacher.look(batch_inputs)
        return self.teacher.look(self.teacher.preprocess(loaded.pictures), loaded.ratios)


def _build_teacher(cfg: Mapping[str, Any]) -> DetectorTeacher:
    known = {'type', *inspect.signature(DetectorTeacher).parameters}
    if not isinstance(cfg, Mapping) or 'config' not in cfg or not set(cfg) <= known:
        given = f'dict({", ".join(f"{key}=..." for key in cfg)})' if isinstance(cfg, Mapping) else repr(cfg)
        raise DistillationError([f'teacher must be dict(config=..., checkpoint=...), not {given}'])
    return MODELS.build({'type': 'DetectorTeacher', **cfg})


def _checked_name(name: str) -> str:
    # A stage of a cascade logs its losses as s0.loss_cls; the rest are names that a ModuleDict has taken.
    if '.' in name or hasattr(nn.ModuleDict, name) or re.fullmatch(r's\d+', name):
        raise DistillationError(['this name is taken; choose another, without a dot'])
    return name


def _build_distiller(cfg: dict, pair: Pair) -> BaseDistiller:
    if not isinstance(cfg, Mapping):
        raise DistillationError([f'must be dict(type=...), not {cfg!r}'])
    try:
        distiller = MODELS.build({**cfg, 'pair': pair})
    except DistillationError:
        raise
    except KeyError as error:
        package = __name__.partition('.')[0] + '.'
        ours = [name for name, module in MODELS.module_dict.items() if module.__module__.startswith(package)]
        raise DistillationError([f'{error.args[0]} This package has {", ".join(sorted(ours))}.']) from error
    except (TypeError, ValueError) as error:
        raise DistillationError([str(error)]) from error
    if not isinstance(distiller, BaseDistiller):
        raise DistillationError([f'{type(distiller).__name__} is not a distiller'])
    return distiller

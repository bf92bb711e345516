"""Distillation around any detector whose ``loss()`` is left as it is."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..backbones import maps_of_a_picture
from ..class_names import read_class_names
from ..distillers import Model, ModelPair, Shares
from ..errors import raise_if_any
from ..export import num_classes_problems, with_num_classes
from ..knowledge import StudentKnowledge, canvas_problems, observe_student
from ..runtime import check_pretrained
from ..teachers import BaseTeacher, Batch
from .channel_check import channel_problems
from .class_check import training_class_problems
from .distillers_by_name import build_distillers
from .inheritance import check_inheritance, inherit
from .loss_guard import FiniteLossGuard
from .stopping import StopNotice, stop_problems
from .student_class import OF_THE_BASE, bare_student, find_detector_class, student_class
from .student_keys import lost_class_problems, student_key_problems
from .teachers_by_name import build_teachers
from .two_views import TwoViews, check_student_scale


class KnowledgeDistillationMixin:
    """Makes a student of the detector class that follows it in the bases.

    The teacher is held outside the registered modules, so that it is in nobody's ``parameters()``, ``state_dict()``,
    optimizer, DDP bucket or checkpoint; it follows the student from device to device all the same.

    Where a config names a ``detector``, the object is of a class made of its ``type`` and that detector class of mmdet,
    whose own constructor, ``loss()`` and hooks it has.

    Args:
        detector: the detector class of mmdet that the student is, by its registered name; the one that follows in the
            bases if it is not given.
        teacher: config of the teacher; its ``type`` is :class:`~mmdet_kd.teachers.DetectorTeacher` if not given.
        teachers: name -> config of a teacher, instead, where there are several. A distiller learns from the one that
            its ``teacher`` names, or from the only one of its sort. Each looks at a batch once.
        distillers: name -> config of a distiller. None as a config leaves an inherited one out.
        student_scale: size of the student's pictures relative to the loaded ones, in (0, 1). The pipeline loads them at
            the teacher's size; the student sees the same crop and flip, smaller. None: both see what is loaded.
        num_classes: of every head that scores the classes of the data, which have theirs if it is not given.
        **student: the keys of the plain detector.

    Raises:
        DistillationError: the teacher, the student and the distillers do not fit together; lists all that does not.
    """

    #: What a class is made of that was chosen by a ``detector``: the registered class, and that of mmdet.
    made_of: ClassVar[tuple[type, type] | None] = None

    def __new__(cls, *args: Any, detector: str | type | None = None, **keys: Any) -> 'KnowledgeDistillationMixin':
        """An object of the class that ``detector`` asks for. A copy is made without any arguments."""
        del args, keys  # __init__ takes them
        if detector is not None:
            plain = find_detector_class(detector, cls, cls.plain_class(), KnowledgeDistillationMixin)
            return super().__new__(student_class(cls, plain))
        if inspect.isabstract(cls):
            raise_if_any([f"{cls.__name__} needs the student's own class, such as detector='DETR', or {OF_THE_BASE}"])
        return super().__new__(cls)

    def __init__(
        self,
        *,
        detector: str | type | None = None,
        distillers: Mapping[str, dict | None] | None = None,
        teacher: dict | None = None,
        teachers: Mapping[str, dict] | None = None,
        student_scale: float | None = None,
        num_classes: int | None = None,
        **student: Any,
    ) -> None:
        del detector  # __new__ has taken it
        self._refuse_what_is_of_another_class(student)
        check_student_scale(student_scale)
        if num_classes is not None:
            student = with_num_classes(student, num_classes)
        student_cfg = ConfigDict(copy.deepcopy(student))
        super().__init__(**student)
        self._student_cfg = student_cfg
        self._guard = FiniteLossGuard()
        raise_if_any([] if num_classes is None else num_classes_problems(self, num_classes))
        self._hold_teachers(build_teachers(teacher, teachers))
        self.student_scale = student_scale
        as_student = Model('student', self, student_cfg)
        pairs = {name: self._pair(as_student, teacher) for name, teacher in self.teachers.items()}
        raise_if_any([p for name, pair in pairs.items() for p in channel_problems(pair, self.teachers[name])])
        raise_if_any(canvas_problems('student', self))
        check_inheritance(self.teachers, pairs)
        self.distillers, self._teacher_of = build_distillers(distillers, self.teachers, pairs)
        self._class_names: tuple[str, ...] | None = None
        self._views: TwoViews | None = None
        self._stop_notice = StopNotice()
        self._stop_problems: list[str] = []

    def set_classes(self, names: Sequence[str]) -> None:
        """Say which classes the training set has, before ``init_weights()`` compares them with the teachers'.

        :class:`~mmdet_kd.hooks.TrainingClassesHook` does so in a training by mmengine's Runner.

        Args:
            names: of the classes, in the order of the labels.
        """
        self._class_names = read_class_names(names, 'detector.set_classes()')

    def set_epochs(self, count: int | None) -> None:
        """Say how long the training is, before ``init_weights()`` looks whether each distiller stops in it as it is to.

        :class:`~mmdet_kd.hooks.TrainingClassesHook` does so in a training by mmengine's Runner. Otherwise the first
        step looks.

        Args:
            count: of epochs; None where the training counts iterations alone.
        """
        self._stop_problems = stop_problems(self.distillers, count)

    def init_weights(self) -> None:
        """Initialise the student as mmdet does, then load the teachers and check that they fit it.

        A teacher with ``inherit`` gives the student the weights of its neck and heads. mmengine's Runner calls this
        when a training starts, and never for a test.

        Raises:
            DistillationError: weights that the student is to start from are missing, a teacher's weights or classes
                do not fit, or a distiller cannot stop when it is to; lists all that does not.
        """
        check_pretrained(self._student_cfg)
        super().init_weights()
        for name, teacher in self.teachers.items():
            heir = partial(inherit, self, self._student_cfg, teacher.cfg.model) if teacher.inherit else None
            teacher.load(next(self.parameters()).device, self._kinds_asked_of(name), heir)
        raise_if_any(self._class_problems() + self._view_problems() + self._stop_problems)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Any]:
        """The student's own losses, and ``<distiller>.loss_<part>`` for each part of each distiller.

        Args:
            batch_inputs: the student's normalised batch (N, 3, H, W).
            batch_data_samples: annotations and meta information of each image.
        """
        loaded = None if self._views is None else self._views.take()
        self._stop_notice.watch(self.distillers)
        shares = Shares({name: None if each.has_stopped else each.claim for name, each in self.distillers.items()})
        kinds = {kind for distiller in self.distillers.values() if distiller.is_active for kind in distiller.kinds}
        with observe_student(self, kinds) as student:
            losses = super().loss(batch_inputs, batch_data_samples)
            batch = Batch.of(batch_inputs, batch_data_samples, loaded, maps_of_a_picture(self.backbone, training=True))
            shares.check(losses)
            soft = self._soft_losses(student, batch, shares)
        self._guard.watch(soft)
        return {**{name: _times(shares.hard(name), loss) for name, loss in losses.items()}, **soft}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The student's weights and the adapters'; refuses to be saved after a loss that was not finite."""
        self._guard.drain()
        return super().state_dict(*args, **kwargs)

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        """Name the two classes of which that of this object is made, which cannot be imported by a name of its own."""
        made, arguments, *state = super().__reduce_ex__(protocol)
        return (made, arguments, *state) if self.made_of is None else (bare_student, self.made_of, *state)

    def _soft_losses(self, student: StudentKnowledge, batch: Batch, shares: Shares) -> dict[str, Tensor]:
        """The losses of all distillers; a teacher observes the batch once, if an active distiller learns from it."""
        soft, observed = {}, {}
        for name, distiller in self.distillers.items():
            if distiller.is_active:
                teacher = self._teacher_of[name]
                if teacher not in observed:
                    knowledge = self.teachers[teacher].observe(batch)
                    observed[teacher] = knowledge, batch.step(knowledge.canvas, knowledge.ratios)
                parts = distiller(student, *observed[teacher])
            else:
                parts = distiller.idle(batch.images.device)
            for part, loss in parts.items():
                soft[f'{name}.loss_{part}'] = distiller.weight * _times(shares.soft(name, part), loss)
        return soft

    # What it is made of, for who looks at it.

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Of the training set, in the order of the labels; None if nobody told it."""
        return self._class_names

    @property
    def teacher_of(self) -> Mapping[str, str]:
        """Name of a distiller -> name of the teacher that it learns from."""
        return self._teacher_of

    def pair_with(self, teacher: str) -> ModelPair:
        """The student beside the shapes of one of its teachers, as the distillers see the two when they are built.

        Args:
            teacher: its name.
        """
        return self._pair(Model('student', self, self._student_cfg), self.teachers[teacher])

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

    @classmethod
    def plain_class(cls) -> type:
        """The detector class of mmdet that the student is."""
        return cls.__mro__[cls.__mro__.index(KnowledgeDistillationMixin) + 1]

    @classmethod
    def _refuse_what_is_of_another_class(cls, student: Mapping[str, Any]) -> None:
        parameters = inspect.signature(KnowledgeDistillationMixin.__init__).parameters
        own = [key for key in parameters if key not in ('self', 'student')]
        ours, plain = (cls, cls.plain_class()) if cls.made_of is None else cls.made_of
        raise_if_any(student_key_problems(ours.__name__, plain, student, own))
        raise_if_any([] if cls.made_of else lost_class_problems(plain, student))

    def _pair(self, student: Model, teacher: BaseTeacher) -> ModelPair:
        shape = Model('teacher', teacher.build_shape(), teacher.cfg.model)
        return ModelPair(student, shape, self.student_scale, teacher.classes_by_name)

    def _kinds_asked_of(self, teacher: str) -> set[str]:
        """The kinds of knowledge that the distillers ask of a teacher, those included whose weight is 0 at present."""
        learners = (self.distillers[name] for name, of in self._teacher_of.items() if of == teacher)
        return {kind for distiller in learners for kind in distiller.kinds}

    def _class_problems(self) -> list[str]:
        comparing = {of for name, of in self._teacher_of.items() if self.distillers[name].compares_classes}
        return training_class_problems(self._class_names, self, self.teachers, comparing)

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


def _times(factor: float, loss: Any) -> Any:
    """A loss, a tensor or a list with one a level, times its share."""
    if factor == 1.0:
        return loss
    return [factor * level for level in loss] if isinstance(loss, (list, tuple)) else factor * loss

"""All checks of a distillation whose runner is built."""

from collections.abc import Iterator
from itertools import islice

from mmengine.runner import Runner
from torch import nn

from ..detectors import KnowledgeDistillationMixin
from ..detectors.teachers_by_name import teacher_of
from ..errors import DistillationError
from ..hooks import LossWeightRampHook
from ..teachers import BaseTeacher, ClassifierTeacher
from .gradients import judge_losses, take_steps
from .pictures import Pictures, training_pictures, validation_pictures
from .teacher_quality import judge_teacher
from .trained_parts import judge_training
from .verdict import Tell, Verdict


def check_training(
    runner: Runner, steps: int = 3, pictures: int = 24, tell: Tell = lambda line: None
) -> Iterator[Verdict]:
    """Look at a distillation; what the build refuses is not looked at again.

    No weight is changed, but the batch norms of the student see the batches, and the random generator moves on: build
    another runner to train.

    Args:
        runner: of the training, where a training begins: its data sets built, the student initialised, the teachers
            loaded.
        steps: batches to take, > 0.
        pictures: that each teacher is tested on, > 0.
        tell: is told how long a part of the check will take, if that is long.

    Raises:
        DistillationError: the model of the config has no teacher.
    """
    model: nn.Module = runner.model
    if not isinstance(model, KnowledgeDistillationMixin):
        raise DistillationError(
            [f'the model is a {type(model).__name__}, which has no teacher: name the config of a distillation']
        )
    comparing = _comparing(runner, model)
    for name, teacher in model.teachers.items():
        who = 'teacher' if len(model.teachers) == 1 else f'teachers.{name}'
        yield judge_teacher(teacher, who, _pictures_for(teacher, runner, pictures), name in comparing, tell)
    yield from judge_training(model, runner.build_optim_wrapper(runner.cfg.optim_wrapper))
    set_ramps_halfway(runner)
    taken = take_steps(model.train(), islice(runner.train_loop.dataloader, steps), steps, tell)
    yield from judge_losses(model, taken)
    yield Verdict('a step', f'{taken.typical_seconds:.2f} s, {taken.memory / 2**20:.0f} MiB at most')


def set_ramps_halfway(runner: Runner) -> None:
    """Give the numbers that hooks move the value halfway: at an end of its ramp a distiller may teach nothing."""
    for hook in runner.hooks:
        if isinstance(hook, LossWeightRampHook):
            hook.before_train(runner)
            hook.set_to((hook.start + hook.stop) / 2)


def _pictures_for(teacher: BaseTeacher, runner: Runner, count: int) -> Pictures:
    """Those that a teacher is tested on.

    They are of the training set if there is no other, or if they must be as the training loads them: for a teacher of
    pictures of another size than the student's, and for a classifier, which looks at the true boxes in them.
    """
    as_loaded = runner.model.student_scale is not None or isinstance(teacher, ClassifierTeacher)
    if as_loaded or runner.val_loop is None:
        return training_pictures(runner, count)
    return validation_pictures(runner, count)


def _comparing(runner: Runner, model: KnowledgeDistillationMixin) -> set[str]:
    """Names of the teachers whose class scores a distiller compares."""
    named = runner.cfg.model.distillers
    return {
        teacher_of(named[name].get('teacher'), type(distiller).learns_from, model.teachers)
        for name, distiller in model.distillers.items()
        if distiller.compares_classes
    }

"""All checks of a distillation whose runner is built."""

from collections.abc import Iterator
from itertools import islice

from mmengine.runner import Runner

from ..detectors import KnowledgeDistillationMixin
from ..errors import DistillationError
from ..teachers import BaseTeacher, ClassifierTeacher
from .gradients import Steps, judge_losses, take_steps
from .held_out import judge_validation
from .pair import describe_pair
from .pictures import Pictures, training_pictures, validation_pictures
from .places import watched_places
from .scale import judge_scale
from .schedule import judge_schedule
from .start import set_ramps
from .teacher_quality import judge_teacher
from .trained_parts import judge_training
from .verdict import Tell, Verdict


def check_training(
    runner: Runner, steps: int = 3, pictures: int = 24, tell: Tell = lambda line: None, ranks: int = 1
) -> Iterator[Verdict]:
    """Look at a distillation; what the build refuses is not looked at again.

    No weight is changed, but the batch norms of the student see the batches, and the random generator moves on: build
    another runner to train.

    Args:
        runner: of the training, where a training begins: its data sets built, the student initialised, the teachers
            loaded; see :func:`~mmdet_kd.checks.begin_training`.
        steps: batches to take, > 0.
        pictures: that each teacher is tested on, > 0.
        tell: is told how long a part of the check will take, if that is long.
        ranks: processes that will train together, > 0.

    Raises:
        DistillationError: the model of the config has no teacher.
    """
    model = _distilled(runner)
    comparing = {of for name, of in model.teacher_of.items() if model.distillers[name].compares_classes}
    for name, teacher in model.teachers.items():
        who = 'teacher' if len(model.teachers) == 1 else f'teachers.{name}'
        yield judge_teacher(teacher, who, _pictures_for(teacher, runner, pictures), name in comparing, tell)
    yield from judge_validation(runner)
    yield from judge_scale(runner)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
    yield from judge_training(model, runner.optim_wrapper)
    yield from judge_schedule(runner, ranks)
    with watched_places(model) as places:
        taken = take_training_steps(runner, steps, tell)
    yield from judge_losses(model, taken)
    yield from places.describe()
    mixed = 'Amp' in str(runner.cfg.optim_wrapper.get('type'))
    yield Verdict('a step', taken.describe() + ('; in single precision, the training is in mixed' if mixed else ''))


def describe_training(runner: Runner) -> list[str]:
    """What is distilled from whom; see :func:`~mmdet_kd.checks.describe_pair`.

    Args:
        runner: as for :func:`check_training`.

    Raises:
        DistillationError: the model of the config has no teacher.
    """
    return describe_pair(_distilled(runner), runner.hooks)


def take_training_steps(runner: Runner, count: int, tell: Tell = lambda line: None, ramps: float = 0.5) -> Steps:
    """Take the first steps of a training, without changing a weight.

    Args:
        runner: as for :func:`check_training`.
        count: of steps, > 0.
        tell: is told how long they will take, if that is long.
        ramps: share of their way at which the numbers are looked at that hooks move; see :func:`set_ramps`.
    """
    set_ramps(runner, ramps)
    return take_steps(_distilled(runner).train(), islice(runner.train_loop.dataloader, count), count, tell)


def _distilled(runner: Runner) -> KnowledgeDistillationMixin:
    model = runner.model
    if not isinstance(model, KnowledgeDistillationMixin):
        raise DistillationError(
            [f'the model is a {type(model).__name__}, which has no teacher: name the config of a distillation']
        )
    return model


def _pictures_for(teacher: BaseTeacher, runner: Runner, count: int) -> Pictures:
    """Those that a teacher is tested on.

    They are of the training set if there is no other, or if they must be as the training loads them: for a teacher of
    pictures of another size than the student's, and for a classifier, which looks at the true boxes in them.
    """
    as_loaded = runner.model.student_scale is not None or isinstance(teacher, ClassifierTeacher)
    if as_loaded or runner.val_loop is None:
        return training_pictures(runner, count)
    return validation_pictures(runner, count)

"""All checks of a distillation, from its config."""

from collections.abc import Iterator
from itertools import islice
from statistics import median

from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from ..detectors import KnowledgeDistillationMixin
from ..errors import DistillationError
from ..hooks import LossWeightRampHook
from ..runtime.data_files import leaf_datasets
from ..teachers import DetectorTeacher
from .gradients import Steps, judge_losses, judge_training, take_steps
from .teacher_quality import judge_teacher
from .verdict import Verdict


def check_training(runner: Runner, steps: int = 3, pictures: int = 24) -> Iterator[Verdict]:
    """Look at a distillation whose runner is built; what the build refuses is not looked at again.

    The model is trained by nothing here, but its batch norms see the batches: build another one to train it.

    Args:
        runner: of the training.
        steps: batches to take, > 0.
        pictures: of the validation set that each teacher is tested on.

    Raises:
        DistillationError: the model of the config has no teacher.
    """
    model: nn.Module = runner.model
    if not isinstance(model, KnowledgeDistillationMixin):
        raise DistillationError([f'a {type(model).__name__} has no teacher, so there is nothing to check of one'])
    device = next(model.parameters()).device
    if runner.cfg.get('val_dataloader'):
        dataset = Runner.build_dataloader(_quiet(runner.cfg.val_dataloader), seed=0).dataset
        (leaf, *_) = leaf_datasets(dataset)
        for name, teacher in model.teachers.items():
            who = 'teacher' if len(model.teachers) == 1 else f'teachers.{name}'
            if isinstance(teacher, DetectorTeacher):
                yield from judge_teacher(teacher, who, leaf, device, pictures)
    yield from judge_training(model, runner.build_optim_wrapper(runner.cfg.optim_wrapper).optimizer)
    finish_ramps(model, runner)
    loader = Runner.build_dataloader(_quiet(runner.cfg.train_dataloader), seed=0)
    taken = take_steps(model.train(), islice(loader, steps))
    yield from judge_losses(model, taken)
    yield Verdict('a step', f'{seconds_of(taken):.2f} s (median of {steps}), {taken.memory / 2**20:.0f} MiB at most')


def seconds_of(steps: Steps) -> float:
    """Median of what a step took; the first one, which warms up, counts only if it is the only one."""
    return median(steps.seconds[1:] or steps.seconds)


def finish_ramps(model: nn.Module, runner: Runner) -> None:
    """Give the numbers that hooks move their last values: at the start of a training many are 0, as they should be."""
    for hook in runner.hooks:
        if isinstance(hook, LossWeightRampHook):
            hook.before_train(runner)
            hook.set_to(hook.stop)


def _quiet(loader: Config) -> dict:
    return {**loader, 'num_workers': 0, 'persistent_workers': False}

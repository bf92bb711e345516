"""Short real trainings, in this process or as a user would start them."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet_kd.hooks import ExactResumeHook

from .architectures import faster
from .distil import distilled_cfg, save_teacher
from .tiny import CLASSES, tiny_student_cfg, tiny_teacher_cfg

#: Draws from numpy, from Python's random and from torch.
AUGMENTATION = [
    {'type': 'LoadImageFromFile'},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'RandomResize', 'scale': (64, 64), 'ratio_range': (0.7, 1.3), 'keep_ratio': True},
    {'type': 'PhotoMetricDistortion'},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs'},
]


class LossRecorder(Hook):
    """Keeps every number that a step returns."""

    def __init__(self) -> None:
        self.steps: dict[int, dict[str, float]] = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.steps[runner.iter] = {name: float(torch.as_tensor(value).detach()) for name, value in outputs.items()}


def train(
    cfg: Config, resume: str | Path | None = None, exact: bool = True, hooks: Sequence[Hook] = ()
) -> dict[int, dict[str, float]]:
    """Train in this process, and return the losses of each iteration."""
    cfg = copy.deepcopy(cfg)
    cfg.experiment_name = uuid.uuid4().hex  # mmengine shares its logs among runs of one name in one second
    if resume is not None:
        cfg.resume, cfg.load_from = True, str(resume)
    runner = Runner.from_cfg(cfg)
    recorder = LossRecorder()
    for hook in (recorder, *hooks, *([ExactResumeHook()] if exact else [])):
        runner.register_hook(hook)
    runner.train()
    _stop_workers(runner)
    return recorder.steps


def _stop_workers(runner: Runner) -> None:
    """Persistent workers would live as long as the test process."""
    iterators = [loop.dataloader._iterator for loop in (runner.train_loop, runner.val_loop)]
    iterators.append(getattr(getattr(runner.train_loop, 'dataloader_iterator', None), '_iterator', None))
    for iterator in iterators:
        if hasattr(iterator, '_shutdown_workers'):
            iterator._shutdown_workers()


def distilled_run(
    folder: Path,
    data_root: Path,
    workers: int = 0,
    family: Callable[[Config], Config] = faster,
    **overrides: Any,
) -> Config:
    """Write `teacher.py`, `teacher.pth` and a distillation config, `distilled.py`, with random augmentation.

    Args:
        folder: for them.
        data_root: what `write_tiny_coco` wrote.
        workers: of the training's data loader.
        family: makes teacher and student out of the tiny two-stage detectors.
        **overrides: of the student's config.

    Returns:
        The config, its `filename` set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    teacher = family(tiny_teacher_cfg(data_root, folder / 'teacher'))
    teacher.dump(folder / 'teacher.py')
    save_teacher(teacher, folder / 'teacher.pth', dataset_meta={'classes': CLASSES})
    loader = {'num_workers': workers, 'persistent_workers': workers > 0, 'dataset': {'pipeline': AUGMENTATION}}
    student = family(tiny_student_cfg(data_root, folder / 'run', train_dataloader=loader, **overrides))
    cfg = distilled_cfg(student, str(folder / 'teacher.py'), folder / 'teacher.pth')
    cfg.dump(folder / 'distilled.py')
    return Config(cfg.to_dict(), filename=str(folder / 'distilled.py'), format_python_code=False)


def assert_same_weights(first: str | Path, second: str | Path) -> None:
    """Two checkpoints hold the same bits of weights, of their averages and of the optimizer's state."""
    one, other = (torch.load(path, map_location='cpu', weights_only=True) for path in (first, second))
    assert one.keys() == other.keys()
    for part in ('state_dict', 'ema_state_dict'):
        weights, others = one.get(part, {}), other.get(part, {})
        assert weights.keys() == others.keys()
        assert not [key for key, value in weights.items() if not torch.equal(value, others[key])]
    states = [checkpoint['optimizer']['state'] for checkpoint in (one, other)]
    assert states[0].keys() == states[1].keys()
    for index, state in states[0].items():
        assert torch.equal(state['momentum_buffer'], states[1][index]['momentum_buffer'])

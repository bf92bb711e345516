"""Hooks that break a training, as a machine or its user would; imported by the configs of tests."""

import os
import resource
import signal

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class KillHook(Hook):
    """SIGKILL before iteration `iteration`, of rank `rank` or of its launcher: no handler runs, nothing is flushed."""

    changes_training = False

    def __init__(self, iteration: int, rank: int = 0, launcher: bool = False) -> None:
        self.iteration = iteration
        self.rank = rank
        self.launcher = launcher

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if (runner.iter, runner.rank) == (self.iteration, self.rank):
            os.kill(os.getppid() if self.launcher else os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class FullDiskHook(Hook):
    """From iteration `iteration` on, no file of this process grows beyond `size` bytes, as on a full disk."""

    changes_training = False

    def __init__(self, iteration: int, size: int) -> None:
        self.iteration = iteration
        self.size = size

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@HOOKS.register_module()
class BrokenLossHook(Hook):
    """In iteration `iteration`, one of the student's own losses is not a number, and so are the weights after it."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            runner.model.roi_head.bbox_head.loss_bbox.loss_weight = float('nan')


@HOOKS.register_module()
class StopInValidationHook(Hook):
    """Control-C in the midst of the validation after epoch `epoch`."""

    changes_training = False

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == self.epoch and batch_idx == 1:
            raise KeyboardInterrupt


@HOOKS.register_module()
class FindNothingHook(Hook):
    """From epoch `epoch` on, counted from 1, the validated detector finds nothing at all."""

    changes_training = False

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def before_val_epoch(self, runner):
        if runner.epoch >= self.epoch:
            runner.model.roi_head.test_cfg.score_thr = 2.0

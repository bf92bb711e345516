"""Hooks that break a training, as a machine or its user would; imported by the configs of tests."""

import os
import resource
import signal

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class KillHook(Hook):
    """SIGKILL before iteration `iteration`: no handler runs, nothing is flushed or saved."""

    changes_training = False

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class FullDiskHook(Hook):
    """From iteration `iteration` on, no file of this process grows beyond `size` bytes.

    The write that would make it grow fails as on a full disk, with half a file written; or, with `kill`, the process is
    killed in the midst of that write.
    """

    changes_training = False

    def __init__(self, iteration: int, size: int, kill: bool = False) -> None:
        self.iteration = iteration
        self.size = size
        self.kill = kill

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            if self.kill:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@HOOKS.register_module()
class BrokenWeightHook(Hook):
    """After iteration `iteration`, one weight is not a number."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.iteration:
            runner.model.state_dict()['neck.fpn_convs.0.conv.bias'][0] = float('nan')


@HOOKS.register_module()
class StopInValidationHook(Hook):
    """Control-C in the midst of the validation after epoch `epoch`."""

    changes_training = False

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == self.epoch and batch_idx == 1:
            raise KeyboardInterrupt

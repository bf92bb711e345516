"""A hook that kills its own process, as `kill -9` from outside would; imported by the configs of tests."""

import os
import signal

from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class KillHook(Hook):
    """SIGKILL before iteration `iteration`: no handler runs, nothing is flushed or saved."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)

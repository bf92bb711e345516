"""Processes that end with the one that started them, however it ends."""

import ctypes
import os
import signal
import sys
from functools import cache

# From Linux's <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1


def end_with_launcher(launcher: str) -> None:
    """Tie this process to its launcher, and to itself the children that it forks: data workers, above all.

    Linux kills each when the one above it ends, also by ``kill -9``. Without that, ranks train on without their
    launcher, and data workers look for their parent every five seconds only. Elsewhere nothing is done.

    A rank calls it before it joins its process group. Joining fails if torchrun is gone by then, so no moment is left
    in which torchrun may end unseen. Slurm and MPI end their ranks themselves.

    Args:
        launcher: that started this process, as mmengine calls it.
    """
    if sys.platform != 'linux':
        return
    if launcher == 'pytorch':
        _kill_when_parent_ends()
    _tie_children()


@cache  # once a process
def _tie_children() -> None:
    forking = [0]  # the process that forks

    def before() -> None:
        forking[0] = os.getpid()

    def in_child() -> None:
        _kill_when_parent_ends()
        if os.getppid() != forking[0]:  # it ended before this was asked for
            os._exit(1)

    os.register_at_fork(before=before, after_in_child=in_child)


def _kill_when_parent_ends() -> None:
    """Ask for SIGKILL at the end of the thread that started this process."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

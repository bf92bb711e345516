"""Processes end with the one that started them. Trainings that are killed are in tests/test_tools/test_resume.py."""

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import sys
import time

import pytest
from torch.utils.data import DataLoader, Dataset

from mmdet_kd.runtime.processes import end_with_launcher

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ties processes')
fork = multiprocessing.get_context('fork')


def sleeper(parents, launcher, pids):
    """Fork so many generations, and let the last one sleep, tied or not."""
    pids.send(os.getpid())
    if launcher is not None:
        end_with_launcher(launcher)
    if parents:
        fork.Process(target=sleeper, args=(parents - 1, launcher, pids)).start()
    time.sleep(600)


@pytest.fixture
def descent():
    """Start a process with descendants, and return their ids; all are gone after the test."""
    started = []

    def start(launcher, generations=3):
        ours, theirs = fork.Pipe(duplex=False)
        fork.Process(target=sleeper, args=(generations - 1, launcher, theirs)).start()
        theirs.close()  # the descendants hold the only other ends, so the pipe ends with the last of them
        started.extend(pids := [ours.recv() for _ in range(generations)])
        return ours, pids

    yield start
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_descendants_end_with_a_process_that_is_killed(descent):
    pipe, (first, *_) = descent('none')
    os.kill(first, signal.SIGKILL)
    assert select.select([pipe], [], [], 20)[0], 'a descendant lives on'
    with pytest.raises(EOFError):
        pipe.recv()


def test_a_process_without_a_launcher_outlives_the_one_that_started_it(descent):
    """A training in the background of a shell that ends; only what it forks is tied to it."""
    asked = ctypes.c_int(-1)
    end_with_launcher('none')
    ctypes.CDLL(None).prctl(2, ctypes.byref(asked), 0, 0, 0)
    assert asked.value == 0


class AsksFor(Dataset):
    """Each sample: the signal that its process gets when its parent ends."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        asked = ctypes.c_int()
        ctypes.CDLL(None).prctl(2, ctypes.byref(asked), 0, 0, 0)  # PR_GET_PDEATHSIG
        return asked.value


def test_data_workers_are_tied_to_their_training():
    end_with_launcher('none')
    assert [sample.item() for sample in DataLoader(AsksFor(), num_workers=2)] == [signal.SIGKILL] * 2

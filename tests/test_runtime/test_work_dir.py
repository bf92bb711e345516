"""Two trainings in one work dir."""

import multiprocessing
import os
import signal
import time

import pytest

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import owned_work_dir


def own(work_dir, pipe):
    """Own a work dir, with a child as a data worker is one, until killed."""
    with owned_work_dir(work_dir):
        child = os.fork()
        if child:
            pipe.send(child)
        time.sleep(60)


def refused(work_dir, message, launcher='none'):
    with pytest.raises(DistillationError, match=message), owned_work_dir(work_dir, launcher):
        pytest.fail('it was to be refused')


def test_a_work_dir_has_one_owner_until_that_process_dies(tmp_path, monkeypatch):
    run = tmp_path / 'run'
    receiver, sender = multiprocessing.Pipe()
    owner = multiprocessing.get_context('fork').Process(target=own, args=(run, sender))
    owner.start()
    assert receiver.poll(30)
    child = receiver.recv()
    try:
        refused(run, rf"another training .*/run' \(process {owner.pid} on .*--work-dir")
        monkeypatch.setenv('RANK', '1')
        with owned_work_dir(run, 'pytorch'):
            pass  # the first rank asks for all
        refused(run, 'another training')  # without a launcher the variable says nothing
        monkeypatch.setenv('RANK', '0')
        refused(run, 'another training', 'pytorch')
        owner.kill()
        owner.join()
        os.kill(child, 0)  # it outlives the owner, and does not keep the work dir
        with owned_work_dir(run):
            assert f'process {os.getpid()} on' in (run / '.owner').read_text()
    finally:
        owner.kill()
        os.kill(child, signal.SIGKILL)


def test_other_work_dirs_and_a_second_turn_are_free(tmp_path):
    with owned_work_dir(tmp_path / 'one'), owned_work_dir(tmp_path / 'two'):
        pass
    with owned_work_dir(tmp_path / 'one'):
        pass

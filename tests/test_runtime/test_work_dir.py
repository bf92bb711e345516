"""Two trainings in one work dir."""

import multiprocessing
import os
import signal
import time

import pytest
from helpers import tiny_student_cfg
from helpers.tiny import call_tool

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import owned_work_dir


@pytest.fixture
def owner(tmp_path):
    """(process, number of its child): owns `run`."""
    receiver, sender = multiprocessing.Pipe()
    process = multiprocessing.get_context('fork').Process(target=own, args=(tmp_path / 'run', sender))
    process.start()
    assert receiver.poll(30)
    child = receiver.recv()
    yield process, child
    process.kill()
    process.join()
    os.kill(child, signal.SIGKILL)


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


def test_a_work_dir_has_one_owner_until_that_process_dies(owner, tmp_path, monkeypatch):
    (process, child), run = owner, tmp_path / 'run'
    refused(run, rf"another training .*/run' \(process {process.pid} on .*--work-dir")
    monkeypatch.setenv('RANK', '1')
    with owned_work_dir(run, 'pytorch'):
        pass  # the first rank asks for all
    refused(run, 'another training')  # without a launcher the variable says nothing
    monkeypatch.setenv('RANK', '0')
    refused(run, 'another training', 'pytorch')
    process.kill()
    process.join()
    os.kill(child, 0)  # it outlives the owner, and does not keep the work dir
    with owned_work_dir(run):
        assert f'process {os.getpid()} on' in (run / '.owner').read_text()


def test_a_second_training_is_refused_and_writes_nothing(owner, tiny_set, tmp_path):
    tiny_student_cfg(tiny_set, tmp_path / 'run').dump(tmp_path / 'config.py')
    with pytest.raises(SystemExit, match='another training runs in the work dir'):
        call_tool('tools/train.py', tmp_path / 'config.py')
    assert [path.name for path in (tmp_path / 'run').iterdir()] == ['.owner']


def test_other_work_dirs_and_a_second_turn_are_free(tmp_path):
    with owned_work_dir(tmp_path / 'one'), owned_work_dir(tmp_path / 'two'):
        pass
    with owned_work_dir(tmp_path / 'one'):
        pass

"""Tools in processes of their own: their logs, their ends, and the lock that they share."""

import multiprocessing
import os
import signal
import sys
import time

import pytest

from mmdet_kd.comparison import alone_in, run, running
from mmdet_kd.errors import DistillationError

SLEEPS = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_stage_says_is_returned_and_kept_behind_what_was_there(tmp_path):
    log = tmp_path / 'new' / 'stage.log'
    said = run('it', [sys.executable, '-c', 'import sys; print(1); print(2, file=sys.stderr)'], log)
    assert sorted(said.split()) == ['1', '2']
    run('it', [sys.executable, '-c', 'print(3)'], log)
    assert log.read_text() == f'{said}3\n'


def test_a_failure_shows_the_end_of_the_log_and_says_how_to_go_on(tmp_path):
    code = 'import sys; print(*range(40), sep=chr(10)); sys.exit(3)'
    with pytest.raises(DistillationError) as caught:
        run('the export of a', [sys.executable, '-c', code], tmp_path / 'a.log')
    first, *tail, command, cure = str(caught.value).splitlines()
    assert first == f'the export of a failed (exit code 3). The end of {tmp_path}/a.log:'
    assert tail == [f'  {number}' for number in range(25, 40)]
    assert command == f'It was: {sys.executable} -c {code}'
    assert cure == 'The same command as before continues from here'
    with pytest.raises(DistillationError, match=r'^it was ended by signal 9\. The end of'):
        run('it', [sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)'], tmp_path / 'b.log')


@pytest.mark.parametrize('code', [SLEEPS, f'import signal; signal.signal(15, signal.SIG_IGN); {SLEEPS}'])
def test_a_stage_ends_with_what_follows_it(tmp_path, monkeypatch, code):
    """Also one that does not listen."""
    monkeypatch.setattr('mmdet_kd.comparison.stages._PATIENCE', 0.2)
    said = []

    def interrupted():
        with running('it', [sys.executable, '-c', code], tmp_path / 'a.log') as lines:
            said.append(int(next(lines)))
            assert is_alive(said[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not is_alive(said[0])


def at_work(folder, log):
    """A command that is killed while its stage works on."""
    with alone_in(folder) as lock, running('it', [sys.executable, '-c', SLEEPS], log, lock) as lines:
        list(lines)


def test_two_at_once_in_one_folder_are_refused_and_so_is_one_beside_an_orphan(tmp_path):
    folder, log = tmp_path / 'folder', tmp_path / 'stage.log'
    refused = pytest.raises(
        DistillationError, match=f'^another command, or a training that one began, works in {folder}'
    )
    with alone_in(folder), refused, alone_in(folder):
        pass
    process = multiprocessing.get_context('fork').Process(target=at_work, args=(folder, log))
    process.start()
    while not (log.exists() and log.read_text().endswith('\n')):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with refused, alone_in(folder):
        pass
    os.kill(int(log.read_text()), signal.SIGKILL)
    for _ in range(1000):
        try:
            with alone_in(folder):
                return
        except DistillationError:
            time.sleep(0.01)
    pytest.fail('the lock is held by nobody')

"""Files that are there whole, or not at all."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import mmdet_kd.files
from mmdet_kd.files import sweep_drafts, written_whole

WAITS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from files import written_whole  # alone, which imports nothing
with written_whole(sys.argv[2]) as draft:
    draft.write_text('half')
    print('writing', flush=True)
    time.sleep(60)
"""


def test_the_file_appears_under_its_name_and_others_may_read_it(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    before = os.umask(0o022)
    try:
        with written_whole(path) as draft:
            draft.write_text('whole')
            assert not path.exists()
            assert draft.suffix == '.json'
    finally:
        os.umask(before)
    assert path.read_text() == 'whole'
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def interrupted():
        with written_whole(path) as draft:
            draft.write_text('ha')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_the_draft_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(tmp_path):
    path, other = tmp_path / 'a.pth', tmp_path / 'b.pth'
    (tmp_path / '.a.hidden.pth').write_text("the user's own")
    package = Path(mmdet_kd.files.__file__).parent
    writer = subprocess.Popen([sys.executable, '-c', WAITS, package, path], stdout=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b'writing\n'
        (draft,) = tmp_path.glob('.a.draft-*.pth')
        sweep_drafts(tmp_path)
        assert draft.read_text() == 'half'
        writer.send_signal(signal.SIGKILL)
    finally:
        writer.kill()
        writer.wait()
    assert draft.exists()
    with written_whole(other) as mine:
        assert not draft.exists()
        mine.write_text('whole')
        sweep_drafts(tmp_path)
        assert mine.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ['.a.hidden.pth', 'b.pth']

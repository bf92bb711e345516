"""Files that are there whole, or not at all."""

import os
import stat

import pytest

from mmdet_kd.files import written_whole


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

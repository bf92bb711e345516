"""Files are written once: what is there stays, whatever is asked, and a kill leaves nothing half."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmdet_kd.config_writer import written
from mmdet_kd.config_writer.written import write_once
from mmdet_kd.errors import DistillationError

ARGUMENTS = dict(student='a.py', methods=['pkd'])
TEXTS = {'student.py': 'a = 1\n', 'distilled.py': "_base_ = './student.py'\nb = 2\n"}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_same_arguments_leave_everything_as_it_stands(tmp_path):
    assert write_once(tmp_path, ARGUMENTS, TEXTS) == dict.fromkeys(TEXTS, 'written')
    assert json.loads((tmp_path / 'distill.json').read_text()) == ARGUMENTS
    (tmp_path / 'student.py').write_text('a = 5\n')
    before = contents(tmp_path)
    said = write_once(tmp_path, ARGUMENTS, TEXTS)
    assert said == {
        'student.py': 'used as it stands, which is not as it would be written now',
        'distilled.py': 'used as it stands',
    }
    assert contents(tmp_path) == before


def test_other_arguments_are_refused_by_what_differs(tmp_path):
    write_once(tmp_path, ARGUMENTS, TEXTS)
    before = contents(tmp_path)
    with pytest.raises(DistillationError, match=r"was made with methods \['pkd'\], not \['fgd'\]: name another --out$"):
        write_once(tmp_path, ARGUMENTS | dict(methods=['fgd']), TEXTS)
    assert contents(tmp_path) == before


def test_arguments_may_be_added_and_left_out(tmp_path):
    """A student alone has a record without a teacher, which is added with its file."""
    alone = dict(student='a.py')
    write_once(tmp_path, alone, {'student.py': TEXTS['student.py']})
    assert write_once(tmp_path, ARGUMENTS, TEXTS) == {'student.py': 'used as it stands', 'distilled.py': 'written'}
    assert json.loads((tmp_path / 'distill.json').read_text()) == ARGUMENTS
    before = contents(tmp_path)
    assert write_once(tmp_path, alone, {'student.py': TEXTS['student.py']}) == {'student.py': 'used as it stands'}
    with pytest.raises(DistillationError, match=r"was made with student 'a.py', not 'b.py': name another --out$"):
        write_once(tmp_path, dict(student='b.py'), TEXTS)
    assert contents(tmp_path) == before


def test_a_file_of_the_users_is_never_touched(tmp_path):
    (tmp_path / 'distilled.py').write_text('mine = 1\n')
    with pytest.raises(
        DistillationError, match=r'distilled\.py is there, and this tool did not write it: name another'
    ):
        write_once(tmp_path, ARGUMENTS, TEXTS)
    assert contents(tmp_path) == {'distilled.py': 'mine = 1\n'}


@pytest.mark.parametrize('calls', range(3))
def test_what_a_kill_leaves_is_whole_and_taken_up(tmp_path, monkeypatch, calls):
    """Each of the three files in turn is the one before whose writing the process dies."""

    class Killed(BaseException):
        pass

    real, count = written.written_whole, iter(range(3))

    def killed(path):
        if next(count) == calls:
            raise Killed
        return real(path)

    monkeypatch.setattr(written, 'written_whole', killed)
    with pytest.raises(Killed):
        write_once(tmp_path, ARGUMENTS, TEXTS)
    assert contents(tmp_path).items() <= {**TEXTS, 'distill.json': json.dumps(ARGUMENTS, indent=2) + '\n'}.items()
    assert len(contents(tmp_path)) == calls
    monkeypatch.setattr(written, 'written_whole', real)
    write_once(tmp_path, ARGUMENTS, TEXTS)
    assert contents(tmp_path).keys() == {*TEXTS, 'distill.json'}


def test_a_text_that_is_no_config_leaves_nothing(tmp_path):
    with pytest.raises(DistillationError, match=r'student\.py would be no config \(.*no_such_base'):
        write_once(tmp_path, ARGUMENTS, {'student.py': "_base_ = './no_such_base.py'\n"})
    assert contents(tmp_path) == {}


def test_a_record_that_is_none_is_refused(tmp_path):
    (tmp_path / 'distill.json').write_text('{')
    with pytest.raises(DistillationError, match=r'distill\.json cannot be read .*: name another --out'):
        write_once(tmp_path, ARGUMENTS, TEXTS)

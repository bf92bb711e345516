"""What errors say, a terminal shows."""

import pytest

from mmdet_kd.errors import DistillationError, printable, raise_if_any


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('class \x1b[2J\x07', r'class \x1b[2J\x07'),
        ('a\rb\x9b1m', r'a\rb\x9b1m'),
        ('\u202etxt.exe', r'\u202etxt.exe'),
        ('\udcff', r'\udcff'),
        ('\x00', r'\x00'),
        ('two\n\tlines of "Käse" 熊', 'two\n\tlines of "Käse" 熊'),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown
    assert DistillationError([text]).problems == [shown]
    assert str(DistillationError([text])) == shown
    assert shown in str(DistillationError([text, 'another']))


def test_a_long_problem_keeps_its_beginning_and_its_cure():
    text = f'the file a.pth has {"x" * 22_000_000}: name another'
    shown = str(DistillationError([text]))
    assert len(shown) < 4100
    assert shown.startswith('the file a.pth has xxx')
    assert shown.endswith('xxx: name another')
    assert '[21996' in shown  # how many characters are left out


def test_many_problems_are_counted():
    error = DistillationError([f'number {i}' for i in range(10**5)])
    assert len(str(error)) < 5000
    assert str(error).startswith('100000 problems:\n  1. number 0\n')
    assert str(error).endswith('\n  and 99900 more')
    assert len(error.problems) == 10**5
    assert 'more' not in str(DistillationError(['a'] * 100))


def test_no_problem_is_no_error():
    raise_if_any([])
    with pytest.raises(DistillationError, match=r'^one$'):
        raise_if_any(['one'])

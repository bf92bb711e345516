"""How tools end, and what they log."""

import errno

import pytest
import torch
from helpers.tiny import log_of

from mmdet_kd.detectors.loss_guard import FiniteLossGuard
from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import cli


def write_to_a_full_disk():
    with open('/dev/full', 'wb', buffering=0) as file:
        file.write(b'x')


def save_to_a_full_disk():
    """torch raises an error of its own."""
    with open('/dev/full', 'wb', buffering=0) as file:
        torch.save({'w': torch.zeros(1000)}, file)


def wrapped():
    try:
        write_to_a_full_disk()
    except OSError as error:
        raise RuntimeError('a library says something else') from error


def endings(function):
    """The message with which a tool ends, or the error that it leaves alone."""
    try:
        with cli.command_line():
            function()
    except SystemExit as end:
        return str(end.code)
    except Exception as error:
        return type(error)


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize('function', [write_to_a_full_disk, save_to_a_full_disk, wrapped])
def test_a_full_disk_is_one_message(function):
    assert endings(function) == (
        '\nerror: No space left on device. Make room on that disk; a training continues with --resume'
    )


def test_a_full_disk_is_named_where_it_is_known():
    error = OSError(errno.EDQUOT, 'Disk quota exceeded', '/a/b.pth')
    assert endings(raising(error)).startswith('\nerror: Disk quota exceeded (/a/b.pth). Make room')


def test_a_loss_that_is_not_finite_is_one_message():
    message = endings(lambda: FiniteLossGuard().watch({'kd': torch.tensor(float('nan'))}))
    assert message.startswith('\nerror: the distillation loss kd is not finite. Lower its loss_weight')


def test_what_the_user_cannot_mend_keeps_its_traceback():
    for error in (RuntimeError('shape'), ValueError('odd'), KeyError('a'), OSError('no file is named'), MemoryError()):
        assert endings(raising(error)) is type(error)


def test_the_last_message_is_printable_and_bounded():
    message = endings(raising(FileNotFoundError(2, 'No such file\x1b[2J', 'a\x1b[2J')))
    assert '\x1b' not in message
    assert r'No such file\x1b[2J' in message
    assert len(endings(raising(DistillationError(['x' * 3000] * 1000)))) < 101_000


def test_the_log_shows_what_files_hold_as_text(student_cfg, tmp_path):
    runner = cli.build_runner(student_cfg)
    runner.logger.info('the class %s of %d', '\x1b[2J\u202e', 3)
    runner.logger.info('x' * 22_000_000)
    runner.logger.info('| a |\n| b |')
    text = log_of(tmp_path / 'student')
    assert r'the class \x1b[2J\u202e of 3' in text
    assert '| a |\n| b |' in text
    assert '\x1b' not in text
    assert len(text) < 500_000
    assert str(22_000_000 - 100_000) in text  # how many characters are left out

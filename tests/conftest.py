"""Shared by all tests: mmdet's registries, and one tiny set with a trained-once teacher."""

import functools
import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# Before torch: each of the parallel test processes computes on one core.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# The process that only hands out tests reads this file too: torch and mmdet are imported where they are used.


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for garbage among what the tests make alone, not in all that was imported and collected.

    To look through that takes half a second, and each data set of mmengine asks for it when it is built.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope='session')
def _mmdet_scope():
    import torch
    from mmdet.utils import register_all_modules

    torch.set_num_threads(1)
    register_all_modules()


@pytest.fixture(scope='session')
def tiny_set(tmp_path_factory):
    """Root of a tiny COCO-format set."""
    from helpers import write_tiny_coco

    return write_tiny_coco(tmp_path_factory.mktemp('set'))


@pytest.fixture(scope='session')
def compared(tmp_path_factory):
    """`slow.py` and `fast.py`, which differ in their learning rate, trained for a step and compared in `out`."""
    from helpers import tiny_student_cfg, write_tiny_coco
    from helpers.in_process import train_in_this_process
    from helpers.tiny import call_tool

    folder = tmp_path_factory.mktemp('compared')
    data = write_tiny_coco(folder / 'set', num_train=2, num_val=2)
    for name, lr in (('slow', 0.001), ('fast', 0.02)):
        cfg = tiny_student_cfg(data, 'unused', **{'train_cfg.max_epochs': 1, 'optim_wrapper.optimizer.lr': lr})
        cfg.dump(folder / f'{name}.py')
    with pytest.MonkeyPatch.context() as patch:
        train_in_this_process(patch)
        call_tool('tools/compare.py', folder / 'slow.py', folder / 'fast.py', '--out', folder / 'out', '--no-report')
    return folder


@pytest.fixture
def student_cfg(tiny_set, tmp_path):
    """A plain, complete config of a tiny student."""
    from helpers import tiny_student_cfg

    return tiny_student_cfg(tiny_set, tmp_path / 'student')


@pytest.fixture
def teacher_cfg(tiny_set, tmp_path):
    """A plain, complete config of a tiny, wider teacher."""
    from helpers import tiny_teacher_cfg

    return tiny_teacher_cfg(tiny_set, tmp_path / 'teacher')


@pytest.fixture
def teacher_checkpoint(teacher_cfg, tmp_path):
    """The weights of a tiny teacher."""
    from helpers.distil import save_teacher

    return save_teacher(teacher_cfg, tmp_path / 'teacher.pth')


@pytest.fixture
def log():
    """The lines of mmengine's log."""
    with _listening(logging.NOTSET) as lines:
        yield lines


@pytest.fixture
def warned():
    """What mmengine's log warns of."""
    with _listening(logging.WARNING) as lines:
        yield lines


@contextmanager
def _listening(level):
    from mmengine.logging import MMLogger

    lines, logger = [], MMLogger.get_current_instance()
    handler = logging.Handler(level)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture(autouse=True, scope='session')
def _configs_are_written_unformatted():
    """A run writes its config several times, and yapf takes longer for each than a tiny training.

    It changes no value. Tools that run in a process of their own format theirs.
    """
    import mmengine.config.config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmengine.config.config, 'FormatCode', lambda text, **_: (text, True))
        yield


@pytest.fixture(autouse=True, scope='session')
def _metafiles_read_once() -> Iterator[None]:
    """Keep mmdet's metafiles in memory, and that mmdet is installed.

    MMEngine reads all hundred of them, and looks through all packages, again for every base called ``mmdet::...``: nine
    tenths of the time of a sweep over configs.
    """
    import mmengine.config.config
    import mmengine.config.utils

    with pytest.MonkeyPatch.context() as patch:
        load = mmengine.config.utils.load
        patch.setattr(mmengine.config.utils, 'load', functools.cache(load))
        is_installed = mmengine.config.config.is_installed
        patch.setattr(mmengine.config.config, 'is_installed', functools.cache(is_installed))
        yield


@pytest.fixture(autouse=True, scope='session')
def _teachers_are_verified_on_a_small_picture() -> Iterator[dict[str, Any]]:
    """What makes a teacher fast is tried on 128 x 128 pixels where its network takes them, else on the whole picture.

    It is tried for each teacher that a test loads, and took as long as all else that builds a tiny distillation.
    Gives what it was before, by name.
    """
    from mmdet_kd.errors import DistillationError
    from mmdet_kd.teachers import verification

    whole, plain_pass = verification._PICTURE, verification._plain_pass

    def small_first(detector, asked):
        try:
            verification._PICTURE = (128, 128)  # the RoIs lie on it too
            return plain_pass(detector, asked)
        except DistillationError:
            verification._PICTURE = whole
            return plain_pass(detector, asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, '_PICTURE', whole)
        patch.setattr(verification, '_plain_pass', small_first)
        yield {'_PICTURE': whole, '_plain_pass': plain_pass}


@pytest.fixture
def verified_on_the_whole_picture(_teachers_are_verified_on_a_small_picture, monkeypatch):
    """For tests of the verification: as users have it."""
    from mmdet_kd.teachers import verification

    for name, value in _teachers_are_verified_on_a_small_picture.items():
        monkeypatch.setattr(verification, name, value)

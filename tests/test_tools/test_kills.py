"""A training that is killed at any step of saving goes on from a whole checkpoint, to the same bits."""

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import warnings

import pytest
from helpers import tiny_student_cfg
from helpers.tiny import call_tool
from helpers.training import assert_same_weights

from mmdet_kd.runtime import latest_checkpoint

pytestmark = pytest.mark.slow

TOOL = 'tools/train.py'
#: Name -> what Python audits at that point: an event and the file that it is about; how many bytes of that file are
#: still written, or None; and the checkpoint that the run goes on from. The second of three epochs is being saved.
POINTS = {
    'before the draft is opened': ('open', '.epoch_2.draft-', None, 'epoch_1.pth'),
    'in the midst of its bytes': ('open', '.epoch_2.draft-', 60_000, 'epoch_1.pth'),
    'before the draft gets its name': ('os.rename', '.epoch_2.draft-', None, 'epoch_1.pth'),
    'before the note of the last one': ('open', 'last_checkpoint', None, 'epoch_2.pth'),
    'in the midst of the note': ('open', 'last_checkpoint', 10, 'epoch_2.pth'),
    'with an empty note': ('open', 'last_checkpoint', 0, 'epoch_2.pth'),
    'before the old one is removed': ('os.remove', 'epoch_1.pth', None, 'epoch_2.pth'),
    'after the old one is removed': ('open', 'scalars.json', None, 'epoch_2.pth'),
}


def killed_at(event, part, size, *arguments):
    """A process of its own: a training that is killed at a point."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    removed = []

    def audit(name, args):
        target = str(args[0]) if args else ''
        removed.extend([target] if name == 'os.remove' and 'epoch_1.pth' in target else [])
        is_read = name == 'open' and args[1] == 'r'
        is_early = part == 'scalars.json' and not removed
        if name != event or part not in target or is_read or is_early:
            return
        if size is None:
            os.kill(os.getpid(), signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # the system kills it in the write that goes beyond

    sys.addaudithook(audit)
    call_tool(TOOL, *arguments)


@pytest.fixture(scope='module')
def runs(tiny_set, tmp_path_factory):
    """A config with averaged weights, a work dir after the first of three epochs, and the uninterrupted run's."""
    folder = tmp_path_factory.mktemp('kills')
    cfg = tiny_student_cfg(tiny_set, folder / 'whole', **{'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 10})
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    cfg.custom_hooks = [{'type': 'EMAHook', 'momentum': 0.5}]
    cfg.dump(folder / 'run.py')
    call_tool(TOOL, folder / 'run.py')
    one_epoch = ['--cfg-options', 'train_cfg.max_epochs=1']
    call_tool(TOOL, folder / 'run.py', '--work-dir', folder / 'started', *one_epoch)
    return folder / 'run.py', folder / 'started', folder / 'whole'


@pytest.mark.parametrize('point', POINTS)
def test_a_kill_at_any_step_of_saving_loses_nothing(runs, tmp_path, point):
    config, started, whole = runs
    event, part, size, expected = POINTS[point]
    run = tmp_path / 'run'
    shutil.copytree(started, run)
    arguments = (config, '--resume', '--work-dir', run)
    process = multiprocessing.get_context('fork').Process(target=killed_at, args=(event, part, size, *arguments))
    process.start()
    process.join()
    assert process.exitcode == -(signal.SIGKILL if size is None else signal.SIGXFSZ)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        assert latest_checkpoint(run) == run / expected
    assert any('not from the latest' in str(warning.message) for warning in said) == (size == 10)
    call_tool(TOOL, *arguments)
    assert_same_weights(run / 'epoch_3.pth', whole / 'epoch_3.pth')
    assert not list(run.glob('.*.draft-*'))

"""Checkpoints are whole and finite, and an old one stays until the new one is there."""

import resource
import shutil

import pytest
import torch
from helpers import tiny_student_cfg
from helpers.tiny import call_tool, load_tool
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdet_kd.hooks.whole_checkpoint_hook import LateRemovals, WholeCheckpointHook, WholeFileBackend
from mmdet_kd.runtime import latest_checkpoint

SIZE = 60_000  # bytes: above what is logged, below a checkpoint


@pytest.fixture
def write(tiny_set, tmp_path):
    """Writes a config of the same run with more hooks, and with options of the hook that saves."""

    def written(*hooks, **checkpoint):
        cfg = tiny_student_cfg(tiny_set, tmp_path / 'run')
        cfg.default_hooks.checkpoint.update(max_keep_ckpts=1, **checkpoint)
        cfg.custom_imports = {'imports': ['helpers.kill_hook'], 'allow_failed_imports': False}
        cfg.custom_hooks = list(hooks)
        cfg.dump(tmp_path / 'run.py')
        return tmp_path / 'run.py'

    return written


def saved(run):
    return sorted(path.name for path in run.rglob('*.pth'))


@pytest.mark.slow
def test_a_write_that_fails_leaves_the_old_checkpoint_and_the_training_goes_on_from_it(write, tmp_path):
    run = tmp_path / 'run'
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(SystemExit, match=r'error: File too large \(.*epoch_2\.pth\)\. Make room on that disk'):
            call_tool('tools/train.py', write({'type': 'FullDiskHook', 'iteration': 7, 'size': SIZE}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved(run) == ['epoch_1.pth']
    assert latest_checkpoint(run) == run / 'epoch_1.pth'
    call_tool('tools/train.py', write(), '--resume')
    assert saved(run) == ['epoch_2.pth']


EMA = {'type': 'EMAHook', 'momentum': 0.5, 'priority': 'NORMAL'}


@pytest.mark.parametrize(
    ('step', 'hooks', 'options', 'before'),
    [
        pytest.param(7, [], {}, 'epoch_1.pth', id='epochs'),
        pytest.param(7, [EMA], {}, 'epoch_1.pth', id='averages', marks=pytest.mark.slow),
        pytest.param(5, [], {'by_epoch': False, 'interval': 3}, 'iter_3.pth', id='iterations', marks=pytest.mark.slow),
        pytest.param(3, [], {'interval': 2, 'save_best': 'coco/bbox_mAP'}, None, id='the best', marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_breaks_the_weights_leaves_the_checkpoint_before_it(write, tmp_path, step, hooks, options, before):
    """In the last step before a checkpoint; one of the student's own losses, at which nobody else looks."""
    run = tmp_path / 'run'
    refused = r'^\nerror: state_dict\..*: not finite, so this.*is not saved.*--resume --resume-changed$'
    with pytest.raises(SystemExit, match=refused):
        call_tool('tools/train.py', write({'type': 'BrokenLossHook', 'iteration': step}, *hooks, **options))
    assert saved(run) == ([] if before is None else [before])
    assert latest_checkpoint(run) == (before and run / before)
    if before is None:
        assert not (run / 'last_checkpoint').exists()
    else:
        assert (run / 'last_checkpoint').read_text() == str(run / before)
    call_tool('tools/train.py', write(*hooks, **options), '--resume', '--resume-changed')
    checkpoint = torch.load(latest_checkpoint(run), weights_only=True)
    assert checkpoint['meta']['iter'] > step
    weights = [*checkpoint['state_dict'].values(), *checkpoint.get('ema_state_dict', {}).values()]
    assert all(value.isfinite().all() for value in weights)


@pytest.mark.parametrize('part', ['ema_state_dict', 'optimizer'])
def test_averages_and_the_optimizer_are_looked_at_too(part):
    checkpoint = {'state_dict': {'w': torch.zeros(2)}, part: {'state': {0: [torch.tensor([0.0, torch.inf])]}}}
    with pytest.raises(FloatingPointError, match=rf'^{part}\.state\.0\.0: not finite'):
        WholeCheckpointHook().before_save_checkpoint(None, checkpoint)


@pytest.mark.slow
def test_a_copied_run_leaves_the_best_checkpoint_of_the_original(write, tmp_path):
    run, copied = tmp_path / 'run', tmp_path / 'copied'
    options = {'save_best': 'coco/bbox_mAP', 'rule': 'greater'}
    call_tool('tools/train.py', write(**options), '--cfg-options', 'train_cfg.max_epochs=1')
    shutil.copytree(run, copied)
    # Whatever the score of the second epoch, it is better.
    checkpoint = torch.load(copied / 'epoch_1.pth', weights_only=False)
    checkpoint['message_hub']['runtime_info']['best_score'] = -1.0
    torch.save(checkpoint, copied / 'epoch_1.pth')
    call_tool('tools/train.py', write(**options), '--resume', '--work-dir', copied)
    assert saved(run) == ['best_coco_bbox_mAP_epoch_1.pth', 'epoch_1.pth']
    assert saved(copied) == ['best_coco_bbox_mAP_epoch_2.pth', 'epoch_2.pth']


def test_what_was_written_anew_is_not_removed(tmp_path):
    old, again = tmp_path / 'epoch_1.pth', tmp_path / 'best_epoch_2.pth'
    removals = LateRemovals(WholeFileBackend())
    for path in (old, again):
        removals.put(b'old', path)
        removals.remove(str(path))
        assert removals.isfile(path)
    removals.put(b'new', again)
    removals.carry_out(keep={str(again), None})
    assert [path.name for path in tmp_path.iterdir()] == ['best_epoch_2.pth']
    assert again.read_bytes() == b'new'


class OwnHook(CheckpointHook):
    """A hook of somebody else's."""


def test_the_tool_exchanges_plain_hooks_and_keeps_their_options(tiny_set, tmp_path):
    cfg = tiny_student_cfg(tiny_set, tmp_path / 'run')
    cfg.default_hooks.checkpoint.update(interval=3, max_keep_ckpts=5, save_optimizer=False, save_best='coco/bbox_mAP')
    runner = Runner.from_cfg(cfg)
    runner.register_hook(OwnHook())
    place = [type(hook) for hook in runner.hooks].index(CheckpointHook)
    load_tool('tools/train.py').save_whole(runner)
    hook = runner.hooks[place]
    assert type(hook) is WholeCheckpointHook
    assert (hook.interval, hook.max_keep_ckpts, hook.save_optimizer) == (3, 5, False)
    assert hook.key_indicators == ['coco/bbox_mAP']
    assert [type(hook) for hook in runner.hooks].count(OwnHook) == 1

"""Checkpoints are whole and finite, and an old one stays until the new one is there."""

import resource
import shutil

import pytest
import torch
from helpers import run_tool, tiny_student_cfg
from helpers.tiny import REPO, call_tool, load_tool
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdet_kd.hooks.whole_checkpoint_hook import LateRemovals, WholeCheckpointHook, WholeFileBackend
from mmdet_kd.runtime import latest_checkpoint

SIZE = 60_000  # bytes: above what is logged, below a checkpoint


@pytest.fixture
def write(tiny_set, tmp_path):
    """Writes a config of the same run with one more hook, and with options of the hook that saves."""

    def written(hook=None, **checkpoint):
        cfg = tiny_student_cfg(tiny_set, tmp_path / 'run')
        cfg.default_hooks.checkpoint.update(max_keep_ckpts=1, **checkpoint)
        if hook is not None:
            cfg.custom_imports = {'imports': ['helpers.kill_hook'], 'allow_failed_imports': False}
            cfg.custom_hooks = [hook]
        cfg.dump(tmp_path / 'run.py')
        return tmp_path / 'run.py'

    return written


def saved(run):
    return sorted(path.name for path in run.rglob('*.pth'))


def test_a_write_that_fails_leaves_the_old_checkpoint_and_the_training_goes_on_from_it(write, tmp_path):
    run = tmp_path / 'run'
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match='File too large'):
            call_tool('tools/train.py', write({'type': 'FullDiskHook', 'iteration': 7, 'size': SIZE}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved(run) == ['epoch_1.pth']
    assert latest_checkpoint(run) == run / 'epoch_1.pth'
    call_tool('tools/train.py', write(), '--resume')
    assert saved(run) == ['epoch_2.pth']


@pytest.mark.slow
def test_a_kill_in_the_midst_of_the_write_leaves_the_old_checkpoint(write, tmp_path):
    run = tmp_path / 'run'
    config = write({'type': 'FullDiskHook', 'iteration': 7, 'size': SIZE, 'kill': True})
    done = run_tool(['tools/train.py', config], check=False, env={'PYTHONPATH': f'{REPO}/tests'})
    assert done.returncode < 0
    assert latest_checkpoint(run) == run / 'epoch_1.pth'
    (draft,) = run.glob('.epoch_2.draft-*.pth')
    assert draft.stat().st_size == SIZE
    call_tool('tools/train.py', write(), '--resume')
    assert saved(run) == ['epoch_2.pth']


def test_what_is_not_finite_is_not_saved_and_the_checkpoint_before_it_stays(write, tmp_path):
    run = tmp_path / 'run'
    with pytest.raises(FloatingPointError, match=r'state_dict\.neck\.fpn_convs\.0\.conv\.bias: not finite.*--resume'):
        call_tool('tools/train.py', write({'type': 'BrokenWeightHook', 'iteration': 7}))
    assert saved(run) == ['epoch_1.pth']
    assert all(value.isfinite().all() for value in torch.load(latest_checkpoint(run))['state_dict'].values())


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

"""A whole training by mmengine's Runner, with an EMA copy, and what it leaves on disk."""

import copy

import pytest
import torch
from helpers.distil import AS_ALONE, distilled_cfg, save_teacher
from mmdet.registry import MODELS
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError

CLASSES = ('circle', 'square', 'triangle')


@pytest.fixture
def cfg(student_cfg, teacher_cfg, tmp_path):
    checkpoint = save_teacher(teacher_cfg, tmp_path / 'teacher.pth', dataset_meta={'classes': CLASSES})
    cfg = distilled_cfg(student_cfg, teacher_cfg.to_dict(), checkpoint)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.1)]
    return cfg


def test_a_training_leaves_an_ordinary_checkpoint(cfg, student_cfg, tmp_path):
    cfg.model.teacher.update(AS_ALONE)
    runner = Runner.from_cfg(cfg)
    runner.train()
    teacher = runner.model.teacher.detector.state_dict()
    on_disk = torch.load(tmp_path / 'teacher.pth', weights_only=True)['state_dict']
    assert all(torch.equal(value, teacher[key]) for key, value in on_disk.items())

    checkpoint = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)
    names = [*checkpoint['state_dict'], *checkpoint['ema_state_dict']]
    assert not any('teacher' in name for name in names)
    weights = sum(t.numel() for t in checkpoint['state_dict'].values())
    assert weights == sum(t.numel() for t in runner.model.state_dict().values())
    assert len(checkpoint['optimizer']['state']) == len(list(runner.model.parameters()))

    student = {k: v for k, v in checkpoint['state_dict'].items() if not k.startswith('distillers.')}
    MODELS.build(copy.deepcopy(student_cfg.model)).load_state_dict(student, strict=True)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda cfg, tmp_path: (tmp_path / 'teacher.pth').unlink(), 'there is no teacher checkpoint'),
        (lambda cfg, tmp_path: (tmp_path / 'teacher.pth').write_bytes(b'PK\x03\x04'), 'truncated or corrupt'),
        (
            lambda cfg, tmp_path: [
                cfg[f'{split}_dataloader'].dataset.metainfo.update(classes=CLASSES[::-1]) for split in ('train', 'val')
            ],
            'in another order',
        ),
    ],
)
def test_bad_input_stops_before_the_first_step_and_loses_nothing(cfg, tmp_path, spoil, message):
    (tmp_path / 'run').mkdir()
    kept = tmp_path / 'run' / 'epoch_7.pth'
    kept.write_bytes(b'earlier work')
    spoil(cfg, tmp_path)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(DistillationError, match=message):
        runner.train()
    assert runner.iter == 0
    assert kept.read_bytes() == b'earlier work'

"""tools/test.py beyond what the other tools' tests run of it."""

import pickle

import pytest
import torch
from helpers.distil import build, distilled_cfg
from helpers.tiny import call_tool
from mmengine.config import Config


@pytest.fixture
def config_and_checkpoint(student_cfg, teacher_cfg, tmp_path):
    """A distillation's config, whose teacher is nowhere, and a checkpoint of its student."""
    cfg = distilled_cfg(student_cfg, teacher_cfg.to_dict(), None)
    torch.save({'state_dict': build(cfg).state_dict()}, tmp_path / 'checkpoint.pth')
    cfg.model.teacher = dict(config='/no/such/teacher.py', checkpoint='/no/such/teacher.pth')
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    cfg.tta_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(
            type='TestTimeAug',
            transforms=[
                [dict(type='Resize', scale=(64, 64), keep_ratio=True)],
                [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
                [dict(type='LoadAnnotations', with_bbox=True)],
                [
                    dict(
                        type='PackDetInputs',
                        meta_keys=(
                            'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction'
                        ),
                    )
                ],
            ],
        ),
    ]  # fmt: skip
    cfg.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py', tmp_path / 'checkpoint.pth'


@pytest.mark.slow
def test_test_time_augmentation(config_and_checkpoint, tmp_path):
    predictions = {}
    for name, options in {'plain': (), 'augmented': ('--tta',)}.items():
        out = tmp_path / f'{name}.pkl'
        call_tool('tools/test.py', *config_and_checkpoint, '--out', out, '--work-dir', tmp_path / name, *options)
        predictions[name] = pickle.loads(out.read_bytes())
    assert len(predictions['plain']) == len(predictions['augmented']) > 0
    boxes = [[image['pred_instances']['bboxes'] for image in images] for images in predictions.values()]
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(*boxes, strict=True))


def test_augmentation_without_a_pipeline_is_refused(config_and_checkpoint, tmp_path):
    config, checkpoint = config_and_checkpoint
    cfg = Config.fromfile(config)
    cfg.pop('tta_pipeline')
    cfg.dump(config)
    with pytest.raises(SystemExit, match=r'^\nerror: --tta needs a tta_pipeline'):
        call_tool('tools/test.py', config, checkpoint, '--tta', '--work-dir', tmp_path / 'run')


def test_a_checkpoint_of_classes_in_another_order_is_refused(config_and_checkpoint, tmp_path):
    config, checkpoint = config_and_checkpoint
    classes = Config.fromfile(config).test_dataloader.dataset.metainfo.classes
    content = torch.load(checkpoint, weights_only=False)
    torch.save({**content, 'meta': dict(dataset_meta=dict(classes=classes[::-1]))}, checkpoint)
    with pytest.raises(SystemExit, match=r'checkpoint\.pth was trained on the classes .* in another order'):
        call_tool('tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'test')

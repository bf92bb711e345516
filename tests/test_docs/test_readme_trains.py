"""The README's config trains as it stands there, from the weights that it names."""

import shutil
from pathlib import Path

import mmdet
import pytest
import torch
from helpers import write_tiny_coco
from helpers.published import RESNETS, publish, resnet_file
from helpers.tiny import REPO, call_tool
from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from mmengine.config import Config
from test_documents import blocks

from mmdet_kd.runtime import drop_pretrained

#: For the time that a test has; what is loaded and trained stays as it is.
SMALL = [
    'train_cfg.max_epochs=1',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'train_dataloader.dataset.pipeline.2.scale=(64,64)',
    'val_dataloader.dataset.pipeline.1.scale=(64,64)',
    'randomness.seed=0',
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the README's config, COCO in small where mmdet expects it, and torch's downloads beside it."""
    shutil.copytree(REPO / 'configs' / '_base_', tmp_path / 'configs' / '_base_')
    (tmp_path / 'configs' / 'mine').mkdir()
    (tmp_path / 'configs' / 'mine' / 'readme.py').write_text(blocks(REPO / 'README.md', 'python')[0])
    coco = write_tiny_coco(tmp_path / 'data' / 'coco', num_train=2, num_val=1, classes=CocoDataset.METAINFO['classes'])
    (coco / 'annotations').mkdir()
    for split in ('train', 'val'):
        (coco / split).rename(coco / f'{split}2017')
        (coco / f'{split}.json').rename(coco / 'annotations' / f'instances_{split}2017.json')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path


def publish_teacher(torch_home: Path) -> None:
    """A file of the teacher that the README's config names, at its address."""
    teacher = Config.fromfile('configs/_base_/teachers/faster-rcnn_r50_fpn_coco.py').teacher
    config = Path(mmdet.__file__).parent / '.mim' / 'configs' / teacher.config.removeprefix('mmdet::')
    model = Config.fromfile(config).model
    drop_pretrained(model)
    detector = MODELS.build(model)
    detector.init_weights()
    publish(torch_home, teacher.checkpoint, {'state_dict': detector.state_dict()})


def test_it_trains_from_its_pretrained_weights(checkout):
    weights = resnet_file(18)
    publish(checkout / 'torch', RESNETS['resnet18'], weights)
    publish_teacher(checkout / 'torch')
    call_tool('tools/train.py', 'configs/mine/readme.py', '--cfg-options', *SMALL)

    saved = torch.load('work_dirs/readme/epoch_1.pth', weights_only=True)
    assert saved['meta']['iter'] == 1
    trained = {
        key.removeprefix('backbone.'): v for key, v in saved['state_dict'].items() if key.startswith('backbone.')
    }
    assert trained.keys() == weights.keys() - {'fc.weight', 'fc.bias'}
    # mmdet freezes the stem, the first stage and the statistics of every batch norm: these are the file's to the bit
    frozen = [key for key in trained if key.startswith(('conv1', 'bn1', 'layer1')) or 'running' in key]
    assert len(frozen) == 5 + 5 * 3 + 20 * 2  # of 5 convolutions, of their batch norms, statistics of 20
    assert [key for key in frozen if not torch.equal(trained[key], weights[key])] == []
    # what trains has left the file's weights, by the little that a step of the warm-up allows
    moved = [key for key in trained.keys() - set(frozen) if not torch.equal(trained[key], weights[key])]
    assert {key.partition('.')[0] for key in moved} == {'layer2', 'layer3', 'layer4'}
    assert max((trained[key] - weights[key]).abs().max().item() for key in moved) < 1e-2

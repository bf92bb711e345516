"""Whole configs of mmdet's zoo, as students and teachers across classes: each trains a step, and its hint falls."""

import re
from pathlib import Path

import pytest
import torch
from helpers.distil import build, losses_of, total
from helpers.narrow import batch_for, fill_memory
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmdet_kd.runtime import drop_pretrained

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(r'```python\n(_base_.*?)```', (REPO / 'docs' / 'detectors.md').read_text(), flags=re.DOTALL)

ONE, TWO = (f'KnowledgeDistillation{family}StageDetector' for family in ('One', 'Two'))
ANY = 'KnowledgeDistillationDetector'
#: Name -> config of the student, its type, config of the teacher, more of the distiller, more of the model.
PAIRS = {
    'CondInst from Mask R-CNN': (
        'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py', ANY,
        'mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py', 'levels=(0, 1, 2, 3), teacher_levels=(1, 2, 3, 4)', '',
    ),
    'SOLOv2 from Mask R-CNN': (
        'solov2/solov2_r50_fpn_1x_coco.py', ANY, 'mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py', '', ''
    ),
    'DINO R50 from Swin-L': (
        'dino/dino-4scale_r50_8xb2-12e_coco.py', ANY, 'dino/dino-5scale_swin-l_8xb2-12e_coco.py',
        "source='memory', levels=(0, 1, 2, 3), teacher_levels=(1, 2, 3, 4)",
        'num_queries=100,',  # fewer than the places of the maps of a small picture
    ),
    'Deformable DETR R18 from R50': (
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', ANY,
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', "source='memory'",
        'backbone=dict(depth=18, init_cfg=None), neck=dict(in_channels=[128, 256, 512]),',
    ),
    'YOLOX tiny from s': ('yolox/yolox_tiny_8xb8-300e_coco.py', ONE, 'yolox/yolox_s_8xb8-300e_coco.py', '', ''),
    'Faster R-CNN from DINO': (
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', TWO, 'dino/dino-4scale_r50_8xb2-12e_coco.py',
        'levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)', '',
    ),
    'RetinaNet from Cascade R-CNN X101-DCN': (
        'retinanet/retinanet_r50_fpn_1x_coco.py', ONE, 'dcn/cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco.py',
        'levels=(0, 1, 2, 3), teacher_levels=(1, 2, 3, 4)', '',
    ),
}  # fmt: skip


def text_of(pair):
    student, kind, teacher, hint, more = PAIRS[pair]
    named = 'detector=_base_.model.type,' if kind == ANY else ''
    return f"""
_base_ = 'mmdet::{student}'
model = dict(
    type='{kind}', {named} {more}
    teacher=dict(config='mmdet::{teacher}', checkpoint='none'),
    distillers=dict(hint=dict(
        type='FeatureDistiller', adapter=dict(type='ConvAdapter'), loss=dict(type='HintLoss'), {hint})))
"""


def trains(text, folder):
    (folder / 'distilled.py').write_text(text)
    cfg = Config.fromfile(folder / 'distilled.py')
    cfg.model.teacher.checkpoint = None
    drop_pretrained(cfg.model)
    MessageHub.get_current_instance().update_info_dict({'epoch': 0, 'max_epochs': 12, 'iter': 0, 'max_iters': 100})
    detector = fill_memory(build(cfg))
    plain = cfg.model.get('detector', '')
    batch = batch_for({**cfg.model, 'type': plain}, size=128)
    optimizer = torch.optim.Adam(detector.distillers.parameters(), lr=1e-4)
    hints = []
    for _ in range(2):
        losses = losses_of(detector, batch)
        total(losses).backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in detector.backbone.parameters())
        optimizer.step()
        hints.append(float(losses['hint.loss_feat']))
    assert hints[1] < hints[0]


@pytest.mark.slow
@pytest.mark.parametrize('pair', PAIRS)
def test_a_pair_of_whole_configs_trains(pair, tmp_path):
    trains(text_of(pair), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('example', EXAMPLES, ids=lambda text: re.search(r'mmdet::(\w+)', text)[1])
def test_an_example_of_the_documents_trains(example, tmp_path):
    assert len(EXAMPLES) == 4
    trains(example, tmp_path)

"""Every RPN and every RoI head of mmdet, on the backbone and the neck of the tiny student."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import PixelData
from torch import nn

from .dense_heads import pictures
from .distil import build

_CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'

#: What changes the config of the tiny student.
Change = Callable[[Config], Config]


def spread(detector: nn.Module, part: str, seed: int = 1) -> nn.Module:
    """Have the last layers of a part say something else of each place: biases that differ, and larger weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in getattr(detector, part).named_parameters():
            if name.endswith('bias'):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
            elif name.rsplit('.', 2)[-2] in ('rpn_cls', 'rpn_reg', 'fc_cls', 'fc_reg'):
                parameter.mul_(10)
    return detector


def two_pictures(counts: tuple[int, ...] = (4, 2), size: tuple[int, int] = (64, 96), classes: int = 3) -> dict:
    """Two unlike pictures that are not square, whose objects have masks, and whose cells have classes."""
    batch = pictures(size, counts)
    for place, sample in enumerate(batch['data_samples']):
        boxes = sample.gt_instances.bboxes
        masks = np.zeros((len(boxes), *size), dtype=np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1 : (x1 + x2) // 2] = 1  # the left half of the box
        sample.gt_instances.masks = BitmapMasks(masks, *size)
        cells = torch.randint(
            0, classes, (1, size[0] // 8, size[1] // 8), generator=torch.Generator().manual_seed(place)
        )
        sample.gt_sem_seg = PixelData(sem_seg=cells)
    return batch


def step_of_own(detector: nn.Module, batch: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The detector's own losses, its sampling seeded."""
    data = detector.data_preprocessor(copy.deepcopy(batch), training=True)
    torch.manual_seed(seed)
    return type(detector).loss(detector, data['inputs'], data['data_samples'])


# RPN heads.


def _rpn(**changes: Any) -> Change:
    def change(cfg: Config) -> Config:
        cfg = copy.deepcopy(cfg)
        cfg.model.rpn_head.update(copy.deepcopy(changes))
        return cfg

    return change


def _rpn_of_the_zoo(config: str) -> Change:
    """The RPN of a config of mmdet, and how it is trained, as narrow as the tiny student."""

    def change(cfg: Config) -> Config:
        cfg, zoo = copy.deepcopy(cfg), Config.fromfile(_CONFIGS / config).model
        channels = cfg.model.neck.out_channels
        head = zoo.rpn_head
        for part in (head, *head.get('stages', ())):
            part.update(
                {k: channels for k in ('in_channels', 'feat_channels', 'proposal_feature_channel') if k in part}
            )
        if head.type == 'FCOSHead':
            head.norm_cfg = None  # its groups are 32
        cfg.model.rpn_head = head
        cfg.model.train_cfg.update({key: zoo.train_cfg[key] for key in ('rpn', 'rpn_proposal') if key in zoo.train_cfg})
        return cfg

    return change


def _dense_rpn(head: dict, **assigner: Any) -> Change:
    def change(cfg: Config) -> Config:
        cfg = copy.deepcopy(cfg)
        channels = cfg.model.neck.out_channels
        cfg.model.rpn_head = dict(num_classes=1, in_channels=channels, feat_channels=channels, **copy.deepcopy(head))
        cfg.model.train_cfg.rpn.sampler = dict(type='PseudoSampler')
        cfg.model.train_cfg.rpn.assigner = assigner or cfg.model.train_cfg.rpn.assigner
        return cfg

    return change


_STRIDES = [4, 8, 16, 32, 64]
_FOCAL = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)
_DECODED = dict(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss', loss_weight=1.0))

#: RPN heads that a view answers: name -> what changes the config of the tiny student.
RPN_HEADS: dict[str, Change] = {
    'sigmoid': _rpn(),
    'softmax': _rpn(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    'two_convs': _rpn(num_convs=2),
    'focal': _rpn(loss_cls=_FOCAL),
    'decoded': _rpn(**_DECODED),
    'two_scales': _rpn(
        anchor_generator=dict(
            type='AnchorGenerator', scales=[3, 5], ratios=[0.7, 1.4], strides=_STRIDES, center_offset=0.5
        )
    ),
    'legacy': _rpn(
        anchor_generator=dict(
            type='LegacyAnchorGenerator', center_offset=0.5, scales=[4], ratios=[0.5, 2.0], strides=_STRIDES
        ),
        bbox_coder=dict(type='LegacyDeltaXYWHBBoxCoder'),
    ),
}

#: Heads in the place of an RPN that are refused: name -> what changes the config, and why.
REFUSED_RPN_HEADS: dict[str, tuple[Change, str]] = {
    'guided': (
        _rpn_of_the_zoo('guided_anchoring/ga-faster-rcnn_r50_fpn_1x_coco.py'),
        'GARPNHead does not say .*: it predicts its anchors anew in each step',
    ),
    'cascade': (
        _rpn_of_the_zoo('cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py'),
        'CascadeRPNHead does not say .*: each of its stages moves the anchors of the next',
    ),
    'embedding': (
        _rpn_of_the_zoo('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'),
        'EmbeddingRPNHead does not say .*: its proposals are parameters',
    ),
    'fcos': (
        _rpn_of_the_zoo('faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py'),
        'FCOSHead does not say .*: it is the head of a one-stage detector',
    ),
    'retinanet': (
        _dense_rpn(dict(type='RetinaHead', stacked_convs=1, loss_cls=_FOCAL)),
        'RetinaHead does not say .*: it is the head of a one-stage detector',
    ),
    'atss': (
        _dense_rpn(
            dict(
                type='ATSSHead',
                stacked_convs=1,
                norm_cfg=None,
                loss_cls=_FOCAL,
                loss_bbox=dict(type='GIoULoss'),
                reg_decoded_bbox=True,
                anchor_generator=dict(
                    type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=_STRIDES
                ),
            ),
            type='ATSSAssigner',
            topk=9,
        ),
        'ATSSHead does not say .*: it is the head of a one-stage detector',
    ),
    'centernet': (
        _dense_rpn(dict(type='CenterNetUpdateHead', stacked_convs=1, norm_cfg=None)),
        'CenterNetUpdateHead does not say .*: it is the head of a one-stage detector',
    ),
}

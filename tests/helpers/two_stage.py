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

from .architectures import c4, cascade, double_head, mask, ohem
from .dense_heads import pictures

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


def spread_masks(detector: nn.Module, seed: int = 3) -> nn.Module:
    """Have the mask heads say another thing of each class and place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in detector.roi_head.named_parameters():
            if name.startswith('mask_head') and 'logits' in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return detector


def two_pictures(counts: tuple[int, ...] = (4, 2), size: tuple[int, int] = (64, 96), classes: int = 3) -> dict:
    """Two unlike pictures that are not square, whose objects have masks, and whose cells have classes."""
    batch = pictures(size, counts)
    for place, sample in enumerate(batch['data_samples']):
        boxes = sample.gt_instances.bboxes
        masks = np.zeros((len(boxes), *size), dtype=np.uint8)
        for cells, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            cells[y1:y2, x1 : (x1 + x2) // 2] = 1  # the left half of the box
        sample.gt_instances.masks = BitmapMasks(masks, *size)
        classes_of_cells = torch.randint(0, classes, (1, *size), generator=torch.Generator().manual_seed(place))
        sample.gt_sem_seg = PixelData(sem_seg=classes_of_cells)
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


# RoI heads.


def _box_head(**changes: Any) -> Change:
    def change(cfg: Config) -> Config:
        cfg = copy.deepcopy(cfg)
        cfg.model.roi_head.bbox_head.update(copy.deepcopy(changes))
        return cfg

    return change


def _new_box_head(kind: str, **settings: Any) -> Change:
    """A box head that shares no settings but the usual ones with the tiny student's."""

    def change(cfg: Config) -> Config:
        cfg = copy.deepcopy(cfg)
        head = cfg.model.roi_head.bbox_head
        kept = {name: head[name] for name in ('num_classes', 'bbox_coder', 'loss_cls', 'loss_bbox')}
        channels = dict(in_channels=cfg.model.neck.out_channels, roi_feat_size=head.roi_feat_size)
        cfg.model.roi_head.bbox_head = dict(type=kind, **{**kept, **channels, **copy.deepcopy(settings)})
        return cfg

    return change


def _roi_head(kind: str, **settings: Any) -> Change:
    def change(cfg: Config) -> Config:
        cfg = copy.deepcopy(cfg)
        cfg.model.roi_head.update(type=kind, **copy.deepcopy(settings))
        return cfg

    return change


def after(*changes: Change) -> Change:
    """One change after another."""

    def change(cfg: Config) -> Config:
        for each in changes:
            cfg = each(cfg)
        return cfg

    return change


def with_masks(cfg: Config, kind: str = 'FCNMaskHead', **settings: Any) -> Config:
    """A mask branch, with a mask head a stage."""
    cfg = mask(cfg) if isinstance(cfg.model.roi_head.bbox_head, dict) else copy.deepcopy(cfg)
    roi_head, stages = cfg.model.roi_head, cfg.model.roi_head.get('num_stages', 1)
    if stages > 1:
        channels, classes = cfg.model.neck.out_channels, roi_head.bbox_head[0].num_classes
        roi_head.mask_roi_extractor = copy.deepcopy(roi_head.bbox_roi_extractor)
        roi_head.mask_head = dict(
            type=kind,
            num_convs=1,
            in_channels=channels,
            conv_out_channels=channels,
            num_classes=classes,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        )
        for stage in cfg.model.train_cfg.rcnn:
            stage.mask_size = 10
    roi_head.mask_head.update(type=kind, **copy.deepcopy(settings))
    return cfg


def agnostic_masks(cfg: Config) -> Config:
    """A mask branch with one mask for any class."""
    return with_masks(cfg, class_agnostic=True)


def pisa(cfg: Config) -> Config:
    """PISA: its box head is asked for its targets, which are reweighed before its loss."""
    cfg = _roi_head('PISARoIHead')(cfg)
    rcnn = cfg.model.train_cfg.rcnn
    rcnn.sampler.update(type='ScoreHLRSampler', k=0.5, bias=0.0)
    rcnn.update(isr=dict(k=2, bias=0), carl=dict(k=1, bias=0.2))
    return cfg


def dynamic(cfg: Config) -> Config:
    """Dynamic R-CNN."""
    cfg = _roi_head('DynamicRoIHead')(cfg)
    cfg.model.roi_head.bbox_head.loss_bbox = dict(type='SmoothL1Loss', beta=1.0)
    cfg.model.train_cfg.rcnn.dynamic_rcnn = dict(
        iou_topk=8, beta_topk=2, update_iter_interval=1, initial_iou=0.4, initial_beta=1.0
    )
    return cfg


def grid(cfg: Config) -> Config:
    """Grid R-CNN: a box head that does not regress, and a grid head."""
    cfg = copy.deepcopy(cfg)
    roi_head, channels = cfg.model.roi_head, cfg.model.neck.out_channels
    roi_head.type = 'GridRoIHead'
    roi_head.bbox_head.with_reg = False
    roi_head.grid_roi_extractor = copy.deepcopy(roi_head.bbox_roi_extractor)
    roi_head.grid_roi_extractor.roi_layer.output_size = 14
    roi_head.grid_head = dict(
        type='GridHead',
        grid_points=9,
        num_convs=1,
        in_channels=channels,
        point_feat_channels=4,
        norm_cfg=dict(type='GN', num_groups=9),
    )
    cfg.model.train_cfg.rcnn.update(pos_radius=1, max_num_grid=192)
    cfg.model.type = 'GridRCNN'
    return cfg


def sabl(cfg: Config) -> Config:
    """Side-Aware Boundary Localization."""
    cfg = copy.deepcopy(cfg)
    channels = cfg.model.neck.out_channels
    cfg.model.roi_head.bbox_head = dict(
        type='SABLHead',
        num_classes=3,
        cls_in_channels=channels,
        reg_in_channels=channels,
        roi_feat_size=5,
        reg_feat_up_ratio=2,
        num_cls_fcs=1,
        cls_out_channels=32,
        reg_offset_out_channels=channels,
        reg_cls_out_channels=channels,
        bbox_coder=dict(type='BucketingBBoxCoder', num_buckets=10, scale_factor=1.7),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox_reg=dict(type='SmoothL1Loss', beta=0.1, loss_weight=1.0),
    )
    return cfg


def cascade_of(*changes: Change) -> Change:
    """The tiny cascade, after the changes of its one box head."""
    return after(*changes, cascade)


def sabl_cascade(cfg: Config) -> Config:
    """A cascade of SABL heads."""
    heads = sabl(cfg).model.roi_head.bbox_head
    cfg = cascade(cfg)
    cfg.model.roi_head.bbox_head = [copy.deepcopy(heads) for _ in range(3)]
    return cfg


def htc(cfg: Config) -> Config:
    """Hybrid Task Cascade, without its semantic branch."""
    cfg = with_masks(cascade(cfg), 'HTCMaskHead')
    cfg.model.roi_head.update(type='HybridTaskCascadeRoIHead', interleaved=True, mask_info_flow=True)
    cfg.model.roi_head.mask_head = [
        {**copy.deepcopy(cfg.model.roi_head.mask_head), 'with_conv_res': stage > 0} for stage in range(3)
    ]
    cfg.model.type = 'HybridTaskCascade'
    cfg.model.data_preprocessor.update(pad_mask=True)
    return cfg


def htc_semantic(cfg: Config) -> Config:
    """Hybrid Task Cascade, whose box heads also read a semantic branch."""
    cfg = htc(cfg)
    roi_head, channels = cfg.model.roi_head, cfg.model.neck.out_channels
    roi_head.semantic_roi_extractor = copy.deepcopy(roi_head.bbox_roi_extractor)
    roi_head.semantic_roi_extractor.featmap_strides = [8]
    roi_head.semantic_head = dict(
        type='FusedSemanticHead',
        num_ins=5,
        fusion_level=1,
        num_convs=1,
        in_channels=channels,
        conv_out_channels=channels,
        num_classes=3,
        loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2),
    )
    return cfg


def scnet(cfg: Config) -> Config:
    """SCNet, without its semantic and context branches."""
    cfg = cascade(cfg)
    channels, roi_head = cfg.model.neck.out_channels, cfg.model.roi_head
    for head in roi_head.bbox_head:
        head.update(type='SCNetBBoxHead', num_shared_fcs=2)
    extractor = copy.deepcopy(roi_head.bbox_roi_extractor)
    cfg = with_masks(cfg, 'SCNetMaskHead')
    cfg.model.roi_head.update(type='SCNetRoIHead', mask_roi_extractor=extractor)
    cfg.model.roi_head.mask_head.update(in_channels=channels)
    cfg.model.type = 'SCNet'
    return cfg


def scnet_context(cfg: Config) -> Config:
    """SCNet with its context branch."""
    cfg = scnet(cfg)
    channels = cfg.model.neck.out_channels
    cfg.model.roi_head.glbctx_head = dict(
        type='GlobalContextHead', num_convs=1, in_channels=channels, conv_out_channels=channels, num_classes=3
    )
    return cfg


def mask_scoring(cfg: Config) -> Config:
    """Mask Scoring R-CNN."""
    cfg = with_masks(cfg)
    channels = cfg.model.neck.out_channels
    cfg.model.roi_head.update(
        type='MaskScoringRoIHead',
        mask_iou_head=dict(
            type='MaskIoUHead',
            num_convs=1,
            num_fcs=1,
            roi_feat_size=6,  # of what the pooling leaves, 3
            in_channels=channels,
            conv_out_channels=channels,
            fc_out_channels=16,
            num_classes=3,
        ),
    )
    cfg.model.train_cfg.rcnn.mask_thr_binary = 0.5
    cfg.model.type = 'MaskScoringRCNN'
    return cfg


def point_rend(cfg: Config) -> Config:
    """PointRend, which refines coarse masks."""
    cfg = with_masks(cfg, 'CoarseMaskHead', num_fcs=1, fc_out_channels=16, roi_feat_size=4, num_convs=0)
    channels, roi_head = cfg.model.neck.out_channels, cfg.model.roi_head
    roi_head.mask_roi_extractor.roi_layer.output_size = 4
    roi_head.update(
        type='PointRendRoIHead',
        point_head=dict(type='MaskPointHead', num_fcs=1, in_channels=4 * channels, fc_channels=16, num_classes=3),
    )
    cfg.model.train_cfg.rcnn.update(mask_size=2, num_points=16, oversample_ratio=3, importance_sample_ratio=0.75)
    cfg.model.type = 'PointRend'
    return cfg


def sparse(cfg: Config) -> Config:
    """Sparse R-CNN, as narrow as the tiny student."""
    cfg, zoo = copy.deepcopy(cfg), Config.fromfile(_CONFIGS / 'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py').model
    channels = cfg.model.neck.out_channels
    zoo.rpn_head.update(num_proposals=10, proposal_feature_channel=channels)
    zoo.roi_head.update(num_stages=2, stage_loss_weights=[1, 1], proposal_feature_channel=channels)
    zoo.roi_head.bbox_roi_extractor.update(out_channels=channels)
    zoo.roi_head.bbox_head = zoo.roi_head.bbox_head[:2]
    for head in zoo.roi_head.bbox_head:
        head.update(num_classes=3, num_heads=2, feedforward_channels=16, in_channels=channels)
        head.dynamic_conv_cfg.update(in_channels=channels, feat_channels=8, out_channels=channels)
    zoo.train_cfg.rcnn = zoo.train_cfg.rcnn[:2]
    cfg.model.update({part: zoo[part] for part in ('rpn_head', 'roi_head', 'train_cfg', 'test_cfg')})
    cfg.model.type = 'SparseRCNN'
    return cfg


def crowd(cfg: Config) -> Config:
    """CrowdDet: two boxes a RoI."""
    cfg = _new_box_head('MultiInstanceBBoxHead', num_shared_fcs=1, fc_out_channels=16)(cfg)
    cfg.model.roi_head.type = 'MultiInstanceRoIHead'
    cfg.model.roi_head.bbox_head.loss_cls.use_sigmoid = False
    cfg.model.train_cfg.rcnn.sampler = dict(
        type='MultiInsRandomSampler', num=16, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False
    )
    cfg.model.train_cfg.rcnn.assigner = dict(
        type='MultiInstanceAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.3, match_low_quality=False
    )
    return cfg


_AGNOSTIC = _box_head(reg_class_agnostic=True)
_SIGMOID = _box_head(loss_cls=dict(type='CrossEntropyCustomLoss', use_sigmoid=True, num_classes=3))
_SEESAW = _box_head(loss_cls=dict(type='SeesawLoss', num_classes=3))

#: Two-stage detectors whose RoI heads answer all questions: name -> what changes the config of the tiny student.
ROI_HEADS: dict[str, Change] = {
    'shared_2fc': _box_head(),
    'agnostic': _AGNOSTIC,
    'sigmoid': _SIGMOID,
    'focal': _box_head(loss_cls=dict(type='FocalCustomLoss', use_sigmoid=True, num_classes=3)),
    'custom_softmax': _box_head(loss_cls=dict(type='CrossEntropyCustomLoss', use_sigmoid=False, num_classes=3)),
    'usual_sigmoid': _box_head(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    'decoded': _box_head(**_DECODED),
    'bbox_head': _new_box_head('BBoxHead', with_avg_pool=True),
    'shared_4conv_1fc': _new_box_head('Shared4Conv1FCBBoxHead', conv_out_channels=8, fc_out_channels=16),
    'conv_fc': _new_box_head(
        'ConvFCBBoxHead', num_cls_convs=1, num_cls_fcs=1, num_reg_convs=1, conv_out_channels=8, fc_out_channels=16
    ),
    'vgg': _new_box_head('VGGBBoxHead', fc_channels=(16, 16)),
    'alexnet': _new_box_head('AlexNetBBoxHead', fc_channels=(16, 16)),
    'double': double_head,
    'ohem': ohem,
    'c4': c4,
    'cascade': cascade,
    'cascade_sigmoid': cascade_of(_SIGMOID),
    'cascade_decoded': cascade_of(_box_head(**_DECODED)),
    'pisa': pisa,
    'dynamic': dynamic,
    'mask': with_masks,
    'mask_scoring': mask_scoring,
    'point_rend': point_rend,
    'trident': _roi_head('TridentRoIHead', num_branch=3, test_branch_idx=1),
    'htc': htc,
    'scnet': scnet,
}
#: Those that answer all but the deltas: name -> what changes the config, and why.
WITHOUT_DELTAS: dict[str, tuple[Change, str]] = {
    'sabl': (sabl, r'SABLHead \(stage 0\) does not say how far .*: it says in which bucket'),
    'sabl_cascade': (sabl_cascade, r'SABLHead \(stage 2\) does not say how far .*: it says in which bucket'),
    'grid': (grid, r'Shared2FCBBoxHead \(stage 0\) does not say how far .*: it has no regression'),
}
#: Those that answer all, but not of RoIs that they are given, so that they are students alone.
ONLY_STUDENTS: dict[str, tuple[Change, str]] = {
    'htc_semantic': (htc_semantic, 'HybridTaskCascadeRoIHead does not say anything of RoIs .* a semantic branch'),
    'scnet_context': (scnet_context, 'SCNetRoIHead does not say anything of RoIs .* a context branch'),
}
#: Those that answer nothing that is compared.
REFUSED_ROI_HEADS: dict[str, tuple[Change, str]] = {
    'sparse': (sparse, 'SparseRoIHead does not say .*: its box heads read a learned feature'),
    'crowd': (crowd, 'MultiInstanceRoIHead does not say .*: it predicts several boxes for a RoI'),
    'seesaw': (_SEESAW, r'Shared2FCBBoxHead \(stage 0\) does not say what class .*: it does not classify by a softmax'),
}

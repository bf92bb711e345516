"""Tiny relatives of the tiny student: mmdet's other two-stage architectures, by changes to its config."""

from __future__ import annotations

import copy

from mmengine.config import Config

#: Deformable convolutions for a ResNet.
DCN, DCNV2 = ({'type': kind, 'deform_groups': 1, 'fallback_on_stride': False} for kind in ('DCN', 'DCNv2'))


def faster(cfg: Config) -> Config:
    """Faster R-CNN with FPN, as it is."""
    return copy.deepcopy(cfg)


def mask(cfg: Config) -> Config:
    """Mask R-CNN with FPN."""
    cfg = copy.deepcopy(cfg)
    channels = cfg.model.neck.out_channels
    roi_head = cfg.model.roi_head
    roi_head.mask_roi_extractor = copy.deepcopy(roi_head.bbox_roi_extractor)
    roi_head.mask_head = dict(
        type='FCNMaskHead',
        num_convs=1,
        in_channels=channels,
        conv_out_channels=channels,
        num_classes=roi_head.bbox_head.num_classes,
        loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
    )
    cfg.model.type = 'MaskRCNN'
    cfg.model.train_cfg.rcnn.mask_size = 10
    cfg.model.test_cfg.rcnn.mask_thr_binary = 0.5
    return cfg


def cascade(cfg: Config) -> Config:
    """Cascade R-CNN with FPN: three stages, class-agnostic, each with a box coder of its own."""
    cfg = copy.deepcopy(cfg)
    roi_head, rcnn = cfg.model.roi_head, cfg.model.train_cfg.rcnn
    heads = []
    for stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]):
        head = copy.deepcopy(roi_head.bbox_head)
        head.reg_class_agnostic = True
        head.bbox_coder.target_stds = stds
        heads.append(head)
    roi_head.update(type='CascadeRoIHead', num_stages=3, stage_loss_weights=[1, 0.5, 0.25], bbox_head=heads)
    cfg.model.type = 'CascadeRCNN'
    cfg.model.train_cfg.rcnn = [copy.deepcopy(rcnn) for _ in heads]
    return cfg


def deformable(cfg: Config, dcn: dict | None) -> Config:
    """Deformable convolutions in the last stage of a ResNet-50."""
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone.update(depth=50, base_channels=4, dcn=dcn, stage_with_dcn=(False, False, False, True))
    cfg.model.neck.in_channels = [16, 32, 64, 128]
    return cfg


def c4(cfg: Config) -> Config:
    """Faster R-CNN without a neck: one shared map of stride 16, and the last stage as the head of each RoI."""
    cfg = copy.deepcopy(cfg)
    model = cfg.model
    base = model.backbone.base_channels
    model.pop('neck')
    model.backbone.update(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,), depth=50)
    channels = base * 16
    model.rpn_head.update(in_channels=channels, feat_channels=channels)
    model.rpn_head.anchor_generator.update(scales=[1, 2], strides=[16])
    roi_head = model.roi_head
    roi_head.bbox_roi_extractor.update(featmap_strides=[16], out_channels=channels)
    head = roi_head.bbox_head
    roi_head.bbox_head = dict(
        type='BBoxHead',
        with_avg_pool=True,
        roi_feat_size=5,
        in_channels=channels,
        num_classes=head.num_classes,
        bbox_coder=head.bbox_coder,
        reg_class_agnostic=False,
        loss_cls=head.loss_cls,
        loss_bbox=head.loss_bbox,
    )
    return cfg


def decoded(cfg: Config) -> Config:
    """Faster R-CNN that regresses decoded boxes with GIoU in both heads."""
    cfg = copy.deepcopy(cfg)
    for head in (cfg.model.rpn_head, cfg.model.roi_head.bbox_head):
        head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss', loss_weight=1.0))
    return cfg


def softmax_rpn(cfg: Config) -> Config:
    """Faster R-CNN whose RPN has two softmax classes."""
    cfg = copy.deepcopy(cfg)
    cfg.model.rpn_head.loss_cls.use_sigmoid = False
    return cfg


def ohem(cfg: Config) -> Config:
    """Faster R-CNN that mines hard RoIs."""
    cfg = copy.deepcopy(cfg)
    cfg.model.train_cfg.rcnn.sampler.type = 'OHEMSampler'
    return cfg


def double_head(cfg: Config) -> Config:
    """Double-Head R-CNN."""
    cfg = copy.deepcopy(cfg)
    head, channels = cfg.model.roi_head.bbox_head, cfg.model.neck.out_channels
    cfg.model.roi_head.update(type='DoubleHeadRoIHead', reg_roi_scale_factor=1.3)
    cfg.model.roi_head.bbox_head = dict(
        type='DoubleConvFCBBoxHead',
        num_convs=1,
        num_fcs=1,
        in_channels=channels,
        conv_out_channels=32,
        fc_out_channels=32,
        roi_feat_size=5,
        num_classes=head.num_classes,
        bbox_coder=head.bbox_coder,
        loss_cls=head.loss_cls,
        loss_bbox=head.loss_bbox,
    )
    return cfg


ARCHITECTURES = {f.__name__: f for f in (faster, mask, cascade, c4, decoded, softmax_rpn, ohem, double_head)}

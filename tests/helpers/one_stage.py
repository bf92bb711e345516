"""Tiny one-stage detectors: mmdet's heads on the backbone and the neck of the tiny student."""

from __future__ import annotations

import copy

from mmengine.config import Config

_SIGMOID = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)
_CENTRES = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
_DELTAS = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
_TEST = dict(nms_pre=100, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20, min_bbox_size=0)


def _one_stage(cfg: Config, kind: str, head: dict, assigner: dict, **train: object) -> Config:
    cfg = copy.deepcopy(cfg)
    old = cfg.model
    convolutional = dict(in_channels=old.neck.out_channels, feat_channels=old.neck.out_channels, stacked_convs=1)
    cfg.model = dict(
        type=kind,
        data_preprocessor=old.data_preprocessor,
        backbone=old.backbone,
        neck=old.neck,
        bbox_head={'num_classes': old.roi_head.bbox_head.num_classes, **convolutional, **head},
        train_cfg=dict(assigner=assigner, allowed_border=-1, pos_weight=-1, debug=False, **train),
        test_cfg=_TEST,
    )
    return cfg


def _overlap(pos_iou_thr: float, neg_iou_thr: float) -> dict:
    thresholds = dict(pos_iou_thr=pos_iou_thr, neg_iou_thr=neg_iou_thr, min_pos_iou=0, ignore_iof_thr=-1)
    return dict(type='MaxIoUAssigner', **thresholds)


def retinanet(cfg: Config) -> Config:
    """Sigmoids on anchors."""
    anchors = dict(cfg.model.rpn_head.anchor_generator)
    head = dict(type='RetinaHead', anchor_generator=anchors, bbox_coder=_DELTAS, loss_cls=_SIGMOID)
    return _one_stage(cfg, 'RetinaNet', head, _overlap(0.5, 0.4), sampler=dict(type='PseudoSampler'))


def ssd(cfg: Config) -> Config:
    """A softmax on anchors."""
    anchors = dict(cfg.model.rpn_head.anchor_generator)
    levels = [cfg.model.neck.out_channels] * cfg.model.neck.num_outs
    head = dict(type='SSDHead', in_channels=levels, anchor_generator=anchors, bbox_coder=_DELTAS)
    cfg = _one_stage(cfg, 'SingleStageDetector', head, _overlap(0.5, 0.5), smoothl1_beta=1.0, neg_pos_ratio=3)
    cfg.model.train_cfg.sampler = dict(type='PseudoSampler')
    cfg.model.bbox_head.update(feat_channels=256, stacked_convs=0)
    return cfg


def fcos(cfg: Config) -> Config:
    """Sigmoids on points."""
    strides = list(cfg.model.rpn_head.anchor_generator.strides)
    ranges = ((-1, 16), (16, 32), (32, 64), (64, 128), (128, 1e8))
    head = dict(type='FCOSHead', strides=strides, regress_ranges=ranges, norm_cfg=None, loss_cls=_SIGMOID)
    return _one_stage(cfg, 'FCOS', head | dict(loss_centerness=_CENTRES), assigner={})


def gfl(cfg: Config) -> Config:
    """Quality focal loss, whose labels come with their quality."""
    head = dict(type='GFLHead', anchor_generator=_squares(cfg), reg_max=4, norm_cfg=None)
    head |= dict(loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0))
    head |= dict(loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25), loss_bbox=dict(type='GIoULoss'))
    return _one_stage(cfg, 'GFL', head, dict(type='ATSSAssigner', topk=9))


def atss(cfg: Config) -> Config:
    """Adaptive assignment."""
    head = dict(type='ATSSHead', anchor_generator=_squares(cfg), bbox_coder=_DELTAS, norm_cfg=None)
    head |= dict(loss_cls=_SIGMOID, loss_bbox=dict(type='GIoULoss'), loss_centerness=_CENTRES)
    return _one_stage(cfg, 'ATSS', head, dict(type='ATSSAssigner', topk=9))


def _squares(cfg: Config) -> dict:
    strides = list(cfg.model.rpn_head.anchor_generator.strides)
    return dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=strides)


ONE_STAGE = {f.__name__: f for f in (retinanet, ssd, fcos, gfl, atss)}

"""A tiny DETR on the backbone of the tiny student."""

from __future__ import annotations

import copy

from mmengine.config import Config

_CHANNELS = 32


def detr(cfg: Config) -> Config:
    """DETR of two layers, which reads one map of stride 32. Nothing is dropped out, so that runs can be compared."""
    cfg = copy.deepcopy(cfg)
    old = cfg.model
    attention = dict(embed_dims=_CHANNELS, num_heads=4, dropout=0.0, batch_first=True)
    ffn = dict(embed_dims=_CHANNELS, feedforward_channels=64, num_fcs=2, ffn_drop=0.0, act_cfg=dict(type='ReLU'))
    layer = dict(self_attn_cfg=attention, ffn_cfg=ffn)
    costs = [
        dict(type='ClassificationCost', weight=1.0),
        dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
        dict(type='IoUCost', iou_mode='giou', weight=2.0),
    ]
    cfg.model = dict(
        type='DETR',
        num_queries=10,
        data_preprocessor=old.data_preprocessor,
        backbone=dict(old.backbone, out_indices=(3,)),
        neck=dict(
            type='ChannelMapper',
            in_channels=[8 * old.backbone.base_channels],
            kernel_size=1,
            out_channels=_CHANNELS,
            act_cfg=None,
            norm_cfg=None,
            num_outs=1,
        ),
        encoder=dict(num_layers=2, layer_cfg=layer),
        decoder=dict(num_layers=2, layer_cfg=dict(layer, cross_attn_cfg=attention), return_intermediate=True),
        positional_encoding=dict(num_feats=_CHANNELS // 2, normalize=True),
        bbox_head=dict(
            type='DETRHead',
            num_classes=old.roi_head.bbox_head.num_classes,
            embed_dims=_CHANNELS,
            loss_cls=dict(type='CrossEntropyLoss', bg_cls_weight=0.1, loss_weight=1.0, class_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=5.0),
            loss_iou=dict(type='GIoULoss', loss_weight=2.0),
        ),
        train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=costs)),
        test_cfg=dict(max_per_img=10),
    )
    return cfg

"""Tiny detectors with heads that have a point a cell, and what their own losses are given.

Their layers are not normalised, so that a head gives the same in both modes but for its form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from torch import Tensor

from .one_stage import _CENTRES, _SIGMOID, _one_stage

_STRIDES = [4, 8, 16, 32, 64]
_RANGES = ((-1, 16), (16, 32), (32, 64), (64, 128), (128, 1e8))
_UPDATE_RANGES = ((0, 16), (8, 32), (16, 64), (32, 128), (64, 1e8))
_POINTS = dict(type='MlvlPointGenerator', offset=0, strides=_STRIDES)
_QUALITY = dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0)
_SOFT_LABELS = dict(type='DynamicSoftLabelAssigner', topk=5)
_ATSS = dict(type='ATSSAssigner', topk=9)


def _as_fcos(cfg: Config, type: str = 'FCOSHead', **head: Any) -> Config:
    head = dict(type=type, strides=_STRIDES, regress_ranges=_RANGES, norm_cfg=None, loss_cls=_SIGMOID, **head)
    return _one_stage(cfg, 'FCOS', head | dict(loss_centerness=_CENTRES), assigner={})


def _vfnet(cfg: Config, **head: Any) -> Config:
    anchors = dict(type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=_STRIDES)
    head = dict(type='VFNetHead', strides=_STRIDES, regress_ranges=_RANGES, norm_cfg=None, **head)
    return _one_stage(cfg, 'VFNet', head | dict(anchor_generator=anchors | dict(center_offset=0.0)), _ATSS)


def _rtmdet(cfg: Config, type: str = 'RTMDetHead', **head: Any) -> Config:
    head = dict(type=type, anchor_generator=_POINTS, norm_cfg=None, loss_cls=_QUALITY, **head)
    head |= dict(bbox_coder=dict(type='DistancePointBBoxCoder'), loss_bbox=dict(type='GIoULoss'))
    return _one_stage(cfg, 'RTMDet', head, _SOFT_LABELS)


def _fovea(cfg: Config, **head: Any) -> Config:
    head = dict(type='FoveaHead', strides=_STRIDES, norm_cfg=None, loss_cls=_SIGMOID, **head)
    head |= dict(base_edge_list=[8, 16, 32, 64, 128], loss_bbox=dict(type='SmoothL1Loss', beta=0.11))
    head |= dict(scale_ranges=((1, 16), (8, 32), (16, 64), (32, 128), (64, 256)))
    return _one_stage(cfg, 'FOVEA', head, assigner={})


def _yolox(cfg: Config) -> Config:
    head = dict(type='YOLOXHead', strides=_STRIDES, norm_cfg=None)
    return _one_stage(cfg, 'YOLOX', head, dict(type='SimOTAAssigner', center_radius=2.5))


def _reppoints(cfg: Config, **head: Any) -> Config:
    channels = cfg.model.neck.out_channels
    head = dict(type='RepPointsHead', point_feat_channels=channels, point_strides=_STRIDES, norm_cfg=None, **head)
    cfg = _one_stage(cfg, 'RepPointsDetector', head | dict(loss_cls=_SIGMOID), assigner={})
    overlap = dict(type='MaxIoUAssigner', pos_iou_thr=0.3, neg_iou_thr=0.2, min_pos_iou=0, ignore_iof_thr=-1)
    first = dict(assigner=dict(type='PointAssigner', scale=4, pos_num=1), pos_weight=-1)
    cfg.model.train_cfg = dict(init=first, refine=dict(assigner=overlap, pos_weight=-1))
    return cfg


def _centernet_update(cfg: Config) -> Config:
    head = dict(type='CenterNetUpdateHead', strides=_STRIDES, regress_ranges=_UPDATE_RANGES, norm_cfg=None)
    return _one_stage(cfg, 'CenterNet', head, assigner={})


#: Name -> what makes the config of a tiny detector with that head of the tiny student's.
POINT_HEADS: dict[str, Callable[[Config], Config]] = {
    'rtmdet': _rtmdet,
    'yolox': _yolox,
    'vfnet': _vfnet,
    'reppoints': _reppoints,
    'fcos_in_strides': functools.partial(_as_fcos, norm_on_bbox=True, center_sampling=True, centerness_on_reg=True),
    'nasfcos': functools.partial(_as_fcos, type='NASFCOSHead', norm_on_bbox=True),
    'condinst': functools.partial(_as_fcos, type='CondInstBboxHead', num_params=9, center_sampling=True),
    'boxinst': functools.partial(_as_fcos, type='BoxInstBboxHead', num_params=9, norm_on_bbox=True),
    'vfnet_as_fcos': functools.partial(_vfnet, use_atss=False),
    'vfnet_focal': functools.partial(_vfnet, use_vfl=False),
    'fovea': _fovea,
    'fovea_deformed': functools.partial(_fovea, with_deform=True, deform_groups=1),
    'reppoints_on_grids': functools.partial(_reppoints, use_grid_points=True, transform_method='minmax'),
    'centernet_update': _centernet_update,
    'rtmdet_plain': functools.partial(_rtmdet, with_objectness=False),
    'rtmdet_sepbn': functools.partial(_rtmdet, type='RTMDetSepBNHead', exp_on_reg=True),
    'rtmdet_ins': functools.partial(_rtmdet, type='RTMDetInsHead'),
    'rtmdet_ins_sepbn': functools.partial(_rtmdet, type='RTMDetInsSepBNHead'),
}
#: Those that every change is tested on; the others are slow.
QUICK_POINT_HEADS = ('rtmdet', 'yolox', 'vfnet', 'reppoints')


def autoassign(cfg: Config) -> Config:
    """No prior has a label."""
    head = dict(type='AutoAssignHead', strides=_STRIDES, regress_ranges=_RANGES, norm_cfg=None, norm_on_bbox=True)
    head |= dict(loss_bbox=dict(type='GIoULoss', loss_weight=5.0))
    return _one_stage(cfg, 'AutoAssign', head, assigner={})


def add_masks(batch: dict[str, Any]) -> None:
    """Give each true box of raw pictures a mask that fills it."""
    for picture, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        boxes = sample.gt_instances.bboxes.round().int().tolist()
        masks = np.zeros((len(boxes), *picture.shape[-2:]), dtype=np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            mask[top:bottom, left:right] = 1
        sample.gt_instances.masks = BitmapMasks(masks, *picture.shape[-2:])


def classified(step: Any) -> tuple[Tensor, Tensor, Tensor] | None:
    """Scores (n, K), labels (n,) and weights (n,) that the head's own class loss is given.

    YOLOX gives those of its positive priors alone. None of a head whose loss is given labels as they are.
    """
    given = [call.arguments for call in step.losses['loss_cls']]
    targets = [each.get('labels', list(each.values())[1]) for each in given]
    if not isinstance(targets[0], Tensor) or not targets[0].is_floating_point():
        return None
    (each,), (target,) = given, targets
    scores = next(iter(each.values()))
    labels = target.argmax(dim=1).masked_fill(target.amax(dim=1) == 0, step.view.num_classes)
    if 'pos_inds' in each:  # of CenterNetUpdate, on probabilities
        scores, labels = scores.logit(), torch.full_like(labels, step.view.num_classes)
        for place, label in sorted(zip(each['pos_inds'].tolist(), each['pos_labels'].tolist(), strict=True))[::-1]:
            labels[place] = label  # the first class last
    return scores, labels, torch.ones(len(labels))


def trained_boxes(step: Any, images: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (K, 4) that the head's own box loss is given: predicted ones, and their targets; in pixels.

    Args:
        step: that was recorded.
        images: of the positive priors.
        places: of these.
    """
    head, name = step.view.head, type(step.view.head).__name__
    refined = step.losses.get('loss_bbox_refine')
    given = [list(call.arguments.values()) for call in refined or step.losses['loss_bbox']]
    if name == 'RepPointsHead':
        kept = [weights[:, 0] > 0 for _, _, weights, *_ in given]
        sizes = [head.point_base_scale * stride for stride in head.point_strides]
        rows = [(p[k] * s, t[k] * s) for (p, t, *_), k, s in zip(given, kept, sizes, strict=True)]
        return torch.cat([row[0] for row in rows]), torch.cat([row[1] for row in rows])
    if name == 'CenterNetUpdateHead':
        given = given[1:]  # the first compares candidates
    predicted, targets = (torch.cat([rows[which] for rows in given]) for which in (0, 1))
    in_strides = name == 'CenterNetUpdateHead' or getattr(head, 'norm_on_bbox', False)
    if name != 'FoveaHead' and not in_strides:
        return predicted, targets
    points, numbers = _level_first(step, images, places)
    if name == 'FoveaHead':
        sides = numbers[:, 1:] * torch.tensor([-1, -1, 1, 1])
        return points + predicted.exp() * sides, points + targets.exp() * sides
    return points + (predicted - points) * numbers[:, :1], points + (targets - points) * numbers[:, :1]


def _level_first(step: Any, images: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Points (K, 4), twice, and strides and base lengths (K, 2) of priors, in the order of levels, then pictures."""
    head = step.view.head
    levels = head.prior_generator.grid_priors(step.predictions.sizes, device='cpu')
    level = torch.cat([torch.full((len(each),), place) for place, each in enumerate(levels)])[places]
    order = ((level * 100 + images) * 100_000 + places).argsort()
    numbers = torch.tensor(list(zip(head.strides, getattr(head, 'base_edge_list', head.strides), strict=True)))
    return torch.cat(levels)[places[order]].repeat(1, 2), numbers[level[order]].float()

"""Whole detectors of mmdet's zoo, as narrow and shallow as their architecture allows, and batches for them."""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.backbones.trident_resnet import TridentConv
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmdet_kd.export import with_num_classes
from mmdet_kd.runtime import drop_pretrained

from .distil import HINT, raw_batch, student_type
from .zoo import CONFIGS

#: Keys of a config that say how many channels something has.
_WIDTHS = (
    'in_channels',
    'out_channels',
    'feat_channels',
    'inner_channels',
    'conv_out_channels',
    'fc_out_channels',
    'fc_channels',
    'cls_in_channels',
    'reg_in_channels',
    'proposal_feature_channel',
    'num_deconv_filters',
    'embed_dims',
    'feedforward_channels',
    'num_feats',
    'base_channels',
    'num_groups',
    'point_feat_channels',
    'hidden_dim',
    'mid_channels',
    'block_mid_channels',
    'feat_channel',
    'stage_channels',
)
#: Detectors whose decoders have 256 channels whatever their configs say, and what of them is narrowed all the same.
_WIDE = ('ConditionalDETR', 'DINO', 'DDQDETR')
_BESIDE = ('feedforward_channels', 'base_channels')
_KEPT_BELOW = 16  # channels: so few mean something else, such as the sizes of dynamic convolutions
_QUERIES = 20
CLASSES = 3


def narrowed(config: str, divisor: int = 8) -> ConfigDict:
    """The model of a config of the zoo with fewer channels, layers and classes, and without pretrained weights.

    Args:
        config: relative to the zoo's folder.
        divisor: of the numbers of channels.
    """
    cfg = Config.fromfile(CONFIGS / config, import_custom_modules=False)
    model = cfg.model
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    drop_pretrained(model)
    augments = model.data_preprocessor.get('batch_augments') or []  # of which some pad to 1024 pixels
    if augments:
        model.data_preprocessor.batch_augments = [each for each in augments if each.type != 'BatchFixedSizePad'] or None
    backbone = model.backbone
    if 'depth' in backbone and backbone.type not in ('Darknet', 'SSDVGG'):  # whose widths are fixed
        backbone.depth = min(backbone.depth, 50)
        backbone.setdefault('base_channels', 64)
    if backbone.type == 'HourglassNet':
        backbone.setdefault('feat_channel', 256)
    wide = model.type in _WIDE
    if 'widen_factor' not in backbone:
        model = _divided(model, divisor, _BESIDE if wide else _WIDTHS)
    if wide:
        model.neck = _divided(model.neck, divisor, ('in_channels',))
    _few_layers(model)
    if 'stage_blocks' in model.backbone:
        model.backbone.stage_blocks = [1] * len(model.backbone.stage_blocks)
    if 'encoder' in model:  # DETRs whose heads have a default
        model.bbox_head.embed_dims = model.encoder.layer_cfg.self_attn_cfg.embed_dims
    if 'num_queries' in model:  # no more than there are places on the maps of a small picture
        model.num_queries = model.test_cfg.max_per_img = min(model.num_queries, _QUERIES)
    few_samples(model)
    return _few_classes(model)


def _few_layers(cfg: Any) -> None:
    """Two layers for each transformer."""
    for key, value in cfg.items() if isinstance(cfg, dict) else ():
        if key in ('encoder', 'decoder', 'transformer_decoder') and 'num_layers' in (value or ()):
            value['num_layers'] = 2
        _few_layers(value)


def few_samples(cfg: Any) -> None:
    """Train on 32 RoIs and anchors of a picture, or 512 points of a mask, and keep 64 boxes; changes the config."""
    if isinstance(cfg, dict):
        if 'num' in (cfg.get('sampler') or {}):
            cfg['sampler']['num'] = 32
        if 'num_points' in cfg and 'oversample_ratio' in cfg:
            cfg['num_points'] = min(cfg['num_points'], 512)
        if 'nms_pre' in cfg:
            cfg['nms_pre'] = cfg['max_per_img'] = 64
    for value in cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, (list, tuple)) else ():
        few_samples(value)


def _few_classes(model: ConfigDict) -> ConfigDict:
    panoptic = [part for part in model.values() if isinstance(part, dict) and 'num_things_classes' in part]
    for part in panoptic:
        part.update(num_things_classes=CLASSES, num_stuff_classes=2)
        loss = part.get('loss_cls')
        if loss is not None and isinstance(loss.get('class_weight'), list):
            loss.class_weight = [1.0] * (CLASSES + 2) + [0.1]
    if not panoptic:
        return ConfigDict(with_num_classes(model, CLASSES))
    roi_head = model.get('roi_head') or {}
    for head in ('bbox_head', 'mask_head'):
        if head in roi_head:
            roi_head[head].num_classes = CLASSES
    return model


def _divided(cfg: Any, divisor: int, widths: Collection[str], key: str | None = None) -> Any:
    if isinstance(cfg, dict):
        return type(cfg)({name: _divided(value, divisor, widths, name) for name, value in cfg.items()})
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(_divided(value, divisor, widths, key) for value in cfg)
    is_width = key in widths and isinstance(cfg, int) and not isinstance(cfg, bool) and cfg >= _KEPT_BELOW
    return max(1, cfg // divisor) if is_width else copy.deepcopy(cfg)


def batch_for(model: dict, size: int = 64, boxes: tuple[int, ...] = (3, 2)) -> dict:
    """Pictures with boxes, masks in them, and a semantic segmentation, as a data loader would hand them over.

    Args:
        model: config of the detector that is to train on them.
        size: of the pictures, pixels.
        boxes: in each picture.
    """
    batch = raw_batch(boxes, size=size, classes=CLASSES)
    if model['type'] == 'RTMDet' and 'Ins' not in model['bbox_head']['type']:
        return batch  # its assigner takes masks only as tensors
    if 'roi_head' in model and 'rpn_head' not in model:  # Fast R-CNN, whose proposals come with the pictures
        for sample in batch['data_samples']:
            boxes = sample.gt_instances.bboxes
            sample.proposals = InstanceData(bboxes=torch.cat([boxes, boxes / 2]), scores=torch.ones(2 * len(boxes)))
    rng = np.random.default_rng(0)
    for sample in batch['data_samples']:
        bounds = sample.gt_instances.bboxes.long().tolist()
        masks = np.zeros((len(bounds), size, size), dtype=np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, bounds, strict=True):
            mask[y1 : y2 + 1, x1 : x2 + 1] = 1
        sample.gt_instances.masks = BitmapMasks(masks, size, size)
        sample.set_metainfo(dict(border=(0, size, 0, size)))  # what CenterNet and CornerNet are tested with
        stuff = torch.from_numpy(rng.integers(CLASSES, CLASSES + 2, (1, size, size)))
        sample.gt_sem_seg = PixelData(sem_seg=stuff)
    return batch


def fill_memory(detector: nn.Module) -> nn.Module:
    """Initialise what mmdet leaves as memory that nobody wrote to, where there are no pretrained weights."""
    for module in detector.modules():
        if isinstance(module, TridentConv):
            nn.init.kaiming_normal_(module.weight)
    return detector


def save_detector(model: dict, path: Path) -> str:
    """Save a detector of random weights; returns the path."""
    torch.manual_seed(1)
    detector = MODELS.build(copy.deepcopy(model))
    detector.init_weights()
    torch.save({'state_dict': fill_memory(detector).state_dict()}, path)
    return str(path)


def distilled(student: dict, teacher: dict, checkpoint: str, source: str = 'neck', **hint: Any) -> Config:
    """A config of a student of any class that is given hints by a teacher of any class."""
    model = copy.deepcopy(student)
    model.update(student_type(model['type']))
    model.update(
        teacher=dict(config=dict(model=copy.deepcopy(teacher)), checkpoint=checkpoint),
        distillers=dict(hint={**HINT, 'source': source, **hint}),
    )
    return Config(dict(model=model))

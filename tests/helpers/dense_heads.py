"""Every dense head that has a view, on the backbone and the neck of the tiny student."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config
from torch import Tensor, nn

from mmdet_kd.heads import Call, Calls, DensePredictions, DenseView, Truth, find_view
from mmdet_kd.knowledge import record_calls

from .distil import build, raw_batch
from .one_stage import ONE_STAGE
from .point_heads import POINT_HEADS, QUICK_POINT_HEADS, add_masks

#: Name -> what makes the config of a tiny detector with that head of the tiny student's.
DENSE_HEADS = {**ONE_STAGE, **POINT_HEADS}
#: Those of which only a sweep over all heads tests each view.
SLOW_DENSE_HEADS = {*POINT_HEADS} - {*QUICK_POINT_HEADS}


class SeenHead(NamedTuple):
    """One step of a head's own loss on two unlike pictures that are not square."""

    view: DenseView
    predictions: DensePredictions
    calls: Calls
    losses: dict[str, list[Call]]  # the calls of the head's own losses by name
    truth: Truth
    maps: tuple[Tensor, ...]
    samples: list[Any]


def detector_of(cfg: Config, seed: int = 0) -> nn.Module:
    """A detector in training mode, whose head has biases that differ, and offsets that move."""
    detector = build(cfg, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in detector.bbox_head.named_parameters():
            if name.endswith('bias'):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return detector


def pictures(size: tuple[int, int] = (64, 96), counts: tuple[int, ...] = (4, 2)) -> dict[str, Any]:
    """A batch of one canvas whose pictures have their boxes inside the common square."""
    batch = raw_batch(counts, size=min(size))
    height, width = size
    generator = torch.Generator().manual_seed(7)
    for place, sample in enumerate(batch['data_samples']):
        batch['inputs'][place] = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
        sample.set_metainfo(dict(img_shape=size, ori_shape=size))
    return batch


@contextmanager
def seen(detector: nn.Module, batch: dict[str, Any], questions: tuple[str, ...]) -> Iterator[SeenHead]:
    """Record a step of the head's own loss, with what its losses are given."""
    head = detector.bbox_head
    view = find_view(head, DenseView)
    if hasattr(head, 'loss_mask'):
        add_masks(batch)
    data = detector.data_preprocessor(batch, training=True)
    losses = {name: (module, 'forward') for name, module in head.named_children() if name.startswith('loss')}
    if 'loss_cls' not in losses:  # of SSD, whose loss is a function
        losses['loss_cls'] = (head, 'loss_by_feat_single')
    maps = detector.extract_feat(data['inputs'])
    with record_calls(view.points(questions)) as calls, record_calls(losses) as of_losses:
        head.loss(maps, data['data_samples'])
        raw = calls['forward'][0].result
        predictions = DensePredictions(view, view.maps(raw, training=True))
        truth = Truth.of(data['data_samples'])
        yield SeenHead(view, predictions, calls, of_losses, truth, maps, data['data_samples'])


def predicted_boxes(detector: nn.Module, maps: tuple[Tensor, ...]) -> Tensor:
    """All boxes (n, 4) that mmdet's own prediction decodes, without a threshold, NMS or a border."""
    head = detector.bbox_head
    cfg = detector.test_cfg.copy()
    cfg.update(nms_pre=-1, score_thr=-1.0, max_per_img=-1, min_bbox_size=-1)
    with_masks = hasattr(head, 'loss_mask')
    if with_masks:  # which asks for NMS, and costs a mask a box
        cfg.update(nms_pre=20, max_per_img=1000, nms=dict(type='nms', iou_threshold=1.0), mask_thr_binary=0.5)
    metas = [dict(img_shape=(10**6, 10**6), scale_factor=(1, 1), batch_input_shape=(64, 96), ori_shape=(64, 96))]
    metas *= len(maps[0])
    found = head.predict_by_feat(*head(maps), batch_img_metas=metas, cfg=cfg, rescale=False, with_nms=with_masks)
    return torch.cat([get_box_tensor(each.bboxes) for each in found])

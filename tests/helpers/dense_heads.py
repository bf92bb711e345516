"""Every dense head that has a view, on the backbone and the neck of the tiny student."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
from mmdet.models.dense_heads import PAAHead, YOLACTHead
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_kd.heads import Call, Calls, DensePredictions, DenseView, Truth, find_view
from mmdet_kd.knowledge import record_calls

from .anchor_heads import ANCHOR_HEADS
from .distil import build, raw_batch
from .one_stage import ONE_STAGE
from .point_heads import POINT_HEADS, QUICK_POINT_HEADS, add_masks

#: Name -> what makes the config of a tiny detector with that head of the tiny student's.
DENSE_HEADS = {**ONE_STAGE, **ANCHOR_HEADS, **POINT_HEADS}

#: Those that are tried in each run; the others are left to the sweeps.
QUICK = {'retinanet', 'ssd', 'fcos', 'atss', 'gfl', 'paa', 'tood', *QUICK_POINT_HEADS}
#: Heads that predict no boxes without suppressing some: nothing is suppressed that overlaps by 1 at most.
ALWAYS_SUPPRESSING = (PAAHead, YOLACTHead)


def each(*names: str, quick: Collection[str] = QUICK) -> pytest.MarkDecorator:
    """A test for each of these heads."""
    params = [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]
    return pytest.mark.parametrize('name', params)


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
    losses = {name: (module, 'forward') for name, module in head.named_children() if 'loss' in name}
    if 'loss_cls' not in losses:  # of SSD, whose loss is a function
        losses['loss_cls'] = (head, 'loss_by_feat_single')
    MessageHub.get_current_instance().update_info('epoch', 0)  # as a training does; TOOD asks for it
    maps = detector.extract_feat(data['inputs'])
    with record_calls(view.points(questions)) as calls, record_calls(losses) as of_losses:
        head.loss(maps, data['data_samples'])
        raw = calls['forward'][0].result
        predictions = DensePredictions(view, view.maps(raw, training=True))
        truth = Truth.of(data['data_samples'])
        yield SeenHead(view, predictions, calls, of_losses, truth, maps, data['data_samples'])


def given_to_the_loss(losses: dict[str, list[Call]]) -> tuple[Tensor, Tensor, Tensor]:
    """Score rows, labels and their weights of every call of a head's own classification loss that counts."""
    rows, labels, weights = [], [], []
    for call in losses['loss_cls'] + losses.get('initial_loss_cls', []):
        given = call.arguments
        if given.get('reduction_override') == 'none':
            continue  # it looks for the priors that it will keep, or weighs them
        scores, target = (
            (given[name] for name in ('cls_score', 'labels')) if 'labels' in given else list(given.values())[:2]
        )
        target = target[0] if isinstance(target, tuple) else target  # beside a quality
        weight = given.get('label_weights', given.get('weight'))
        if target.shape == scores.shape:  # a number a class
            target = target.argmax(dim=-1).where(weight[..., 0] > 0, scores.shape[-1])
        rows.append(scores.reshape(-1, scores.shape[-1]))
        labels.append(target.reshape(-1))
        weights.append(torch.ones(len(labels[-1])) if weight is None else weight.reshape(-1))
    return torch.cat(rows), torch.cat(labels), torch.cat(weights)


def predicted_boxes(detector: nn.Module, maps: tuple[Tensor, ...]) -> Tensor:
    """All boxes (n, 4) that mmdet's own prediction decodes, without a threshold, NMS or a border."""
    return torch.cat([get_box_tensor(each.bboxes) for each in predicted(detector, maps)])


def predicted(detector: nn.Module, maps: tuple[Tensor, ...]) -> list[InstanceData]:
    """What mmdet's own prediction finds in each picture, without a threshold, NMS or a border."""
    head = detector.bbox_head
    cfg = detector.test_cfg.copy()
    cfg.update(nms_pre=10**6, score_thr=-1.0, max_per_img=-1, min_bbox_size=-1)
    suppresses, with_masks = isinstance(head, ALWAYS_SUPPRESSING), hasattr(head, 'loss_mask')
    if suppresses:
        cfg.update(nms=dict(type='nms', iou_threshold=1.0), iou_thr=1.0, top_k=10**6)
        head.with_score_voting = False
    if with_masks:  # which asks for NMS, and costs a mask a box
        cfg.update(nms_pre=20, max_per_img=1000, nms=dict(type='nms', iou_threshold=1.0), mask_thr_binary=0.5)
    metas = [dict(img_shape=(10**6, 10**6), scale_factor=(1, 1), batch_input_shape=(64, 96), ori_shape=(64, 96))]
    metas *= len(maps[0])
    without = {} if suppresses else dict(with_nms=with_masks)
    return head.predict_by_feat(*head(maps), batch_img_metas=metas, cfg=cfg, rescale=False, **without)

"""What a teacher's detector finds in pictures, and how much of it is right."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..class_names import find_classes
from ..teachers import DetectorTeacher
from ..teachers.build import build_model
from ..teachers.checkpoint import read_weights
from ..teachers.fit import load_strictly
from .pictures import Pictures


def plain_detector(teacher: DetectorTeacher) -> nn.Module:
    """The detector of a teacher, built anew as mmdet would test it: in single precision, without any speed-up."""
    detector = build_model(teacher.cfg)
    load_strictly(detector, read_weights(teacher.checkpoint), teacher.cfg, teacher.checkpoint)
    return detector.eval()


@torch.inference_mode()
def finds_boxes(detector: nn.Module, pictures: Pictures) -> bool:
    """Whether a detector, in eval mode, predicts boxes; a panoptic one need not. The first picture is tried."""
    (sample,) = detector.test_step(pseudo_collate([pictures.items[0]]))
    return 'bboxes' in sample.get('pred_instances', ())


@torch.inference_mode()
def predict(detector: nn.Module, pictures: Pictures, labels: Tensor | None) -> list[dict[str, Any]]:
    """What a detector finds in pictures, one at a time, as mmdet's metrics take it.

    Args:
        detector: in eval mode.
        pictures: to find objects in.
        labels: of the data for each label of the detector, -1 for none (C,); None leaves them.
    """
    samples = []
    for item in pictures.items:
        (sample,) = detector.test_step(pseudo_collate([item]))
        predicted = sample.pred_instances.to('cpu')
        found = InstanceData(**{key: predicted[key] for key in ('bboxes', 'scores', 'labels')})
        found = in_labels_of_the_data(found, labels)
        samples.append(DetDataSample(pred_instances=found, metainfo=sample.metainfo).to_dict())
    return samples


def in_labels_of_the_data(found: InstanceData, labels: Tensor | None) -> InstanceData:
    """What a detector has found, by the labels of the data.

    Args:
        found: with its own `labels`, which are changed in place.
        labels: of the data for each label of the detector, -1 for none (C,); None leaves them.
    """
    if labels is None:
        return found
    found.labels = labels[found.labels]
    return found[found.labels >= 0]


def average_precision(found: Sequence[dict[str, Any]], pictures: Pictures, by_name: bool = True) -> dict[str, float]:
    """COCO's AP and AP50 in points.

    Args:
        found: in each picture, from :func:`predict`.
        pictures: the same.
        by_name: whether a class counts; otherwise all are one.
    """
    metric = CocoMetric(metric='bbox', metric_items=['mAP', 'mAP_50'])
    metric.dataset_meta = dict(classes=pictures.names if by_name else ('object',))
    for number, (sample, objects) in enumerate(zip(found, pictures.truths, strict=True)):
        instances = dict(sample['pred_instances'])
        objects = [{key: each[key] for key in ('bbox', 'bbox_label', 'ignore_flag')} for each in objects]  # no masks
        if by_name:
            known = instances['labels'] < len(pictures.names)
            instances = {key: value[known] for key, value in instances.items()}
        else:
            objects = [dict(each, bbox_label=0) for each in objects]
            instances['labels'] = torch.zeros_like(instances['labels'])
        metric.process({}, [dict(sample, pred_instances=instances, instances=objects, img_id=number)])
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        with redirect_stdout(StringIO()):  # pycocotools reports to it
            scores = metric.evaluate(len(found))
    finally:
        logger.setLevel(level)
    # no detection at all has no score, and no object -1
    return {
        name: 100 * max(scores.get(f'coco/bbox_{key}', 0.0), 0.0) for name, key in (('AP', 'mAP'), ('AP50', 'mAP_50'))
    }


def labels_of(teacher: DetectorTeacher, names: Sequence[str]) -> Tensor | None:
    """The label of the data for each of the teacher's, -1 for none; None if the labels are the same."""
    if not teacher.classes_by_name:
        return None
    labels = torch.full((len(teacher.classes),), -1)
    labels[find_classes(names, teacher.classes)] = torch.arange(len(names))
    return labels

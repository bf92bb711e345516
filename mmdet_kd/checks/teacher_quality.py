"""How well a teacher knows the pictures that it is about to teach on."""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.logging import MMLogger
from torch import nn

from ..teachers.build import build_model
from ..teachers.checkpoint import read_weights
from ..teachers.detector_teacher import DetectorTeacher
from ..teachers.fit import load_strictly
from .verdict import Verdict

#: AP50 in points below which a teacher has nothing to teach. A trained one is far above it, an untrained one at 0.
_KNOWS_NOTHING = 5.0
#: How much better, in AP50 and as a factor, another reading of pictures or labels must be to be called the right one.
_BETTER, _TIMES = 5.0, 1.2


def judge_teacher(
    teacher: DetectorTeacher, who: str, dataset: BaseDataset, device: torch.device, count: int = 24
) -> list[Verdict]:
    """Test a teacher on the first pictures of a validation set.

    It is tested as it is, with the channels of the pictures exchanged, and without regard to the names of the classes.
    Where one of the latter is clearly better, the pair is not what it seems to be.

    Args:
        teacher: with its weights.
        who: how messages call it.
        dataset: built from the config of the training; its pipeline loads pictures as the student sees them.
        device: to run on.
        count: of pictures, > 0.
    """
    if teacher.checkpoint is None:
        return [Verdict(who, 'checkpoint=None: it is untrained and teaches noise', 'name its checkpoint')]
    detector = plain_detector(teacher).to(device)
    pictures = [dataset[index] for index in range(min(count, len(dataset)))]
    truths = [dataset.get_data_info(index)['instances'] for index in range(len(pictures))]
    names = tuple(dataset.metainfo['classes'])
    labels = _labels_of(teacher, names)
    found = predict(detector, pictures, labels)
    swapped = predict(detector, [_channels_swapped(picture) for picture in pictures], labels)
    scores = {
        'own': average_precision(found, truths, names),
        'swapped': average_precision(swapped, truths, names),
        'nameless': average_precision(found, truths, None),
    }
    return [_verdict(who, scores, len(pictures))]


def _verdict(who: str, scores: Mapping[str, Mapping[str, float]], pictures: int) -> Verdict:
    own, swapped, nameless = (scores[name]['AP50'] for name in ('own', 'swapped', 'nameless'))
    said = f'AP {scores["own"]["AP"]:.1f}, AP50 {own:.1f} on {pictures} validation pictures'
    if _clearly_better(swapped, own):
        return Verdict(
            who,
            f'{said}; AP50 {swapped:.1f} with red and blue exchanged',
            "the channels are in the wrong order: set bgr_to_rgb of its config's data_preprocessor as in its training",
        )
    if _clearly_better(nameless, own) and own < nameless / 2:
        return Verdict(
            who,
            f'{said}; AP50 {nameless:.1f} if all classes are one',
            'it finds the objects and calls them by other names: its classes are in another order than those of the '
            'data. Write them in its order, or set classes_by_name=True',
        )
    if own < _KNOWS_NOTHING:
        return Verdict(
            who,
            said,
            'it does not know these pictures: is it trained, on these classes, with the mean and std of its config, '
            'and at this size?',
        )
    return Verdict(who, said)


def _clearly_better(other: float, own: float) -> bool:
    return other > own + _BETTER and other > _TIMES * own


def plain_detector(teacher: DetectorTeacher) -> nn.Module:
    """The detector of a teacher, built anew as mmdet would test it: in single precision, without any speed-up."""
    detector = build_model(teacher.cfg)
    weights = read_weights(teacher.checkpoint)
    load_strictly(detector, weights, teacher.cfg, teacher.checkpoint)
    return detector.eval()


@torch.inference_mode()
def predict(detector: nn.Module, pictures: Sequence[dict], labels: torch.Tensor | None) -> list[dict[str, Any]]:
    """What a detector finds in pictures, one at a time, as mmdet's metrics take it.

    Args:
        detector: in eval mode.
        pictures: items of a data set.
        labels: of the student for each label of the detector, -1 for none (C,); None leaves them.
    """
    samples = []
    for picture in pictures:
        (sample,) = detector.test_step(pseudo_collate([picture]))
        found = sample.pred_instances
        if labels is not None:
            known = labels[found.labels.cpu()].to(found.labels.device)
            found.labels = known
            found = found[known >= 0]
        samples.append(DetDataSample(pred_instances=found.to('cpu'), metainfo=sample.metainfo).to_dict())
    return samples


def average_precision(
    found: Sequence[dict[str, Any]], truths: Sequence[list[dict]], names: tuple[str, ...] | None
) -> dict[str, float]:
    """COCO's AP and AP50 in points.

    Args:
        found: in each picture, from :func:`predict`.
        truths: the true instances of each picture, as a data set of mmdet has them.
        names: of the classes; None takes all classes for one.
    """
    level = MMLogger.get_current_instance().level
    MMLogger.get_current_instance().setLevel('ERROR')
    metric = CocoMetric(metric='bbox', metric_items=['mAP', 'mAP_50'])
    metric.dataset_meta = dict(classes=names or ('object',))
    for number, (sample, truth) in enumerate(zip(found, truths, strict=True)):
        boxes = [dict(each, bbox_label=0) if names is None else each for each in truth]
        instances = dict(sample['pred_instances'])
        if names is None:
            instances['labels'] = torch.zeros_like(instances['labels'])
        metric.process({}, [dict(sample, pred_instances=instances, instances=boxes, img_id=number)])
    try:
        with redirect_stdout(StringIO()):
            scores = metric.evaluate(len(found))
    finally:
        MMLogger.get_current_instance().setLevel(level)
    return {'AP': 100 * max(scores['coco/bbox_mAP'], 0.0), 'AP50': 100 * max(scores['coco/bbox_mAP_50'], 0.0)}


def _labels_of(teacher: DetectorTeacher, names: Sequence[str]) -> torch.Tensor | None:
    if not teacher.classes_by_name:
        return None
    return torch.tensor([names.index(name) if name in names else -1 for name in teacher.classes or ()])


def _channels_swapped(picture: dict) -> dict:
    return dict(picture, inputs=picture['inputs'].flip(0))

"""How well a teacher knows the pictures that it is about to teach on."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any

import torch
from mmdet.evaluation import CocoMetric
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ..class_names import find_classes
from ..teachers import BaseTeacher, ClassifierTeacher, DetectorTeacher
from ..teachers.build import build_model
from ..teachers.checkpoint import read_weights
from ..teachers.fit import load_strictly
from .pictures import Pictures
from .verdict import Tell, Verdict, foretell

#: AP50 in points below which a teacher has nothing to teach. A trained one is far above it, an untrained one near 0.
_KNOWS_NOTHING = 5.0
#: AP50 in points from which on no other normalisation is tried: another one than that of the training costs more.
_KNOWS_WELL = 50.0
#: How much better, in points of AP50 and as a factor, another reading of the pictures must be to be the right one.
_BETTER, _TIMES = 10.0, 1.25
#: Objects of a class from which on it is seen what they are called.
_ENOUGH = 3
#: Points by which a classifier must exceed the mean accuracy over the classes of one that guesses.
_ABOVE_CHANCE = 10.0

#: Normalisations in use, with the order of channels that belongs to each.
_NORMALISATIONS = {
    "torchvision's mean and std": dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True, rgb_to_bgr=False),
    "Caffe's mean": dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False, rgb_to_bgr=False),
    'pixels from 0 to 1': dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=True, rgb_to_bgr=False),
}


def judge_teacher(teacher: BaseTeacher, who: str, pictures: Pictures, compares: bool, tell: Tell) -> Verdict:
    """Test a teacher on some pictures.

    A detector is tested as it is and, where it may do better, with another order of channels or another normalisation.
    Where its classes are compared, it is looked at what it calls the objects that it finds; otherwise all classes are
    one. A classifier is tested on what is in the true boxes, if its classes are compared.

    Args:
        teacher: loaded.
        who: how messages call it.
        pictures: to test it on; a classifier on those of the training set, whose boxes lie where they are.
        compares: whether a distiller compares its class scores.
        tell: is told how long the test will take, if that is long.
    """
    if teacher.checkpoint is None:
        return Verdict(who, 'checkpoint=None: it is untrained and teaches noise', 'name its checkpoint')
    if len(pictures) == 0:
        return Verdict(who, f'not tested: no {pictures.split} picture has an object')
    if isinstance(teacher, ClassifierTeacher) and compares:
        return _judge_classifier(teacher, who, pictures)
    if not isinstance(teacher, DetectorTeacher):
        return Verdict(who, f'a {type(teacher).__name__}; not tested, since nobody compares its classes')
    return _judge_detector(teacher, who, pictures, compares, tell)


def _judge_detector(teacher: DetectorTeacher, who: str, pictures: Pictures, compares: bool, tell: Tell) -> Verdict:
    detector = plain_detector(teacher).to(next(teacher.model.parameters()).device)
    labels = _labels_of(teacher, pictures.names)
    begun = time.perf_counter()
    predict(detector, replace(pictures, items=pictures.items[:1]), labels)
    foretell(tell, f'the tests of the {who}', 1.5 * len(pictures) * (time.perf_counter() - begun))
    found = predict(detector, pictures, labels)
    by_name, as_one = (average_precision(found, pictures, by_name) for by_name in (True, False))
    own = by_name if compares else as_one
    said = f'AP {own["AP"]:.1f}, AP50 {own["AP50"]:.1f} on {len(pictures)} {pictures.split} pictures'
    said += '' if compares else ', all classes as one, since nobody compares its classes'
    for name, settings, score in _better_readings(detector, teacher, pictures, labels, compares, own['AP50']):
        return Verdict(
            who,
            f'{said}; AP50 {score:.1f} with {name}',
            "its config reads pictures otherwise than its training did: write this into the config's "
            f'data_preprocessor: {", ".join(f"{key}={value}" for key, value in settings.items())}',
        )
    exchanged = exchanged_names(what_is_called(found, pictures)) if compares else {}
    if as_one['AP50'] >= _KNOWS_NOTHING and exchanged:
        return Verdict(who, f'{said}; it finds {_calls(exchanged, pictures.names)}', _order_cure(teacher))
    if own['AP50'] < _KNOWS_NOTHING:
        return Verdict(
            who,
            said,
            'it does not know these pictures: is it trained, on these classes, at this size, and with the mean and std '
            'of its config?',
        )
    return Verdict(who, said)


def _better_readings(
    detector: nn.Module,
    teacher: DetectorTeacher,
    pictures: Pictures,
    labels: Tensor | None,
    by_name: bool,
    own: float,
) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Other settings of a detector's preprocessor with which it does clearly better: name, settings, AP50.

    Each is tried on some of the pictures, and on all of them if it is better there.

    Args:
        detector: plain; its preprocessor is exchanged.
        teacher: whose config says how the pictures are read.
        pictures: to try on.
        labels: see :func:`predict`.
        by_name: whether a class counts.
        own: AP50 in points with its own settings.
    """
    preprocessor = detector.data_preprocessor
    given = {key: value for key, value in teacher.cfg.model.data_preprocessor.items() if key not in ('type', '_scope_')}
    if type(preprocessor) is not DetDataPreprocessor or len(given.get('mean') or (0, 0, 0)) != 3:
        return

    def ap50(shown: Pictures, settings: dict[str, Any]) -> float:
        detector.data_preprocessor = DetDataPreprocessor(**{**given, **settings}).to(preprocessor.device)
        return average_precision(predict(detector, shown, labels), shown, by_name)['AP50']

    few = pictures.some()
    own_of_few = ap50(few, {})
    for name, settings in _readings(given, doubtful=own < _KNOWS_WELL).items():
        if _clearly_better(ap50(few, settings), own_of_few):
            score = ap50(pictures, settings)
            if _clearly_better(score, own):
                yield name, settings, score
    detector.data_preprocessor = preprocessor


def _readings(given: Mapping[str, Any], doubtful: bool) -> dict[str, dict[str, Any]]:
    """Other ways in which pictures may be read: name -> settings of a preprocessor."""
    exchanged = dict(bgr_to_rgb=not (given.get('bgr_to_rgb') or given.get('rgb_to_bgr')), rgb_to_bgr=False)
    return {'red and blue exchanged': exchanged} | (_NORMALISATIONS if doubtful else {})


def _clearly_better(other: float, own: float) -> bool:
    return other > own + _BETTER and other > _TIMES * own


def what_is_called(found: Sequence[dict[str, Any]], pictures: Pictures) -> dict[int, Counter[int]]:
    """What a detector calls the objects that it finds: label -> how many of its objects get which label.

    An object is found where a detection overlaps it by half; the one of the highest score names it.

    Args:
        found: in each picture, from :func:`predict`.
        pictures: the same.
    """
    called: dict[int, Counter[int]] = {}
    for sample, objects in zip(found, pictures.truths, strict=True):
        detections = sample['pred_instances']
        objects = [each for each in objects if not each['ignore_flag']]
        if not objects or len(detections['labels']) == 0:
            continue
        overlaps = bbox_overlaps(torch.tensor([each['bbox'] for each in objects]).float(), detections['bboxes'].float())
        scores = detections['scores'].expand_as(overlaps).where(overlaps >= 0.5, overlaps.new_tensor(-1.0))
        best, index = scores.max(dim=1)
        for each, score, label in zip(objects, best.tolist(), detections['labels'][index].tolist(), strict=True):
            if score >= 0:
                called.setdefault(each['bbox_label'], Counter())[label] += 1
    return called


def exchanged_names(called: Mapping[int, Mapping[int, int]]) -> dict[int, int]:
    """The classes that a teacher calls by another one's name: label -> label; empty where the order may be right.

    A class counts if its objects are mostly called by the name of another class that does not have this name itself,
    and no third one is called so: a teacher that confuses classes calls two by one name. These classes must take names
    from each other, or be more than half of those that are seen.

    Args:
        called: label -> how many of its objects get which label.
    """
    mostly = {}
    for label, names in called.items():
        name = max(names, key=names.__getitem__)
        if sum(names.values()) >= _ENOUGH and names[name] > sum(names.values()) / 2:
            mostly[label] = name
    uses = Counter(mostly.values())
    exchanged = {label: name for label, name in mostly.items() if name != label and uses[name] == 1}
    from_each_other = any(name in exchanged for name in exchanged.values())
    return exchanged if from_each_other or 2 * len(exchanged) > len(mostly) else {}


def _calls(exchanged: Mapping[int, int], names: Sequence[str]) -> str:
    said = [f'{names[label]}, which it calls {names[name]}' for label, name in sorted(exchanged.items())[:3]]
    return ', and '.join(said) + (f', and {len(exchanged) - 3} more' if len(exchanged) > 3 else '')


def _order_cure(teacher: BaseTeacher) -> str:
    if teacher.classes_by_name:
        return 'its classes are in another order than its checkpoint or its config names them: correct their order'
    return (
        'its classes are in another order than those of the data: list its own, in its order, in metainfo of the '
        "train_dataloader.dataset of its config, and set classes_by_name=True; or list the data's in its order"
    )


def _judge_classifier(teacher: ClassifierTeacher, who: str, pictures: Pictures) -> Verdict:
    called = what_a_classifier_calls(teacher.model, pictures)
    accuracies = [100 * names[label] / sum(names.values()) for label, names in called.items()]
    right = sum(accuracies) / len(accuracies)
    said = f'{right:.1f} % of the true boxes right, mean over {len(called)} classes, on {len(pictures)} training pictures'
    exchanged = exchanged_names(called)
    if exchanged:
        return Verdict(who, f'{said}; {_calls(exchanged, pictures.names)}', _order_cure(teacher))
    if len(called) > 1 and right < 100 / len(called) + _ABOVE_CHANCE:
        return Verdict(who, said, 'it does not know these objects: is it trained, on these classes?')
    return Verdict(who, said)


@torch.inference_mode()
def what_a_classifier_calls(classifier: nn.Module, pictures: Pictures) -> dict[int, Counter[int]]:
    """What a classifier calls what is in the true boxes: label -> how many of its objects get which label."""
    called: dict[int, Counter[int]] = {}
    for item in pictures.items:
        (sample,) = classifier.test_step(pseudo_collate([item]))
        guessed = sample.pred_instances.logits.argmax(dim=1).tolist()
        for label, guess in zip(sample.gt_instances.labels.tolist(), guessed, strict=True):
            called.setdefault(label, Counter())[guess] += 1
    return called


def plain_detector(teacher: DetectorTeacher) -> nn.Module:
    """The detector of a teacher, built anew as mmdet would test it: in single precision, without any speed-up."""
    detector = build_model(teacher.cfg)
    load_strictly(detector, read_weights(teacher.checkpoint), teacher.cfg, teacher.checkpoint)
    return detector.eval()


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
        found = sample.pred_instances.to('cpu')
        if labels is not None:
            found.labels = labels[found.labels]
            found = found[found.labels >= 0]
        samples.append(DetDataSample(pred_instances=found, metainfo=sample.metainfo).to_dict())
    return samples


def average_precision(found: Sequence[dict[str, Any]], pictures: Pictures, by_name: bool) -> dict[str, float]:
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
        objects = [dict(bbox=each['bbox'], bbox_label=each['bbox_label'], ignore_flag=each['ignore_flag']) for each in objects]
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
    return {'AP': 100 * max(scores['coco/bbox_mAP'], 0.0), 'AP50': 100 * max(scores['coco/bbox_mAP_50'], 0.0)}


def _labels_of(teacher: DetectorTeacher, names: Sequence[str]) -> Tensor | None:
    """The label of the data for each of the teacher's, -1 for none; None if the labels are the same."""
    if not teacher.classes_by_name:
        return None
    labels = torch.full((len(teacher.classes),), -1)
    labels[find_classes(names, teacher.classes)] = torch.arange(len(names))
    return labels

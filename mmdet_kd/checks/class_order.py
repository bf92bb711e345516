"""What a teacher calls the objects: whether its classes are in the order of the data's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.dataset import pseudo_collate
from torch import nn

from ..teachers import BaseTeacher, DetectorTeacher
from ..unknown_names import some
from .pictures import Pictures

#: Objects of a class from which on it is seen what they are called.
_ENOUGH = 3


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


def renamed(found: Sequence[dict[str, Any]], exchanged: Mapping[int, int]) -> list[dict[str, Any]]:
    """Detections under the names that the objects have, label -> label, which they are called by."""
    right = {name: label for label, name in exchanged.items()}
    samples = []
    for sample in found:
        instances = dict(sample['pred_instances'])
        instances['labels'] = torch.tensor([right.get(label, label) for label in instances['labels'].tolist()]).long()
        samples.append(dict(sample, pred_instances=instances))
    return samples


def describe(exchanged: Mapping[int, int], names: Sequence[str]) -> str:
    """Say which classes a teacher calls by which other names.

    Args:
        exchanged: label -> label, from :func:`exchanged_names`.
        names: of the classes.
    """
    return f'it calls {some([f"{names[label]} {names[name]}" for label, name in sorted(exchanged.items())])}'


def order_cure(teacher: BaseTeacher) -> str:
    """What to do about exchanged classes."""
    problem = 'its classes are in another order than'
    if teacher.classes_by_name:
        return f'{problem} its checkpoint or its config names them: correct their order'
    if isinstance(teacher, DetectorTeacher):
        return (
            f"{problem} the data's: list its own, in the order of its labels, in metainfo of its config's "
            "train_dataloader, and set classes_by_name=True; or list the data's in that order"
        )
    return f"{problem} the data's: list these in the order of its labels, or train it on this data"

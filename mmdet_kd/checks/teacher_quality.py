"""How well a teacher knows the pictures that it is about to teach on."""

import time
from typing import Any, NamedTuple

from mmdet.models import DetDataPreprocessor
from torch import Tensor, nn

from ..runtime.split_files import seen_in_training
from ..teachers import BaseTeacher, ClassifierTeacher, DetectorTeacher
from .class_order import describe, exchanged_names, order_cure, renamed, what_a_classifier_calls, what_is_called
from .detections import average_precision, finds_boxes, labels_of, plain_detector, predict
from .pictures import Pictures
from .verdict import Tell, Verdict, foretell

#: AP50 in points below which a teacher has nothing to teach. A trained one is far above it, an untrained one near 0.
_KNOWS_NOTHING = 5.0
#: AP50 in points that a teacher must have by other names, or these are by chance.
_BY_OTHER_NAMES = 20.0
#: AP50 in points from which on no other normalisation is tried: another one than that of the training costs more.
_KNOWS_WELL = 50.0
#: How much better, in points of AP50 and as a factor, another reading of the pictures must be to be the right one.
_BETTER, _TIMES = 10.0, 1.25
#: Points by which a classifier must exceed the mean accuracy over the classes of one that guesses.
_ABOVE_CHANCE = 10.0

#: Normalisations in use, with the order of channels that belongs to each.
_NORMALISATIONS: dict[str, dict[str, Any]] = {
    "torchvision's mean and std": dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    "Caffe's mean": dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    'pixels from 0 to 1': dict(mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=True),
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
    labels = labels_of(teacher, pictures.names)
    begun = time.perf_counter()
    if not finds_boxes(detector, pictures):
        return Verdict(who, f'a {type(detector).__name__}; not tested, since it predicts no boxes')
    foretell(tell, f'the tests of {who}', 1.5 * len(pictures) * (time.perf_counter() - begun))
    found = predict(detector, pictures, labels)
    own = average_precision(found, pictures, by_name=compares)
    said = f'AP {own["AP"]:.1f}, AP50 {own["AP50"]:.1f} on {len(pictures)} {pictures.split} pictures'
    said += '' if compares else ', all classes as one, since nobody compares its classes'
    said += _seen_before(teacher, pictures)
    exchanged = exchanged_names(what_is_called(found, pictures)) if compares else {}
    by_their_names = average_precision(renamed(found, exchanged), pictures)['AP50'] if exchanged else 0.0
    reading = _better_reading(detector, teacher, pictures, labels, compares, own['AP50'])
    if reading is not None and reading.ap50 > by_their_names - _BETTER:
        return Verdict(
            who,
            f'{said}; AP50 {reading.ap50:.1f} with {reading.name}',
            "its config reads pictures otherwise than its training did: write this into the config's "
            f'data_preprocessor: {", ".join(f"{key}={value}" for key, value in reading.settings.items())}',
        )
    if by_their_names > max(own['AP50'], _BY_OTHER_NAMES):
        calls = f'{describe(exchanged, pictures.names)}; AP50 {by_their_names:.1f} if these names are put right'
        return Verdict(who, f'{said}; {calls}', order_cure(teacher))
    if own['AP50'] < _KNOWS_NOTHING:
        return Verdict(
            who,
            said,
            'it does not know these pictures: is it trained, on these classes, at this size, and with the mean and std '
            'of its config?',
        )
    return Verdict(who, said)


def _seen_before(teacher: DetectorTeacher, pictures: Pictures) -> str:
    """That a teacher was trained on validation pictures that it is tested on, where its config says so."""
    paths = [item['data_samples'].get('img_path') for item in pictures.items]
    if pictures.split == 'training' or None in paths:
        return ''
    count = len(seen_in_training(teacher.cfg, paths))
    if not count:
        return ''
    return (
        f'; its config trains it on {count} of these pictures, so its AP here is too high, and so may be what the '
        'student gains'
    )


class _Reading(NamedTuple):
    """Settings of a detector's preprocessor, and what it finds with them."""

    name: str
    settings: dict[str, Any]
    ap50: float


def _better_reading(
    detector: nn.Module,
    teacher: DetectorTeacher,
    pictures: Pictures,
    labels: Tensor | None,
    by_name: bool,
    own: float,
) -> _Reading | None:
    """The settings of its preprocessor with which a detector does best, if it does clearly better than with its own.

    They are tried on some of the pictures, and on all of them if they are better there.

    Args:
        detector: plain; its preprocessor is exchanged.
        teacher: whose config says how the pictures are read.
        pictures: to try on.
        labels: see :func:`predict`.
        by_name: whether a class counts.
        own: AP50 in points with its own settings.
    """
    given = {key: value for key, value in teacher.cfg.model.data_preprocessor.items() if key not in ('type', '_scope_')}
    if type(detector.data_preprocessor) is not DetDataPreprocessor or len(given.get('mean') or (0, 0, 0)) != 3:
        return None
    given['bgr_to_rgb'] = bool(given.get('bgr_to_rgb') or given.pop('rgb_to_bgr', False))  # one exchange, two names

    def ap50(shown: Pictures, settings: dict[str, Any]) -> float:
        detector.data_preprocessor = DetDataPreprocessor(**{**given, **settings}).to(next(detector.parameters()).device)
        return average_precision(predict(detector, shown, labels), shown, by_name)['AP50']

    readings = {'red and blue exchanged': dict(bgr_to_rgb=not given['bgr_to_rgb'])}
    if own < _KNOWS_WELL:
        readings |= _NORMALISATIONS
    few = pictures.some()
    own_of_few = ap50(few, {})
    better = {name: each for name, each in readings.items() if _clearly_better(ap50(few, each), own_of_few)}
    found = [_Reading(name, settings, ap50(pictures, settings)) for name, settings in better.items()]
    best = max(found, key=lambda reading: reading.ap50, default=None)
    return best if best is not None and _clearly_better(best.ap50, own) else None


def _clearly_better(other: float, own: float) -> bool:
    return other > own + _BETTER and other > _TIMES * own


def _judge_classifier(teacher: ClassifierTeacher, who: str, pictures: Pictures) -> Verdict:
    called = what_a_classifier_calls(teacher.model, pictures)
    accuracies = [100 * names[label] / sum(names.values()) for label, names in called.items()]
    right = sum(accuracies) / len(accuracies)
    said = f'right in {right:.1f} % of the true boxes of a class, on {len(pictures)} {pictures.split} pictures'
    exchanged = exchanged_names(called)
    if exchanged:
        return Verdict(who, f'{said}; {describe(exchanged, pictures.names)}', order_cure(teacher))
    if len(called) > 1 and right < 100 / len(called) + _ABOVE_CHANCE:
        return Verdict(who, said, 'it does not know these objects: is it trained, on these classes?')
    return Verdict(who, said)

"""The trained detectors themselves: how large and fast they are, and what they find in the validation pictures."""

import copy
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..checks.detections import plain_detector
from ..class_names import classes_of_config, find_classes, same_classes
from ..comparison import Training
from ..compression import ForwardPass, measure_flops, shape_of_config
from ..detectors.teachers_by_name import build_teachers
from ..errors import DistillationError
from ..export import load_with_misfits, plain_student_config, require_fit, student_state_dict
from ..runtime.checkpoints import find_weights, read_checkpoint
from ..runtime.run_record import distilled_parts
from ..teachers import BaseTeacher, DetectorTeacher, find_teacher_files, read_weights
from ..visualization import TRUTH, picture_with_boxes
from .findings import Drawn, Model

#: Score from which on a detection counts and is drawn, and overlap from which on it has found an object.
LEAST_SCORE, LEAST_OVERLAP = 0.3, 0.5
#: Colours of boxes, which who sees no red and green can tell apart: blue, orange, yellow.
RIGHT, WRONG, MISSED = (0, 90, 255), (255, 90, 0), (255, 225, 0)
_WARM_UP = 3  # pictures that are not timed


@dataclass
class Detector:
    """A model that is looked at.

    Args:
        model: in eval mode.
        cfg: that says which pictures it sees.
        labels: label of the data for each label of the model, -1 for none (C,); None where they are the same.
        teaches: of one that taught and is not compared, the checkpoint from which it was loaded.
    """

    model: nn.Module
    cfg: Config
    labels: Tensor | None = None
    teaches: str | None = None


@dataclass
class Looked:
    """What detectors make of pictures.

    Args:
        titles: of the detectors.
        found: title -> index of a picture -> what it finds there.
        truths: index -> the objects, as mmdet's data sets give them.
        paths: index -> the file.
        metainfo: of the data set.
        size: pictures that the data set has.
        seconds: title -> of each picture.
        logged: title -> what the metrics of the students say of it, where all pictures were shown.
    """

    titles: list[str]
    found: dict[str, dict[int, InstanceData]] = field(default_factory=dict)
    truths: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    metainfo: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    logged: dict[str, dict[str, float]] = field(default_factory=dict)


def detector_of(training: Training) -> Detector:
    """The student of a finished training, without its teachers.

    Raises:
        DistillationError: its last checkpoint does not open, or holds other weights.
    """
    cfg = plain_student_config(training.recipe.read())
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model_cfg = copy.deepcopy(cfg.model)  # heads of mmdet write into their configs
    if 'data_preprocessor' in cfg:  # as mmengine's Runner does
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    model, content = MODELS.build(model_cfg), read_checkpoint(training.checkpoint)
    require_fit(model, content, training.checkpoint)
    load_with_misfits(model, student_state_dict(find_weights(content, training.checkpoint)))
    return Detector(model.eval().to(_device()), cfg)


def teachers_of(training: Training, known: Collection[str]) -> tuple[dict[str, Detector], list[str]]:
    """The detectors that taught a training, by their names; and why others are left out, a sentence each.

    Args:
        training: of a student; one that nobody taught has none.
        known: checkpoints of teachers that are known, and left out without a word.
    """
    cfg, found, missing = training.recipe.read(), {}, []
    names = classes_of_config(cfg)
    pictures = ('val_dataloader', 'val_evaluator', 'test_dataloader')
    shown = {key: cfg[key] for key in pictures if key in cfg}  # a teacher is shown the student's
    for part in distilled_parts(cfg.model):
        try:
            find_teacher_files(cfg)
            teachers = build_teachers(part.get('teacher'), part.get('teachers'))
        except DistillationError as error:
            missing += [f'The teacher of {training.title} is left out: {problem}.' for problem in error.problems]
            continue
        for name, teacher in teachers.items():
            if str(teacher.checkpoint) in known:
                continue
            title = name if name == 'teacher' else f'teacher {name}'
            try:
                model, labels = _plain(teacher, names)
            except DistillationError as error:
                missing += [f'The {title} of {training.title} is left out: {problem}.' for problem in error.problems]
                continue
            plain = Config(dict(teacher.cfg.to_dict(), **shown), format_python_code=False)
            found[title] = Detector(model, plain, labels, str(teacher.checkpoint))
    return found, missing


def _plain(teacher: BaseTeacher, names: Sequence[str] | None) -> tuple[nn.Module, Tensor | None]:
    """A teacher as a detector, and what its labels mean in the data; see :class:`Detector`."""
    if not isinstance(teacher, DetectorTeacher):
        raise DistillationError([f'it is a {type(teacher).__name__}, which detects nothing'])
    if teacher.checkpoint is None:
        raise DistillationError(['it is untrained'])
    own, labels = read_weights(teacher.checkpoint).classes or teacher.classes, None
    if names is None or own is None:
        raise DistillationError(['the names of its classes, or of those of the data, are not known'])
    if teacher.classes_by_name:
        labels = torch.full((len(own),), -1)
        labels[find_classes(names, own)] = torch.arange(len(names))
    elif not same_classes(names, own):
        raise DistillationError(['its classes are not those of the data'])
    return plain_detector(teacher).to(_device()), labels


def size_of(detector: Detector) -> Model:
    """How large a detector is, and what a forward pass on a picture of the size of its tests computes.

    Any detector class may come here, and the counter, which traces it, fails in many ways: what it cannot count is left
    out.
    """
    parameters = sum(parameter.numel() for parameter in detector.model.parameters())
    shape = shape_of_config(detector.cfg)
    try:
        return Model(parameters, measure_flops(ForwardPass(detector.model, shape)), shape)
    except Exception:
        return Model(parameters)


def look(detectors: Mapping[str, Detector], most: int = 200, seconds: float = 300.0) -> Looked:
    """Show validation pictures to detectors, one at a time, and measure how long each takes from picture to boxes.

    The detectors take turns on each picture, so that whatever else the machine does meets all of them alike. Pictures
    come in an order that is shuffled once, the same each time.

    Args:
        detectors: title -> detector; each sees the pictures as its config says.
        most: pictures.
        seconds: after which no further picture begins.

    Raises:
        OSError: the pictures or their annotations are not there.
    """
    looked = Looked(
        list(detectors), found={title: {} for title in detectors}, seconds={title: [] for title in detectors}
    )
    datasets = {title: _validation_set(detector.cfg) for title, detector in detectors.items()}
    first = next(iter(datasets.values()))
    if len({len(dataset) for dataset in datasets.values()}) > 1:
        raise DistillationError(['the detectors are judged on different pictures'])
    looked.metainfo, looked.size = first.metainfo, len(first)
    evaluators = {title: _evaluator(detector.cfg, first.metainfo) for title, detector in detectors.items()}
    begun = time.monotonic()
    for index in np.random.default_rng(0).permutation(len(first))[:most].tolist():
        if time.monotonic() - begun > seconds:
            break
        info = first.get_data_info(index)
        if not Path(info['img_path']).is_file():
            raise FileNotFoundError(2, 'there is no such picture', info['img_path'])
        looked.truths[index], looked.paths[index] = info['instances'], info['img_path']
        for title, detector in detectors.items():
            batch = pseudo_collate([datasets[title][index]])
            start = time.perf_counter()
            with torch.inference_mode():
                (sample,) = detector.model.test_step(batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            looked.seconds[title].append(time.perf_counter() - start)
            sample = sample.to('cpu')
            sample.pred_instances = _in_labels_of_the_data(sample.pred_instances, detector.labels)
            if evaluators[title] is not None:
                evaluators[title].process(data_samples=[sample], data_batch=batch)
            looked.found[title][index] = _counting(sample.pred_instances)
    if len(looked.truths) == looked.size:
        looked.logged = {title: each.evaluate(looked.size) for title, each in evaluators.items() if each is not None}
    return looked


def _evaluator(cfg: Config, metainfo: Mapping[str, Any]) -> Evaluator | None:
    """What the students were judged by; of COCO's metric each class, too."""
    listed = cfg.get('val_evaluator') or []
    metrics = [dict(metric) for metric in (listed if isinstance(listed, (list, tuple)) else [listed])]
    if not metrics:
        return None
    for metric in metrics:
        if metric.get('type') == 'CocoMetric':
            metric['classwise'] = True
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = metainfo
    return evaluator


def _in_labels_of_the_data(found: InstanceData, labels: Tensor | None) -> InstanceData:
    if labels is None:
        return found
    found.labels = labels[found.labels]
    return found[found.labels >= 0]


def _counting(found: InstanceData) -> InstanceData:
    """Boxes, scores and labels of the detections that count, from the best score on."""
    instances = InstanceData(**{key: found[key] for key in ('bboxes', 'scores', 'labels')})
    instances = instances[instances.scores >= LEAST_SCORE]
    return instances[instances.scores.argsort(descending=True, stable=True)]


def speeds_of(looked: Looked) -> dict[str, float]:
    """Title -> pictures a second, without the first few, which warm up; only of those that were shown enough."""
    timed = {title: seconds[_WARM_UP:] for title, seconds in looked.seconds.items()}
    return {title: 1 / median(seconds) for title, seconds in timed.items() if seconds}


class Judged(NamedTuple):
    """Detections and objects of a picture: boxes (N, 4), xyxy in pixels of the image."""

    right: Tensor
    wrong: Tensor
    missed: Tensor

    @property
    def quality(self) -> float:
        """The F1 score, 2 right / (2 right + wrong + missed); 1 where there is nothing to find and nothing is found."""
        right, wrong, missed = map(len, self)
        total = 2 * right + wrong + missed
        return 2 * right / total if total else 1.0

    def __str__(self) -> str:
        right, wrong, missed = map(len, self)
        return f'{right} right, {wrong} wrong, {missed} missed'


def judge(found: InstanceData, objects: Sequence[Mapping[str, Any]]) -> Judged:
    """Which detections are right, which are wrong, and which objects are missed.

    Each detection, from the best score on, takes the object of its class that it overlaps most, if nobody has taken it
    and the overlap is large enough. One on an object that does not count (`ignore_flag`) is neither right nor wrong.

    Args:
        found: `bboxes` and `labels`, from the best score on.
        objects: `bbox`, `bbox_label` and `ignore_flag`, as mmdet's data sets give them.
    """
    truth = _boxes_of(objects)
    labels = torch.tensor([each['bbox_label'] for each in objects], dtype=torch.long)
    counts = torch.tensor([not each.get('ignore_flag') for each in objects], dtype=torch.bool)
    boxes = getattr(found.bboxes, 'tensor', found.bboxes).float()
    overlaps = bbox_overlaps(boxes, truth).masked_fill(found.labels[:, None] != labels, 0.0)
    free, right, wrong = counts.clone(), [], []
    for index, row in enumerate(overlaps):
        hits = row >= LEAST_OVERLAP
        if (hits & free).any():
            right.append(index)
            free[row.masked_fill(~(hits & free), -1.0).argmax()] = False
        elif not (hits & ~counts).any():
            wrong.append(index)
    return Judged(boxes[right], boxes[wrong], truth[free])


def _boxes_of(objects: Sequence[Mapping[str, Any]]) -> Tensor:
    return torch.tensor([each['bbox'] for each in objects], dtype=torch.float).reshape(-1, 4)


def most_different(looked: Looked, compared: Sequence[str], count: int) -> list[int]:
    """The pictures on which some arms differ most, whoever of them is right.

    How good each is, :attr:`Judged.quality` says. Pictures on which all are equally good come last.

    Args:
        looked: what was found.
        compared: titles of the arms.
        count: of pictures.
    """

    def difference(index: int) -> float:
        qualities = [judge(looked.found[title][index], looked.truths[index]).quality for title in compared]
        return max(qualities) - min(qualities)

    return sorted(looked.truths, key=lambda index: (-difference(index), index))[:count]


def side_by_side(looked: Looked, indices: Sequence[int]) -> dict[str, list[Drawn]]:
    """Pictures with the true boxes, and with those of each detector; by the names of their files."""
    drawn = {}
    for index in indices:
        truth, path = looked.truths[index], looked.paths[index]
        copies = [Drawn(TRUTH, _webp(path, {RIGHT: _boxes_of(truth).numpy()}), f'{len(truth)} objects')]
        for title in looked.titles:
            judged = judge(looked.found[title][index], truth)
            boxes = {MISSED: judged.missed.numpy(), WRONG: judged.wrong.numpy(), RIGHT: judged.right.numpy()}
            copies.append(Drawn(title, _webp(path, boxes), str(judged)))
        drawn[Path(path).name] = copies
    return drawn


def _webp(path: str, boxes: Mapping[tuple[int, int, int], np.ndarray]) -> bytes:
    picture = cv2.cvtColor(picture_with_boxes(path, boxes), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.webp', picture, [cv2.IMWRITE_WEBP_QUALITY, 70])
    return data.tobytes()


def _validation_set(cfg: Config) -> Any:
    return DATASETS.build(cfg.val_dataloader.dataset)


def _device() -> str:
    return 'cuda' if torch.cuda.is_available() else 'cpu'

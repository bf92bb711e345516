"""What detectors find in the validation pictures, and how long that takes."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from statistics import median
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from ..checks.detections import in_labels_of_the_data
from ..comparison import annotations_of
from ..errors import DistillationError
from ..runtime.data_files import metrics_of
from ..runtime.digests import files_digest, weights_digest
from ..runtime.results import found_once
from ..version import __version__
from .detectors import Detector

#: Score from which on a detection counts and is drawn.
LEAST_SCORE = 0.3
_WARM_UP = 3  # pictures that are not timed
_KEPT = ('bboxes', 'scores', 'labels')  # of a detection
_OF_AN_OBJECT = ('bbox', 'bbox_label', 'ignore_flag')


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
            sample.pred_instances = in_labels_of_the_data(sample.pred_instances, detector.labels)
            if evaluators[title] is not None:
                evaluators[title].process(data_samples=[sample], data_batch=batch)
            looked.found[title][index] = _counting(sample.pred_instances)
    if len(looked.truths) == looked.size:
        looked.logged = {title: each.evaluate(looked.size) for title, each in evaluators.items() if each is not None}
    return looked


def look_once(detectors: Mapping[str, Detector], path: Path) -> Looked:
    """What :func:`look` finds; what it found before, where a file keeps that of the same detectors and pictures.

    The file is written anew where weights, configs, annotations, the machine or a version are others. Pictures are
    known by their paths. What the data set says of itself (`metainfo`) is not kept.

    Args:
        detectors: title -> detector.
        path: of the file.

    Raises:
        OSError: the pictures or their annotations are not there.
    """
    looked = _looked(found_once(path, _digest(detectors), lambda: _plain(look(detectors))))
    gone = next((each for each in looked.paths.values() if not Path(each).is_file()), None)
    if gone is not None:
        raise FileNotFoundError(2, 'there is no such picture', gone)
    return looked


def _digest(detectors: Mapping[str, Detector]) -> str:
    """Of all that decides what detectors find and how fast, but for the pictures themselves."""
    digest = hashlib.sha256(f'{machine()} {torch.__version__} {mmdet.__version__} {__version__}'.encode())
    for title, detector in detectors.items():
        cfg = detector.cfg
        said = {key: cfg.get(key) for key in ('model', 'val_dataloader', 'val_evaluator')}
        annotations = files_digest(annotations_of(cfg, ['val']))['digest']
        labels = None if detector.labels is None else detector.labels.tolist()
        weights = weights_digest(detector.model.state_dict())
        digest.update(f'{title} {said} {labels} {annotations} {weights}'.encode())
    return digest.hexdigest()


def _plain(looked: Looked) -> dict[str, Any]:
    """What JSON can hold of what was found."""
    return dict(
        titles=looked.titles,
        found={
            title: {index: {key: each[key].tolist() for key in _KEPT} for index, each in found.items()}
            for title, found in looked.found.items()
        },
        truths={
            index: [{key: np.asarray(each.get(key, 0)).tolist() for key in _OF_AN_OBJECT} for each in objects]
            for index, objects in looked.truths.items()
        },
        paths=looked.paths,
        size=looked.size,
        seconds=looked.seconds,
        logged={
            title: {key: float(value) for key, value in logged.items() if isinstance(value, Real)}
            for title, logged in looked.logged.items()
        },
    )


def _looked(plain: Mapping[str, Any]) -> Looked:
    """What was found, from what JSON holds of it."""

    def instances(each: Mapping[str, Any]) -> InstanceData:
        return InstanceData(
            bboxes=torch.tensor(each['bboxes'], dtype=torch.float).reshape(-1, 4),
            scores=torch.tensor(each['scores'], dtype=torch.float),
            labels=torch.tensor(each['labels'], dtype=torch.long),
        )

    found = {title: {int(index): instances(each) for index, each in of.items()} for title, of in plain['found'].items()}
    by_index = {key: {int(index): each for index, each in plain[key].items()} for key in ('truths', 'paths')}
    others = {key: plain[key] for key in ('titles', 'size', 'seconds', 'logged')}
    return Looked(found=found, **by_index, **others)


def machine() -> str:
    """What computes, in words."""
    if torch.cuda.is_available():
        return f'on {torch.cuda.get_device_name()}'
    return f'on a CPU with {torch.get_num_threads()} thread{"s" if torch.get_num_threads() > 1 else ""}'


def _evaluator(cfg: Config, metainfo: Mapping[str, Any]) -> Evaluator | None:
    """What the students were judged by; of COCO's metric each class, too."""
    metrics = [dict(metric) for metric in metrics_of(cfg.get('val_evaluator'))]
    if not metrics:
        return None
    for metric in metrics:
        if metric.get('type') == 'CocoMetric':
            metric['classwise'] = True
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = metainfo
    return evaluator


def _counting(found: InstanceData) -> InstanceData:
    """Boxes, scores and labels of the detections that count, from the best score on."""
    instances = InstanceData(**{key: getattr(found[key], 'tensor', found[key]) for key in _KEPT})
    instances = instances[instances.scores >= LEAST_SCORE]
    return instances[instances.scores.argsort(descending=True, stable=True)]


def speeds_of(looked: Looked) -> dict[str, float]:
    """Title -> pictures a second, without the first few, which warm up; only of those that were shown enough."""
    timed = {title: seconds[_WARM_UP:] for title, seconds in looked.seconds.items()}
    return {title: 1 / median(seconds) for title, seconds in timed.items() if seconds}


def _validation_set(cfg: Config) -> Any:
    return DATASETS.build(cfg.val_dataloader.dataset)

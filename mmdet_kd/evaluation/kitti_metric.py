"""KITTI's own metric on boxes in pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.fileio import load
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from ..datasets.kitti import DONT_CARE, KITTI_CLASSES
from ..errors import DistillationError
from .kitti_ap import LEVELS, Frame, average_precision

_MIN_OVERLAP = {'Car': 0.7, 'Pedestrian': 0.5, 'Cyclist': 0.5}
_KEYS = ('type', 'truncated', 'occluded')


@METRICS.register_module()
class KittiMetric(BaseMetric):
    """Average precision in percent at KITTI's levels easy, moderate and hard.

    It gives ``kitti/<class>_<level>`` for each of KITTI's three classes that the detector knows, and
    ``kitti/mAP_<level>``, their mean. A class of which nothing counts at a level is nan there, and not in the mean.
    What counts is in :mod:`mmdet_kd.evaluation.kitti_ap`.

    Args:
        ann_file: written by ``tools/dataset_converters/kitti.py``.
        recall_positions: 40, as the benchmark has it since 2019, or the 11 before.
        backend_args: of mmengine's file backend for ``ann_file``.
        collect_device: as in BaseMetric.
        prefix: as in BaseMetric.

    Raises:
        DistillationError: an argument or the file is not as it must be.
    """

    default_prefix = 'kitti'

    def __init__(
        self,
        ann_file: str,
        recall_positions: int = 40,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if recall_positions not in (11, 40):
            raise DistillationError([f'recall_positions of KittiMetric is 40 or 11, not {recall_positions}'])
        self.recall_positions = recall_positions
        self._truth, self._names = _read_truth(ann_file, backend_args)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections of a batch."""
        for sample in data_samples:
            found = sample['pred_instances']
            arrays = {key: found[key].cpu().numpy() for key in ('bboxes', 'scores', 'labels')}
            self._require_same_picture(sample)
            self.results.append(dict(img_id=sample['img_id'], **arrays))

    def _require_same_picture(self, sample: dict) -> None:
        """Refuse a picture of another set; in each file they are numbered from 1."""
        known, path = self._names.get(sample['img_id']), sample.get('img_path')
        if known is None or (path is not None and Path(path).name != Path(known).name):
            what = 'is not there' if known is None else f'is {known}, and not {path}'
            raise DistillationError(
                [f"in the ann_file of KittiMetric, picture {sample['img_id']} {what}: name the set's own"]
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average precision of each class at each level, and the mean over the classes."""
        classes = self.dataset_meta['classes']
        known = [name for name in KITTI_CLASSES if name in classes]
        if not known:
            raise DistillationError([f'KittiMetric judges {", ".join(KITTI_CLASSES)}; the detector knows none of them'])
        table = {}
        for name in known:
            frames = [self._frame(result, name, classes.index(name)) for result in results]
            for level, limits in LEVELS.items():
                ap = average_precision(frames, limits, _MIN_OVERLAP[name], self.recall_positions)
                table[name, level] = ap
        for level in LEVELS:
            aps = [table[name, level] for name in known if not np.isnan(table[name, level])]
            table['mAP', level] = float(np.mean(aps)) if aps else float('nan')
        self._show(table, [*known, 'mAP'])
        return {f'{name}_{level}': ap for (name, level), ap in table.items()}

    def _frame(self, result: dict, name: str, label: int) -> Frame:
        boxes = [box for box in self._truth[result['img_id']] if box['category'] == name]
        objects = [box for box in boxes if box['type'] != DONT_CARE]
        return Frame(
            boxes=_corners(objects),
            neighbour=np.array([box['type'] != name for box in objects], bool),
            occluded=np.array([box['occluded'] for box in objects]),
            truncated=np.array([box['truncated'] for box in objects]),
            dont_care=_corners([box for box in boxes if box['type'] == DONT_CARE]),
            detections=result['bboxes'].reshape(-1, 4).astype(float),
            scores=result['scores'],
            own=result['labels'] == label,
        )

    def _show(self, table: dict[tuple[str, str], float], names: list[str]) -> None:
        rows = [[name, *(f'{table[name, level]:.2f}' for level in LEVELS)] for name in names]
        text = AsciiTable([[f'AP, R{self.recall_positions}', *LEVELS], *rows]).table
        MMLogger.get_current_instance().info(f'\n{text}')


def _read_truth(ann_file: str, backend_args: dict | None) -> tuple[dict[int, list[dict]], dict[int, str]]:
    """By the id of a picture its boxes, each with its category, type, truncation, occlusion and bbox; and its file."""
    try:
        content = load(ann_file, backend_args=backend_args)
        names = {category['id']: category['name'] for category in content['categories']}
        files = {image['id']: str(image['file_name']) for image in content['images']}
        truth: dict[int, list[dict]] = {image: [] for image in files}
        for annotation in content['annotations']:
            kept = {key: annotation[key] for key in (*_KEYS, 'bbox')}
            truth[annotation['image_id']].append(dict(category=names[annotation['category_id']], **kept))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DistillationError(
            [
                f'{ann_file} of KittiMetric is not what tools/dataset_converters/kitti.py writes '
                f'({type(error).__name__}: {error}): write it again'
            ]
        ) from error
    return truth, files


def _corners(boxes: list[dict]) -> np.ndarray:
    x, y, width, height = np.array([box['bbox'] for box in boxes], float).reshape(-1, 4).T
    return np.stack([x, y, x + width, y + height], 1)

"""What finished trainings leave behind, as numbers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..files import written_whole

#: How tables call COCO's metrics, and how mmdet's log does.
AP_KEYS = {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50', 'AP75': 'coco/bbox_mAP_75'}


def points(score: float) -> float:
    """A score between 0 and 1 as the tables have it, without the tail of binary fractions."""
    return round(100 * score, 2)


def validation_curve(work_dir: str | Path) -> dict[int, dict[str, float]]:
    """Epoch -> scores by :data:`AP_KEYS`, in points, over all the sessions in which a training ran."""
    curve = {}
    for record in _records(work_dir):
        if AP_KEYS['AP'] in record:
            curve[record['step']] = {name: points(record[key]) for name, key in AP_KEYS.items()}
    return dict(sorted(curve.items()))


def _records(work_dir: str | Path) -> Iterator[dict[str, Any]]:
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        yield from map(json.loads, file.read_text().splitlines())


def trained_steps(work_dir: str | Path) -> int:
    """How many steps a training has taken, over all the sessions in which it ran."""
    return max(record['step'] for record in _records(work_dir) if 'loss' in record)


def read_json(path: str | Path) -> dict:
    """The content of a file; nothing if it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with written_whole(path) as draft:
        draft.write_text(json.dumps(content, indent=2) + '\n')

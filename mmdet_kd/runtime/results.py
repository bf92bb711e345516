"""What finished trainings leave behind, as numbers."""

import json
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
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for record in map(json.loads, file.read_text().splitlines()):
            if AP_KEYS['AP'] in record:
                curve[record['step']] = {name: points(record[key]) for name, key in AP_KEYS.items()}
    return dict(sorted(curve.items()))


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

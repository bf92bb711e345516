"""What finished trainings leave behind, as numbers."""

import json
import os
from pathlib import Path
from typing import Any

#: How tables call COCO's metrics, and how mmdet's log does.
AP_KEYS = {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50', 'AP75': 'coco/bbox_mAP_75'}


def validation_curve(work_dir: str | Path) -> dict[int, dict[str, float]]:
    """Epoch -> scores by :data:`AP_KEYS`, in points, over all the sessions in which a training ran."""
    curve = {}
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for record in map(json.loads, file.read_text().splitlines()):
            if AP_KEYS['AP'] in record:
                curve[record['step']] = {name: 100 * record[key] for name, key in AP_KEYS.items()}
    return dict(sorted(curve.items()))


def read_json(path: str | Path) -> dict:
    """The content of a file; nothing if it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}


def write_json(path: str | Path, content: Any) -> None:
    """Write beside and rename: no reader ever sees half a file."""
    path = Path(path)
    beside = path.with_name(f'.{path.name}')
    beside.write_text(json.dumps(content, indent=2) + '\n')
    os.replace(beside, path)

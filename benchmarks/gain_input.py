"""What gain.py is given: a table, and configs whose validations can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.config import Config

from mmdet_kd.errors import raise_if_any
from mmdet_kd.runtime.cli import read_config
from mmdet_kd.runtime.data_files import metrics_of
from mmdet_kd.runtime.results import AP_KEYS

_TABLES = Path(__file__).resolve().parent / 'tables'


def read_table(path: Path) -> Config:
    """Read a table.

    Raises:
        DistillationError: there is no such file, or it is no table.
    """
    known = ', '.join(sorted(each.name for each in _TABLES.glob('*.py')))
    if not path.is_file():
        raise_if_any([f'there is no table {path}. benchmarks/tables has {known}'])
    table = read_config(path)
    lacking = [key for key in ('title', 'seeds', 'rows') if not table.get(key)]
    if lacking:
        raise_if_any([f'{path} is no table: it has no {" and no ".join(lacking)}. benchmarks/tables has {known}'])
    return table


def score_problems(name: str, cfg: Config) -> list[str]:
    """Why the validation of a config gives no AP of boxes as COCO's, which is what a table compares."""
    metrics = metrics_of(cfg.get('val_evaluator'))
    if any(map(_gives_ap, metrics)):
        return []
    kinds = ' and '.join(getattr(metric['type'], '__name__', metric['type']) for metric in metrics) or 'nothing'
    return [
        f'{name} validates with {kinds}, which gives no {AP_KEYS["AP"]}, and a table compares that. Set val_evaluator='
        "dict(type='CocoMetric', ann_file=..., metric='bbox'); tools/dataset_converters write COCO's JSON"
    ]


def _gives_ap(metric: Mapping[str, Any]) -> bool:
    kind = METRICS.get(metric['type']) if isinstance(metric['type'], str) else metric['type']
    asked = metric.get('metric', 'bbox')
    named = metric.get('prefix') in (None, CocoMetric.default_prefix)
    return named and issubclass(kind or object, CocoMetric) and 'bbox' in ([asked] if isinstance(asked, str) else asked)

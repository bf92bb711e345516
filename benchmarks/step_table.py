"""What the documents quote of benchmarks/step_time.py: seconds and memory of steps, and taxes with their intervals."""

from __future__ import annotations

from pathlib import Path

from mmdet_kd.comparison import markdown
from mmdet_kd.runtime.results import read_results


def step_time_tables(results: Path) -> dict[str, str]:
    """Each config, how the last one grows, and compiled teachers, by the files in a folder of results."""
    found, compiled = (read_results(results / f'{name}.json') for name in ('step_time', 'step_time_compiled'))
    taxes = {
        row: {name: value for name, value in costs.items() if name.startswith('tax')}
        for row, costs in compiled.get('rows', {}).items()
    }
    return {
        'step_time': measured_table(found.get('rows', {})),
        'step_time_growth': measured_table(found.get('growth', {})),
        'step_time_compiled': measured_table(taxes),
    }


def measured_table(rows: dict[str, dict]) -> str:
    """Medians of seconds, taxes with their confidence intervals, and the rest as it is."""
    names = list(next(iter(rows.values()), {}))
    cells = [[row.partition('_')[0], *(measured(name, result[name]) for name in names)] for row, result in rows.items()]
    return markdown([['', *names], *cells])


def measured(name: str, value: dict[str, float] | float) -> str:
    """A cell of such a table."""
    if not isinstance(value, dict):
        return f'{value:g}'
    if not name.startswith('tax'):
        return f'{value["value"]:.2g}' if value['value'] < 0.1 else f'{value["value"]:.2f}'
    return f'{value["value"]:.2f} ({value["low"]:.2f} to {value["high"]:.2f})'

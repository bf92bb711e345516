"""What the documents quote of step_time.py and gpu_steps.py: seconds and memory of steps, and taxes."""

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


def gpu_table(results: Path) -> str:
    """Each method on each card that was measured, by the files in a folder of results."""
    parts = []
    for path in sorted(results.glob('gpu_*.json')):
        content = read_results(path)
        settings = content['settings']
        rows = [gpu_cells(method, row) for method, row in content['rows'].items()]
        parts.append(
            f'{settings["device"]}, torch {settings["torch"]}, {settings["images"]} pictures of '
            f'{"x".join(map(str, settings["size"]))}, {settings["rois"]} RoIs each, {settings["repeats"]} turns:\n\n'
            + markdown([GPU_COLUMNS, *rows])
        )
    return '\n\n'.join(parts)


#: Of the table of a card.
GPU_COLUMNS = [
    *('', 'student, s', 'plain teacher, s', 'distilled, s', 'tax', 'tax in float16', 'tax in bfloat16'),
    *("tax of the GPU's time", 'beyond it, MiB', 'in float16, MiB', 'waits'),
]


def gpu_cells(method: str, row: dict) -> list[str]:
    """A row of that table. What a method does not run in is left empty."""

    def cell(name: str) -> str:
        return measured(name, row[name]) if name in row else ''

    busy = row['distilled keeps the GPU busy, s'] - row['student keeps the GPU busy, s']
    return [
        method,
        *(cell(f'{name}, s') for name in ('student, single', 'plain teacher', 'distilled, single')),
        *(cell(f'tax, {precision}') for precision in ('single', 'float16', 'bfloat16')),
        f'{busy / row["plain teacher, s"]["value"]:.2f}',
        *(cell(f'beyond it, MiB, {precision}') for precision in ('single', 'float16')),
        str(row['waits of the host, distilled'] - row['waits of the host, student']),
    ]

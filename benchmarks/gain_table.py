"""The table of what the rows of a benchmark reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from scipy import stats

from mmdet_kd.runtime.results import AP_KEYS

#: What gain.py has written of a row.
Row = Mapping[str, Any]


def table_cells(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[list[str]]:
    """The cells of a table of results, its head first.

    Args:
        content: row -> what was written of it.
        table: its definition: ``rows``, and ``quoted``, if numbers of others are to stand beside ours: head -> row ->
            number.
    """
    first, quoted = next(iter(table['rows'])), table.get('quoted', {})
    costs = ['step, s', 'tax', "steps to the first row's AP", 'seconds']
    cells = [['', *AP_KEYS, 'gain in AP', *costs, 'seeds', *quoted]]
    for row, found in content.items():
        scores = [spread([run['scores'][key] for run in found['seeds'].values()]) for key in AP_KEYS]
        pairs = paired(found, content.get(first, {}))
        gain = '' if row == first else interval([run['scores']['AP'] - alone['scores']['AP'] for run, alone in pairs])
        others = [f'{column[row]:.1f}' if row in column else '' for column in quoted.values()]
        name = f'{row} (inherits)' if found.get('inherits') else row
        cells.append([name, *scores, gain, *cost_cells(found, reach(pairs)), str(len(found['seeds'])), *others])
    return cells


def paired(found: Row, first: Row) -> list[tuple[Row, Row]]:
    """The runs of a row, each with that of the first row that had the same seed."""
    alone = first.get('seeds', {})
    return [(run, alone[seed]) for seed, run in found['seeds'].items() if seed in alone]


def cost_cells(found: Row, steps: float | None) -> list[str]:
    """What a step takes, its tax, how many steps it takes to reach something, and their seconds."""
    step, tax = found.get('step, s'), found.get('tax')
    return [
        f'{step["value"]:.2f}' if step else '',
        f'{tax["value"]:.2f}' if tax else '',
        '' if steps is None else f'{steps:.0f}',
        f'{steps * step["value"]:.0f}' if steps and step else '',
    ]


def reach(pairs: list[tuple[Row, Row]]) -> float | None:
    """Steps until the first validation at which a run has the final AP of the one it is compared with.

    The mean over the pairs; None if one of them never has it.
    """
    reached = []
    for run, alone in pairs:
        epochs = [int(epoch) for epoch, scores in run['curve'].items() if scores['AP'] >= alone['scores']['AP']]
        if not epochs:
            return None
        reached.append(run['steps'] * min(epochs) / max(map(int, run['curve'])))
    return statistics.mean(reached) if reached else None


def interval(values: list[float]) -> str:
    """Mean, and its 95 % confidence interval where there is one."""
    if not values:
        return ''
    mean = f'{statistics.mean(values):+.1f}'
    if len(values) == 1:
        return mean
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    return f'{mean} ({low:+.1f} to {high:+.1f})'


def spread(values: list[float]) -> str:
    """Mean, and standard deviation where there is one."""
    mean = f'{statistics.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'

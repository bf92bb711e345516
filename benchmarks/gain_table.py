"""The table of what the rows of a benchmark reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mmdet_kd.comparison import Row, bounds, gains, interval, name_of, paired, reach, spread
from mmdet_kd.runtime.results import AP_KEYS

#: What a step needs beyond the student's own peak, as costs.py calls it.
MEMORY = 'beyond it, MiB'


def known_rows(content: Mapping[str, Row], table: Mapping[str, Any]) -> dict[str, Row]:
    """The rows of a table that results have, in its order; results may have others, of another version of the table."""
    return {row: content[row] for row in table['rows'] if row in content}


def table_cells(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[list[str]]:
    """The cells of a table of results, its head first.

    Args:
        content: row -> what was written of it.
        table: its definition: ``rows``, and ``quoted``, if numbers of others are to stand beside ours: head -> row ->
            number.
    """
    first, quoted = next(iter(table['rows'])), table.get('quoted', {})
    rows = known_rows(content, table)
    memory = [MEMORY] if any(MEMORY in found for found in rows.values()) else []
    costs = ['step, s', 'tax', *memory, "steps to the first row's AP", 'seconds']
    cells = [['', *AP_KEYS, 'gain in AP', *costs, 'seeds', *quoted]]
    for row, found in rows.items():
        scores = [spread([run['scores'][key] for run in found['seeds'].values()]) for key in AP_KEYS]
        alone = content.get(first, {})
        gain = '' if row == first else interval(gains(found, alone))
        costs_of_row = cost_cells(found, memory, reach(paired(found, alone)))
        others = [f'{column[row]:.1f}' if row in column else '' for column in quoted.values()]
        cells.append([name_of(row, found), *scores, gain, *costs_of_row, str(len(found['seeds'])), *others])
    return cells


def difference_cells(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[list[str]]:
    """What one row has more than another, for the pairs of rows that a document compares; the head first.

    Args:
        content: row -> what was written of it, with the AP by class where its runs have ``classes``.
        table: its definition: ``differences``, pairs of rows. A pair of which a row has no results is left out.
    """
    pairs = {
        (row, other): paired(content[row], content[other])
        for row, other in table['differences']
        if {row, other} <= content.keys()
    }
    classes = list(dict.fromkeys(name for runs in pairs.values() for run, _ in runs for name in run.get('classes', {})))
    cells = [['', 'AP more', *classes, 'seeds']]
    for (row, other), runs in pairs.items():
        # of all runs or of none: the last column says of how many seeds a number is
        is_known = all('classes' in run for pair in runs for run in pair)
        by_class = [[run['classes'][name] - its['classes'][name] for run, its in runs if is_known] for name in classes]
        differences = [gains(content[row], content[other]), *by_class]
        cells.append([f'{row} than {other}', *map(interval, differences), str(len(runs))])
    return cells


def goal_cells(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[list[str]]:
    """The AP that rows have, with its 95 % confidence interval, beside what they should have; the head first.

    Args:
        content: row -> what was written of it. A row with goals has two seeds or more.
        table: its definition: ``goals``, pairs of a row and an AP.
    """
    cells = [['', 'goal', 'AP', 'its interval', 'seeds']]
    for row, goal in table['goals']:
        scores = [run['scores']['AP'] for run in content[row]['seeds'].values()]
        low, high = bounds(scores)
        verdict = 'below the goal' if high < goal else 'above the goal' if low > goal else 'holds the goal'
        where = f'{low:.1f} to {high:.1f}, {verdict}'
        cells.append([row, f'{goal:.1f}', f'{statistics.mean(scores):.1f}', where, str(len(scores))])
    return cells


def cost_cells(found: Row, memory: Sequence[str], steps: float | None) -> list[str]:
    """What a step takes, its tax with the interval, its memory, the steps to reach something, and their seconds."""
    step, tax = found.get('step, s'), found.get('tax')
    return [
        f'{step["value"]:.2f}' if step else '',
        f'{tax["value"]:.2f} ({tax["low"]:.2f} to {tax["high"]:.2f})' if tax else '',
        *(f'{found[name]:.0f}' if name in found else '' for name in memory),
        '' if steps is None else f'{steps:.0f}',
        f'{steps * step["value"]:.0f}' if steps and step else '',
    ]

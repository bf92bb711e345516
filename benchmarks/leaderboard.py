"""The tables of the leaderboard: what the rows of a table reached, best first, in detail, and how weights were chosen.

They are made of the results of gain.py: those of a table, and those of the table in which each method's weight was
chosen, whose rows are the same configs with options.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import reduce
from math import isclose
from operator import getitem
from typing import Any

from gain_table import known_rows, table_cells
from mmengine.config import Config

from mmdet_kd.comparison import Row, name_of, spread


def leaderboard_cells(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[list[str]]:
    """What the rows reached and cost, the best one first, so that below the first row of the table stand the losers.

    Args:
        content: row -> what was written of it.
        table: its definition.
    """
    heads, *rows = table_cells(content, table)
    by_name = {cells[0]: cells for cells in rows}
    return [heads, *(by_name[name_of(row, content[row])] for row in _best_first(content, table))]


def detail_cells(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[list[str]]:
    """AP by size and by class, means over the seeds of which it is known; the rows as in :func:`leaderboard_cells`.

    Args:
        content: row -> what was written of it. A run that lacks ``sizes`` and ``classes`` is left out.
        table: its definition.
    """
    rows = {
        row: [{**run['sizes'], **run['classes']} for run in content[row]['seeds'].values() if 'classes' in run]
        for row in _best_first(content, table)
    }
    names = list(dict.fromkeys(name for runs in rows.values() for run in runs for name in run))
    cells = [['', *names]]
    for row, runs in rows.items():
        scores = [[run[name] for run in runs if name in run] for name in names]
        cells.append([name_of(row, content[row]), *(spread(values) if values else '' for values in scores)])
    return cells


def tried_cells(table: Mapping[str, Any], tried: Mapping[str, Row]) -> list[list[str]]:
    """The values that were tried for each row, with their AP; those that the row has are in bold.

    Args:
        table: the definition of the leaderboard's table; its configs can be read.
        tried: results of the table in which values were tried. Its rows are these configs with options, and are called
            by the method and the values: 'fkd 1, T 0.5'.
    """
    cells = [['', 'tried: AP']]
    for row, config in table['rows'].items():
        found = {name: each for name, each in tried.items() if each['config'] == config}
        if found:
            cfg = Config.fromfile(config)
            cells.append([row, ', '.join(_tried(name, each, cfg) for name, each in found.items())])
    return cells


def _tried(name: str, found: Row, cfg: Config) -> str:
    """E.g. '18: 50.4', in bold if the config has these values."""
    (run,) = found['seeds'].values()
    values, score = name.partition(' ')[2], f'{run["scores"]["AP"]:.1f}'
    if not values:  # the student alone
        return score
    text = f'{values}: {score}'
    has_them = all(isclose(reduce(getitem, key.split('.'), cfg), value) for key, value in _of_model(found).items())
    return f'**{text}**' if has_them else text


def _of_model(found: Row) -> dict[str, float]:
    return {key: value for key, value in found.get('options', {}).items() if key.startswith('model.')}


def _best_first(content: Mapping[str, Row], table: Mapping[str, Any]) -> list[str]:
    def mean(row: str) -> float:
        return statistics.mean(run['scores']['AP'] for run in content[row]['seeds'].values())

    return sorted(known_rows(content, table), key=mean, reverse=True)

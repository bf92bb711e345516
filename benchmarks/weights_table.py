"""What a student gains by the weight of a loss, said as its gradient beside that of the student's own losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Name of a table -> what it calls a set or a student -> results of gain.py with a row a weight, beside which those of
#: gradient_shares.py lie.
TABLES = {
    'weights': {'BCCD': 'bccd-two-stage-weights', 'drawn set': 'shapes-weights'},
    'weights-dense': {'GFL': 'bccd-gfl-weights', 'RetinaNet': 'bccd-retinanet-weights'},
}
_ALONE = 'alone'


def weights_cells(sets: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[list[str]]:
    """The cells of a table, its head first: a row a method, and of each set the gains at each multiple, and the best.

    Args:
        sets: name -> what :mod:`gain` and :mod:`gradient_shares` found of its rows, which are called by a method and
            a weight. A set without results is left out.
    """
    found = {name: _by_method(*results) for name, results in sets.items() if results[0]}
    methods = dict.fromkeys(method for gains in found.values() for method in gains)
    heads = ['', *(head for name in found for head in (f'{name}: gain in AP by multiple', 'most at'))]
    return [
        heads,
        *(
            [method, *(cell for gains in found.values() for cell in _cells(gains.get(method, {})))]
            for method in methods
        ),
    ]


def _by_method(reached: Mapping[str, Any], shares: Mapping[str, Any]) -> dict[str, dict[float, float]]:
    """Method -> gradient as a multiple of the student's own -> gain in AP, mean over the seeds.

    A row is called 'pkd 54', or 'fgd 64, T 2': then the method is 'fgd, T 2'.
    """
    measured = {
        _group(row): entry['start'][_parts(row)[0]] / float(_parts(row)[1])
        for row, entry in shares.items()
        if _parts(row)[0] in entry.get('start', {})
    }
    gains: dict[str, dict[float, float]] = {}
    for row, entry in reached.items():
        if _group(row) in measured:  # a gradient is proportional to the weight of its loss
            multiple = measured[_group(row)] * float(_parts(row)[1])
            gains.setdefault(_group(row), {})[multiple] = _gain(entry, reached[_ALONE])
    return gains


def _parts(row: str) -> tuple[str, str, str]:
    """The distiller, the weight, and what else is said, of the name of a row."""
    method, _, values = row.partition(' ')
    weight, comma, others = values.partition(',')
    return method, weight, comma + others


def _group(row: str) -> str:
    method, _, others = _parts(row)
    return method + others


def _gain(entry: Mapping[str, Any], alone: Mapping[str, Any]) -> float:
    seeds = entry['seeds'].keys() & alone['seeds'].keys()
    scores = [[each['seeds'][seed]['scores']['AP'] for seed in seeds] for each in (entry, alone)]
    return (sum(scores[0]) - sum(scores[1])) / len(seeds)


def _cells(gains: Mapping[float, float]) -> list[str]:
    said = [f'{_rounded(multiple)}: {gain:+.1f}' for multiple, gain in sorted(gains.items())]
    return [', '.join(said), _rounded(max(gains, key=gains.__getitem__)) if gains else '']


def _rounded(multiple: float) -> str:
    """To two digits."""
    return f'{multiple:.2g}' if multiple < 100 else f'{float(f"{multiple:.2g}"):.0f}'

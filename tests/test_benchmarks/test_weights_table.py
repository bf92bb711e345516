"""The table of gains by how hard a loss pulls, of two sets."""

import pytest
from helpers.tiny import REPO


@pytest.fixture
def weights_cells(monkeypatch):
    """Of benchmarks/, whose modules import each other by their names."""
    monkeypatch.syspath_prepend(str(REPO / 'benchmarks'))
    from weights_table import weights_cells

    return weights_cells


def reached(*aps):
    return dict(seeds={str(seed): dict(scores=dict(AP=ap)) for seed, ap in enumerate(aps)})


def test_multiples_follow_the_weights_and_gains_the_seeds_in_common(weights_cells):
    cells = weights_cells(
        {
            'cells': (
                {
                    'alone': reached(40.0, 42.0),
                    'pkd 2': reached(41.0),
                    'pkd 20': reached(43.0, 46.0),
                    'pkd 8, T 2': reached(45.0),
                    'gid 1': reached(39),
                },
                {
                    'pkd 2': dict(start=dict(pkd=0.5)),
                    'pkd 4, T 2': dict(start=dict(pkd=0.1)),
                    'gid 1': dict(start=dict(gid=123.0)),
                },
            ),
            'shapes': (
                {'alone': reached(10.0), 'pkd 1': reached(9.5), 'cwd 1': reached(99)},
                {'pkd 1': dict(start=dict(pkd=3))},
            ),
            'to come': ({}, {}),
        }
    )
    assert cells == [
        ['', 'cells: gain in AP by multiple', 'most at', 'shapes: gain in AP by multiple', 'most at'],
        ['pkd', '0.5: +1.0, 5: +3.5', '5', '3: -0.5', '3'],
        ['pkd, T 2', '0.2: +5.0', '0.2', '', ''],
        ['gid', '120: -1.0', '120', '', ''],
    ]

"""The tables of the leaderboard: who stands where, what is known in detail, and which value was taken."""

import pytest
from helpers.tiny import REPO, load_tool

CONFIG = 'model = dict(distillers=dict(pkd=dict(loss=dict(loss_weight=6.0, temperature=2.0))))\n'


@pytest.fixture
def leaderboard(monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / 'benchmarks'))
    return load_tool('benchmarks/leaderboard.py')


@pytest.fixture
def table(tmp_path):
    for name, text in dict(alone='', worse='', taught=CONFIG).items():
        (tmp_path / f'{name}.py').write_text(text)
    return dict(rows={name: str(tmp_path / f'{name}.py') for name in ('alone', 'worse', 'taught')})


def run(ap, **detail):
    scores = {'AP': ap, 'AP50': 2 * ap, 'AP75': ap}
    return dict(scores=scores, curve={'1': scores}, steps=100, **detail)


def of_seeds(*runs, **more):
    return dict(seeds={str(seed): found for seed, found in enumerate(runs)}, **more)


def test_rows_stand_by_their_mean_and_losers_below_the_first(leaderboard, table):
    content = {
        'alone': of_seeds(run(30.0), run(32.0)),
        'worse': of_seeds(run(30.5), run(30.5)),
        'taught': of_seeds(run(29.0), run(34.0), inherits=True),
    }
    heads, *rows = leaderboard.leaderboard_cells(content, table)
    assert heads[1] == 'AP'
    assert [row[0] for row in rows] == ['taught (inherits)', 'alone', 'worse']
    gain = heads.index('gain in AP')
    assert [row[gain].partition(' ')[0] for row in rows] == ['+0.5', '', '-0.5']  # over the first, wherever it stands


def test_details_are_means_over_the_runs_that_have_them(leaderboard, table):
    content = {
        'alone': of_seeds(run(30.0), run(32.0, sizes=dict(small=10.0), classes=dict(cell=20.0))),
        'taught': of_seeds(
            run(40.0, sizes=dict(small=20.0), classes=dict(cell=30.0)),
            run(40.0, sizes=dict(large=50.0), classes=dict(cell=32.0)),
        ),
        'worse': of_seeds(run(1.0)),
    }
    heads, taught, alone, worse = leaderboard.detail_cells(content, table)
    assert heads == ['', 'small', 'cell', 'large']
    assert taught == ['taught', '20.0', '31.0 ± 1.4', '50.0']
    assert alone == ['alone', '10.0', '20.0', '']
    assert worse == ['worse', '', '', '']


def test_the_value_that_a_row_has_is_in_bold(leaderboard, table):
    weight, temperature = (f'model.distillers.pkd.loss.{name}' for name in ('loss_weight', 'temperature'))

    def tried(ap, **options):
        return of_seeds(run(ap), config=table['rows']['taught'], options={'train_cfg.max_epochs': 1, **options})

    found = {
        'alone': of_seeds(run(20.0), config=table['rows']['alone'], options={'train_cfg.max_epochs': 1}),
        'pkd 2': tried(30.0, **{weight: 2.0}),
        'pkd 6': tried(31.0, **{weight: 6.0, temperature: 0.5}),
        'pkd 6, T 2': tried(32.0, **{weight: 60 * 0.1, temperature: 2.0000000000000004}),
    }
    _, alone, taught = leaderboard.tried_cells(table, found)
    assert alone == ['alone', '20.0']
    assert taught == ['taught', '2: 30.0, 6: 31.0, **6, T 2: 32.0**']

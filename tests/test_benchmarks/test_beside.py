"""Two checkouts, measured side by side."""

import pytest
from helpers.distil import HINT, distilled_cfg
from helpers.tiny import REPO, load_tool, run_tool


def test_the_ratio_is_of_medians():
    beside = load_tool('benchmarks/beside.py')
    # Medians 4 and 2; means and single turns give other ratios.
    assert beside.ratio([4.0, 4.0, 4.0, 4.0, 40.0], [2.0, 2.0, 2.0, 2.0, 2.0]).startswith('2.000 (2.000 to ')


def test_the_taxes_of_both_rest_on_the_same_steps():
    beside = load_tool('benchmarks/beside.py')
    before = {'student': [1.0, 2.0], 'plain teacher': [4.0, 4.0], beside.DISTILLED: [9.0, 9.0]}
    now = {'student': [3.0, 2.0], 'plain teacher': [2.0, 6.0], beside.DISTILLED: [8.0, 8.0]}
    assert beside.means(before, now) == {'student': [2.0, 2.0], 'plain teacher': [3.0, 5.0]}


@pytest.mark.slow
def test_a_checkout_beside_itself(student_cfg, teacher_cfg, tmp_path):
    distilled_cfg(student_cfg, teacher_cfg.to_dict(), None, hint=HINT).dump(tmp_path / 'tiny.py')
    options = ['--repeats', '2', '--images', '1', '--size', '64']
    printed = run_tool(['benchmarks/beside.py', REPO, tmp_path / 'tiny.py', *options]).stdout
    assert 'of weights and a pass' in printed
    rows = [line for line in printed.splitlines() if 'before' in line or 'now' in line]
    memory = [line.split('│')[-2].strip() for line in rows if '│' in line]
    assert len(memory) == 2
    assert memory[0] == memory[1]  # the same code holds the same bytes
    assert 'a distilled step takes ' in printed

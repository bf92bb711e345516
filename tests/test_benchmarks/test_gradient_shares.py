"""How hard the distillers of a table pull: measured once for rows that differ in a weight alone."""

import json

import pytest
from helpers.distil import HINT, RPN, distilled_cfg, save_teacher
from helpers.tiny import REPO, call_tool, tiny_student_cfg, tiny_teacher_cfg


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch):
    """The modules of benchmarks/ import each other by their names."""
    monkeypatch.syspath_prepend(str(REPO / 'benchmarks'))


@pytest.fixture
def table(tiny_set, tmp_path):
    """A student alone, and the same one with two distillers, whose hint has another weight in each row."""
    short = {'train_cfg.max_epochs': 1}
    student, teacher = (make(tiny_set, tmp_path, **short) for make in (tiny_student_cfg, tiny_teacher_cfg))
    student.dump(tmp_path / 'alone.py')
    hint = dict(HINT, loss=dict(type='HintLoss', loss_weight=1.0))
    weights = save_teacher(teacher, tmp_path / 'teacher.pth')
    cfg = distilled_cfg(student, teacher.to_dict(), weights, hint=hint, rpn=dict(RPN))
    cfg.model.distillers.left_out = None
    cfg.dump(tmp_path / 'taught.py')
    rows = {'alone': str(tmp_path / 'alone.py')} | {
        f'hint {weight:g}': dict(
            config=str(tmp_path / 'taught.py'), options={'model.distillers.hint.loss.loss_weight': weight}
        )
        for weight in (1.0, 4.0)
    }
    path = tmp_path / 'weights.py'
    path.write_text(f"title = 'Weights'\nseeds = [0]\nrows = {rows}\n")
    return path


def shares(table, *more, results='one'):
    folder = table.parent / results
    folder.mkdir(exist_ok=True)
    call_tool('benchmarks/gradient_shares.py', table, '--steps', 2, '--results', folder, *more)
    return json.loads((folder / 'gradient_shares_weights.json').read_text())


@pytest.mark.slow
def test_what_is_calculated_for_another_weight_is_what_would_be_measured(table):
    both = shares(table)
    assert list(both) == ['hint 1', 'hint 4']  # the student alone has none
    assert both['hint 4']['start']['hint'] == pytest.approx(4 * both['hint 1']['start']['hint'], rel=1e-3)
    assert both['hint 4']['start']['rpn'] == both['hint 1']['start']['rpn'] > 0
    alone = shares(table, '--rows', 'hint 4', results='two')
    assert alone['hint 4']['start'] == pytest.approx(both['hint 4']['start'], rel=1e-3)


@pytest.mark.slow
def test_an_epoch_is_trained_and_what_is_known_stays(table):
    first = shares(table, '--rows', 'hint 1')
    path = table.parent / 'one' / 'gradient_shares_weights.json'
    first['hint 1']['start']['hint'] = 123.0
    first['of another version of the table'] = {}
    path.write_text(json.dumps(first))
    found = shares(table, '--rows', 'hint 1', '--epochs', '1')
    assert list(found) == ['hint 1', 'of another version of the table']
    second = found['hint 1']
    assert second['start']['hint'] == 123.0
    assert set(second['epoch 1']) == {'hint', 'rpn'}
    assert second['epoch 1']['rpn'] != second['start']['rpn']

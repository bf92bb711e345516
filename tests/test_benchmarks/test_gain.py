"""The table of gains: two tiny trainings, their numbers, and what a second call leaves alone."""

import json

import pytest
from helpers.tiny import call_tool, load_tool, tiny_student_cfg


@pytest.fixture
def table(tiny_set, tmp_path):
    for name, lr in (('slow', 0.001), ('fast', 0.02)):
        cfg = tiny_student_cfg(tiny_set, tmp_path, **{'train_cfg.max_epochs': 1, 'optim_wrapper.optimizer.lr': lr})
        cfg.dump(tmp_path / f'{name}.py')
    rows = {name: str(tmp_path / f'{name}.py') for name in ('slow', 'fast')}
    path = tmp_path / 'speeds.py'
    path.write_text(f"title = 'Speeds'\nseeds = [3]\nrows = {rows}\n")
    return path


def gain(table, *more):
    folder = table.parent
    call_tool('benchmarks/gain.py', table, '--work-dir', folder / 'runs', '--results', folder, *more)
    return json.loads((folder / 'speeds.json').read_text())


def test_rows_are_trained_once_and_again_when_their_config_changes(table, capsys):
    results = gain(table)
    assert list(results) == ['slow', 'fast']
    assert capsys.readouterr().out.count('seed 3: AP') == 2
    checkpoint = table.parent / 'runs' / 'speeds' / 'slow' / 'seed3' / 'epoch_1.pth'
    made = checkpoint.stat().st_mtime_ns

    assert gain(table) == results
    assert checkpoint.stat().st_mtime_ns == made
    config = table.parent / 'fast.py'
    config.write_text(config.read_text().replace('lr=0.02', 'lr=0.01'))
    changed = gain(table)
    assert checkpoint.stat().st_mtime_ns == made
    assert changed['slow'] == results['slow']
    assert changed['fast']['3']['fingerprint'] != results['fast']['3']['fingerprint']


def test_an_unknown_row_is_refused(table):
    with pytest.raises(SystemExit, match='the table has no row medium; it has slow, fast'):
        gain(table, '--rows', 'medium')


def test_a_training_that_fails_says_where_its_reason_stands(table):
    config = table.parent / 'slow.py'
    config.write_text(config.read_text().replace("type='FasterRCNN'", "type='FasterRCN'"))
    with pytest.raises(SystemExit, match=r'slow, seed 3, failed; the reason stands at the end of .*console\.log'):
        gain(table)


def test_means_spreads_and_gains():
    tool = load_tool('benchmarks/gain.py')

    def runs(*aps):
        return {str(seed): dict(scores=dict(AP=ap, AP50=2 * ap, AP75=ap)) for seed, ap in enumerate(aps)}

    heads, alone, taught, single = tool.table_cells(
        {'alone': runs(30.0, 34.0), 'taught': runs(36.0, 38.0), 'one': runs(29)}
    )
    assert heads == ['', 'AP', 'AP50', 'AP75', 'gain in AP', 'seeds']
    # standard deviations of two: difference / sqrt(2)
    assert alone == ['alone', '32.0 ± 2.8', '64.0 ± 5.7', '32.0 ± 2.8', '', '2']
    assert taught == ['taught', '37.0 ± 1.4', '74.0 ± 2.8', '37.0 ± 1.4', '+5.0', '2']
    assert single[1:] == ['29.0', '58.0', '29.0', '-1.0', '1']

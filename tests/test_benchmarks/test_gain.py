"""The table of gains: two tiny trainings, their numbers, and what a second call leaves alone."""

import json

import pytest
from helpers.distil import distilled_cfg
from helpers.tiny import call_tool, load_tool, tiny_student_cfg, tiny_teacher_cfg


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


def trained(results):
    """What stays the same when it is asked for again; times do not."""
    return {row: found['seeds'] for row, found in results.items()}


def test_rows_are_trained_once_and_again_when_their_config_changes(table, capsys):
    results = gain(table)
    assert list(results) == ['slow', 'fast']
    assert capsys.readouterr().out.count('seed 3: AP') == 2
    assert results['slow']['seeds']['3']['steps'] == 4
    slow, fast = (table.parent / 'runs' / 'speeds' / row / 'seed3' / 'epoch_1.pth' for row in ('slow', 'fast'))
    made = slow.stat().st_mtime_ns, fast.stat().st_mtime_ns

    (table.parent / 'speeds.json').unlink()  # the numbers can be had again without a training
    assert trained(gain(table)) == trained(results)
    assert (slow.stat().st_mtime_ns, fast.stat().st_mtime_ns) == made
    config = table.parent / 'fast.py'
    config.write_text(config.read_text().replace('lr=0.02', 'lr=0.01'))
    changed = gain(table)
    assert slow.stat().st_mtime_ns == made[0]
    assert fast.stat().st_mtime_ns != made[1]
    assert trained(changed)['slow'] == trained(results)['slow']


def test_results_of_elsewhere_do_not_stand_for_a_training(table):
    """A checkout has the results that were committed, and no trainings."""
    made_up = {'slow': {'seeds': {'3': {'scores': {'AP': 99.0}}}}}
    (table.parent / 'speeds.json').write_text(json.dumps(made_up))
    assert gain(table, '--rows', 'slow')['slow']['seeds']['3']['scores']['AP'] < 99


def test_an_interrupted_row_is_not_taken_for_finished(table):
    gain(table, '--rows', 'slow')
    mark = table.parent / 'runs' / 'speeds' / 'slow' / 'seed3' / 'gain.json'
    mark.write_text(mark.read_text().replace('true', 'false'))
    log = mark.parent / 'console.log'
    before = log.stat().st_size
    gain(table, '--rows', 'slow')
    assert log.stat().st_size > before
    assert 'true' in mark.read_text()


def test_a_taught_row_has_a_tax(tiny_set, tmp_path):
    short = {'train_cfg.max_epochs': 1}
    student, teacher = (make(tiny_set, tmp_path, **short) for make in (tiny_student_cfg, tiny_teacher_cfg))
    student.dump(tmp_path / 'alone.py')
    distilled_cfg(student, teacher.to_dict(), None).dump(tmp_path / 'taught.py')
    table = tmp_path / 'speeds.py'
    rows = {name: str(tmp_path / f'{name}.py') for name in ('alone', 'taught')}
    table.write_text(f"title = 'Taught'\nseeds = [0]\nrows = {rows}\n")
    assert not any('tax' in row for row in gain(table, '--seeds', 0).values())
    results = gain(table)
    assert 'tax' not in results['alone']
    assert all(row['step, s']['median'] > 0 for row in results.values())
    assert results['taught']['tax']['median'] > 0


def test_missing_weights_are_named_before_anything_is_trained(table):
    config = table.parent / 'fast.py'
    config.write_text(config.read_text() + "\nload_from = 'work_dirs/nowhere.pth'\n")
    with pytest.raises(SystemExit, match=rf'(?s)there is no\n  work_dirs/nowhere\.pth, for {config}\nRun `make demo`'):
        gain(table)
    assert not (table.parent / 'runs').exists()


def test_an_unknown_row_is_refused(table):
    with pytest.raises(SystemExit, match='the table has no row medium; it has slow, fast'):
        gain(table, '--rows', 'medium')


def test_a_training_that_fails_says_where_its_reason_stands(table):
    config = table.parent / 'slow.py'
    config.write_text(config.read_text().replace("type='FasterRCNN'", "type='FasterRCN'"))
    with pytest.raises(SystemExit, match=r'slow, seed 3, failed; the reason stands at the end of .*console\.log'):
        gain(table)


def row(*curves, **more):
    """Results with the AP after each of two epochs of 50 steps, of each seed."""
    seeds = {}
    for seed, aps in enumerate(curves):
        curve = {str(epoch): dict(AP=ap, AP50=2 * ap, AP75=ap) for epoch, ap in enumerate(aps, 1)}
        seeds[str(seed)] = dict(scores=curve['2'], curve=curve, steps=100)
    return dict(config='', seeds=seeds, **more)


def test_means_spreads_gains_and_when_they_are_reached():
    heads, alone, taught, single, worse = load_tool('benchmarks/gain.py').table_cells(
        {
            'alone': row((10.0, 30.0), (10.0, 34.0), **{'step, s': dict(median=0.5)}),
            'taught': row((31.0, 36.0), (20.0, 38.0), **{'step, s': dict(median=0.8), 'tax': dict(median=0.5)}),
            'one': row((20.0, 33.0)),
            'worse': row((20.0, 31.0), (20.0, 29.0)),
        }
    )
    costs = ['step, s', 'tax', "steps to the first row's AP", 'seconds']
    assert heads == ['', 'AP', 'AP50', 'AP75', 'gain in AP', *costs, 'seeds']
    # standard deviations of two: difference / sqrt(2)
    assert alone == ['alone', '32.0 ± 2.8', '64.0 ± 5.7', '32.0 ± 2.8', '', '0.50', '', '100', '50', '2']
    # gains 6 and 4: 5 and t(0.975, 1) = 12.71 times their standard error, 1
    assert taught[4:] == ['+5.0 (-7.7 to +17.7)', '0.80', '0.50', '75', '60', '2']
    assert single[1:] == ['33.0', '66.0', '33.0', '+3.0', '', '', '100', '', '1']
    assert worse[4:] == ['-2.0 (-40.1 to +36.1)', '', '', '', '', '2']  # one seed never has it

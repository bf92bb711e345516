"""The table of gains: two tiny trainings, their numbers, and what a second call leaves alone."""

import json
import shutil
import sys

import pytest
import torch
from helpers.distil import distilled_cfg, save_teacher
from helpers.in_process import train_in_this_process
from helpers.tiny import REPO, call_tool, load_tool, tiny_student_cfg, tiny_teacher_cfg


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch):
    """The modules of benchmarks/ import each other by their names."""
    monkeypatch.syspath_prepend(str(REPO / 'benchmarks'))


@pytest.fixture
def in_this_process(monkeypatch):
    """The trainings of a table run here."""
    train_in_this_process(monkeypatch)


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


@pytest.mark.slow
@pytest.mark.usefixtures('in_this_process')
def test_rows_are_trained_once_and_again_when_their_config_changes(table, capsys):
    results = gain(table)
    assert list(results) == ['slow', 'fast']
    assert capsys.readouterr().out.count('seed 3: AP') == 2
    run = results['slow']['seeds']['3']
    assert run['steps'] == 4
    assert list(run['classes']) == ['circle', 'square', 'triangle']
    assert run['scores']['AP'] == pytest.approx(sum(run['classes'].values()) / 3, abs=0.2)  # both are rounded
    assert run['sizes'].keys() <= {'small', 'medium', 'large'}
    report = (table.parent / 'runs' / 'speeds' / 'report.md').read_text()
    assert report.startswith('# fast compared with slow\n\nfast reaches AP ')
    assert '## What a step cost' in report
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


@pytest.mark.slow
def test_results_of_elsewhere_do_not_stand_for_a_training(table):
    """A checkout has the results that were committed, and no trainings."""
    seeds = {seed: {'scores': {'AP': 99.0}} for seed in ('3', '7')}
    other = {'fingerprint': '', 'seeds': {}}  # of a row that another version of the table has
    made_up = {'other': other, 'slow': {'fingerprint': '', 'seeds': seeds, 'tax': {'value': 1.0}}}
    (table.parent / 'speeds.json').write_text(json.dumps(made_up))
    results = gain(table, '--rows', 'slow')
    assert results['slow']['seeds']['3']['scores']['AP'] < 99
    assert list(results['slow']['seeds']) == ['3']  # and none of numbers of another config or teacher
    assert 'tax' not in results['slow']
    assert list(results) == ['slow', 'other']
    assert results['other'] == other


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.slow
def test_an_interrupted_row_is_not_taken_for_finished(table):
    gain(table, '--rows', 'slow')
    mark = table.parent / 'runs' / 'speeds' / 'slow' / 'seed3' / 'gain.json'
    mark.write_text(mark.read_text().replace('true', 'false'))
    (table.parent / 'speeds.json').unlink()
    log = mark.parent / 'console.log'
    before = log.stat().st_size
    gain(table, '--rows', 'slow')
    assert log.stat().st_size > before
    assert 'true' in mark.read_text()


@pytest.mark.usefixtures('in_this_process')
def test_what_the_results_know_is_not_trained_again(table):
    """Trainings lie in a folder that a checkout does not have; results are committed."""
    results = gain(table, '--rows', 'slow')
    shutil.rmtree(table.parent / 'runs')
    assert gain(table, '--rows', 'slow') == results
    assert not list((table.parent / 'runs').rglob('seed*'))  # the report alone is there


@pytest.mark.slow
@pytest.mark.usefixtures('in_this_process')
def test_a_row_may_differ_from_a_config_in_options(table):
    """The same training as with the number in the config."""
    direct = gain(table, '--rows', 'fast')['fast']
    rows = {'fast': dict(config=str(table.parent / 'slow.py'), options={'optim_wrapper.optimizer.lr': 0.02})}
    table.write_text(f"title = 'Speeds'\nseeds = [3]\nrows = {rows}\n")
    (table.parent / 'speeds.json').unlink()
    optional = gain(table, '--rows', 'fast')['fast']
    assert optional['seeds'] == direct['seeds']
    assert optional['options'] == {'optim_wrapper.optimizer.lr': 0.02}


@pytest.fixture
def taught(tiny_set, tmp_path):
    """A table of a student alone, and of the same one with a teacher that is one of two, the other left out."""
    short = {'train_cfg.max_epochs': 1}
    student, teacher = (make(tiny_set, tmp_path, **short) for make in (tiny_student_cfg, tiny_teacher_cfg))
    weights = save_teacher(teacher, tmp_path / 'teacher.pth')
    student.dump(tmp_path / 'alone.py')
    cfg = distilled_cfg(student, None, None)
    del cfg.model.teacher
    cfg.model.teachers = dict(large=dict(config=teacher.to_dict(), checkpoint=str(weights)), other=None)
    cfg.dump(tmp_path / 'taught.py')
    path = tmp_path / 'speeds.py'
    rows = {name: str(tmp_path / f'{name}.py') for name in ('alone', 'taught')}
    path.write_text(f"title = 'Taught'\nseeds = [0]\nrows = {rows}\n")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures('in_this_process')
def test_steps_are_measured_last_and_a_taught_row_has_a_tax(taught, monkeypatch):
    """What is timed are real steps of both rows; the seconds are given, so that the numbers are known."""
    assert not any({'step, s', 'tax'} & row.keys() for row in gain(taught, '--seeds', 0).values())
    timed = []
    given = {'distilled, teacher as it comes': [5.0, 9.0, 6.0], 'student': [2.0, 2.0, 8.0], 'plain teacher': [8.0] * 3}

    def in_turns(works, repeats):
        for (row, kind), work in works.items():
            timed.append((row, kind))
            work()
        return {(row, kind): given['student' if row == 'alone' else kind][:repeats] for row, kind in works}

    load_tool('benchmarks/gain.py')  # finds `meter`, from which it takes what measures
    monkeypatch.setattr(sys.modules['meter'], 'in_turns', in_turns)
    results = gain(taught, '--repeats', 3)
    assert sorted(timed) == [('alone', 'distilled, teacher as it comes'), *(('taught', kind) for kind in sorted(given))]
    assert 'tax' not in results['alone']
    assert results['alone']['step, s'] == dict(value=2.0, low=2.0, high=8.0)
    assert results['taught']['step, s'] == dict(value=6.0, low=5.0, high=9.0)
    assert results['taught']['tax']['value'] == 0.5  # (6 - 2) / 8
    assert set(results['taught']['tax']) == {'value', 'low', 'high'}


@pytest.mark.usefixtures('in_this_process')
@pytest.mark.slow
def test_a_row_is_trained_again_when_its_teacher_has_other_weights(taught):
    results = gain(taught, '--seeds', 0)
    checkpoint = torch.load(taught.parent / 'teacher.pth')
    torch.save({**checkpoint, 'meta': dict(time='later')}, taught.parent / 'teacher.pth')
    assert gain(taught, '--seeds', 0) == results  # the same weights
    checkpoint['state_dict']['neck.fpn_convs.0.conv.bias'] += 1
    torch.save(checkpoint, taught.parent / 'teacher.pth')
    other = gain(taught, '--seeds', 0)
    assert other['alone'] == results['alone']
    assert other['taught']['fingerprint'] != results['taught']['fingerprint']
    assert other['taught']['seeds'] != results['taught']['seeds']


def test_missing_weights_are_named_before_anything_is_trained(table):
    config = table.parent / 'fast.py'
    config.write_text(config.read_text() + "\nload_from = 'work_dirs/nowhere.pth'\n")
    with pytest.raises(SystemExit, match=rf'(?s)there is no\n  work_dirs/nowhere\.pth, for {config}\nRun `make demo`'):
        gain(table)
    assert not (table.parent / 'runs').exists()


def test_no_row_is_compared_with_numbers_of_another_config(table):
    slow = dict(fingerprint='of before', seeds={'3': dict(scores=dict(AP=1.0))})
    (table.parent / 'speeds.json').write_text(json.dumps(dict(slow=slow)))
    with pytest.raises(SystemExit, match="the row 'slow', with which the others are compared, was trained by another"):
        gain(table, '--rows', 'fast')


def test_a_row_of_another_config_is_left_out_of_the_table(table, capsys):
    gain_py = load_tool('benchmarks/gain.py')
    read = gain_py.read_table(table)
    current = gain_py.recipe_of(read.rows['slow']).fingerprint
    content = dict(slow=dict(fingerprint=current), fast=dict(fingerprint='of before'))
    assert list(gain_py.rows_of_now(content, read, {})) == ['slow']
    assert 'fast is left out: its config, teacher or annotations have changed since' in capsys.readouterr().out
    config = table.parent / 'fast.py'
    config.write_text(config.read_text() + "\nload_from = 'work_dirs/nowhere.pth'\n")
    assert list(gain_py.rows_of_now(content, gain_py.read_table(table), {})) == ['slow', 'fast']
    assert 'fast was not compared with its config: there is no work_dirs/nowhere.pth' in capsys.readouterr().out


def test_a_row_is_known_by_the_file_of_its_teacher_and_by_its_annotations(taught, tiny_set):
    folder, gain_py = taught.parent, load_tool('benchmarks/gain.py')
    teacher = folder / 'teacher.py'
    teacher.write_text("model = dict(type='FasterRCNN', data_preprocessor=dict(type='DetDataPreprocessor', mean=[0]))")
    config = folder / 'by_file.py'
    named = {'model.teachers.large.config': str(teacher)}
    config.write_text((folder / 'taught.py').read_text())

    def recipe():
        return gain_py.Recipe(str(config), tuple(named.items()))

    row = dict(fingerprint=recipe().fingerprint, inputs=gain_py.inputs_of(recipe()))
    assert gain_py.is_of(row, recipe())
    teacher.write_text(teacher.read_text().replace('mean=[0]', 'mean=[100]'))
    assert recipe().fingerprint == row['fingerprint']  # of the weights alone
    assert not gain_py.is_of(row, recipe())
    assert gain_py.is_of(dict(fingerprint=row['fingerprint']), recipe())  # what older results do not know

    row = dict(fingerprint=recipe().fingerprint, inputs=gain_py.inputs_of(recipe()))
    annotations, *_ = gain_py.annotations_of(recipe().read())
    text = annotations.read_text()
    try:
        annotations.write_text(text + ' ')
        assert not gain_py.is_of(row, recipe())
    finally:
        annotations.write_text(text)


def test_a_broken_file_of_results_is_refused_and_stays(table):
    results = table.parent / 'speeds.json'
    results.write_text('{"slow": {}}\n<<<<<<< HEAD\n')
    with pytest.raises(SystemExit, match=r'speeds\.json is no JSON .*: mend it, or move it away'):
        gain(table, '--rows', 'slow')
    assert results.read_text().endswith('<<<<<<< HEAD\n')


def test_an_unknown_row_is_refused(table):
    with pytest.raises(SystemExit, match=r"the table has no row 'medium'\. Known are fast, slow"):
        gain(table, '--rows', 'medium')


def test_a_missing_table_is_refused_with_those_there_are(table):
    with pytest.raises(SystemExit) as caught:
        gain(table.parent / 'sped.py')
    there = sorted(path.name for path in (REPO / 'benchmarks' / 'tables').glob('*.py'))
    message = f'\nerror: there is no table {table.parent}/sped.py. benchmarks/tables has {", ".join(there)}'
    assert str(caught.value) == message
    with pytest.raises(SystemExit, match=r'slow\.py is no table: it has no title and no seeds and no rows\. bench'):
        gain(table.parent / 'slow.py')


def test_a_row_whose_config_is_missing_is_refused(table):
    (table.parent / 'slow.py').unlink()
    with pytest.raises(SystemExit, match=r"^\nerror: there is no config '.*slow\.py' \(looked at "):
        gain(table)


@pytest.mark.parametrize(
    'metric', ["dict(_delete_=True, type='VOCMetric')", "dict(metric='proposal')", "dict(prefix='mine')", 'None']
)
def test_a_validation_without_the_ap_of_coco_is_refused_before_anything_is_trained(table, metric):
    (table.parent / 'base.py').write_text((table.parent / 'fast.py').read_text())
    (table.parent / 'fast.py').write_text(f"_base_ = 'base.py'\nval_evaluator = {metric}\n")
    with pytest.raises(
        SystemExit, match=r"validates with .*coco/bbox_mAP.*Set val_evaluator=dict\(type='Coco"
    ) as caught:
        gain(table)
    assert len(str(caught.value).splitlines()) == 2
    assert not (table.parent / 'runs').exists()


@pytest.mark.slow
def test_a_training_that_fails_says_where_its_reason_stands(table):
    config = table.parent / 'slow.py'
    config.write_text(config.read_text().replace("type='FasterRCNN'", "type='FasterRCN'"))
    with pytest.raises(
        SystemExit, match=r'(?s)slow, seed 3 failed \(exit code 1\)\. The end of .*console\.log:.* no type .FasterRCN.'
    ):
        gain(table)


def row(*curves, **more):
    """Results with the AP after each of two epochs of 50 steps, of each seed."""
    seeds = {}
    for seed, aps in enumerate(curves):
        curve = {str(epoch): dict(AP=ap, AP50=2 * ap, AP75=ap) for epoch, ap in enumerate(aps, 1)}
        seeds[str(seed)] = dict(scores=curve['2'], curve=curve, steps=100)
    return dict(config='', seeds=seeds, **more)


def test_means_spreads_gains_and_when_they_are_reached():
    tax = dict(value=0.5, low=0.375, high=0.75)
    content = {
        'alone': row((10.0, 30.0), (10.0, 34.0), **{'step, s': dict(value=0.5)}),
        'taught': row((31.0, 36.0), (20.0, 38.0), **{'step, s': dict(value=0.8), 'tax': tax}),
        'one': row((20.0, 33.0)),
        'worse': row((20.0, 31.0), (20.0, 29.0)),
    }
    definition = dict(rows=dict.fromkeys(content), quoted={"the paper's": {'taught': 40.0}})
    heads, alone, taught, single, worse = load_tool('benchmarks/gain_table.py').table_cells(content, definition)
    costs = ['step, s', 'tax', "steps to the first row's AP", 'seconds']
    assert heads == ['', 'AP', 'AP50', 'AP75', 'gain in AP', *costs, 'seeds', "the paper's"]
    # standard deviations of two: difference / sqrt(2)
    assert alone == ['alone', '32.0 ± 2.8', '64.0 ± 5.7', '32.0 ± 2.8', '', '0.50', '', '100', '50', '2', '']
    # gains 6 and 4: 5 and t(0.975, 1) = 12.71 times their standard error, 1
    assert taught[4:] == ['+5.0 (-7.7 to +17.7)', '0.80', '0.50 (0.38 to 0.75)', '75', '60', '2', '40.0']
    assert single[1:] == ['33.0', '66.0', '33.0', '+3.0', '', '', '100', '', '1', '']
    assert worse[4:] == ['-2.0 (-40.1 to +36.1)', '', '', '', '', '2', '']  # one seed never has it


def test_what_one_row_has_more_than_another_is_paired_by_seed():
    content = {'alone': row((0, 30.0), (0, 34.0)), 'a': row((0, 36.0), (0, 38.0), (0, 50.0)), 'b': row((0, 36.0))}
    definition = dict(rows=dict.fromkeys(content), differences=[('a', 'alone'), ('b', 'a'), ('b', 'unknown')])
    heads, *cells = load_tool('benchmarks/gain_table.py').difference_cells(content, definition)
    assert heads == ['', 'AP more', 'seeds']
    # differences 6 and 4: 5 and t(0.975, 1) = 12.71 times their standard error, 1; the third seed has no pair
    assert cells == [['a than alone', '+5.0 (-7.7 to +17.7)', '2'], ['b than a', '+0.0', '1']]

    for name, aps in dict(alone=(10.0, 20.0), a=(11.0, 23.0, 0.0)).items():
        for run, ap in zip(content[name]['seeds'].values(), aps, strict=True):
            run['classes'] = dict(cell=ap)
    heads, *cells = load_tool('benchmarks/gain_table.py').difference_cells(content, definition)
    assert heads == ['', 'AP more', 'cell', 'seeds']
    assert [row[2] for row in cells] == ['+2.0 (-10.7 to +14.7)', '']  # one of the runs does not know its classes


def test_goals_stand_beside_the_interval_of_the_mean():
    content = {name: row((0, 36.0), (0, 38.0)) for name in ('low', 'within', 'high')}
    definition = dict(rows=dict.fromkeys(content), goals=[('low', 49.8), ('within', 49.6), ('high', 24.2)])
    heads, *cells = load_tool('benchmarks/gain_table.py').goal_cells(content, definition)
    assert heads == ['', 'goal', 'AP', 'its interval', 'seeds']
    # 37 and t(0.975, 1) = 12.71 times the standard error, 1
    assert cells == [
        ['low', '49.8', '37.0', '24.3 to 49.7, below the goal', '2'],
        ['within', '49.6', '37.0', '24.3 to 49.7, holds the goal', '2'],
        ['high', '24.2', '37.0', '24.3 to 49.7, above the goal', '2'],
    ]


def test_a_row_that_inherits_is_named_as_such(taught):
    gain_py, config = load_tool('benchmarks/gain.py'), str(taught.parent / 'taught.py')
    option = {'model.teachers.large.inherit': True}
    assert gain_py.describe(gain_py.Recipe(config)) == dict(config=config)
    described = gain_py.describe(gain_py.Recipe(config, tuple(option.items())))
    assert described == dict(config=config, options=option, inherits=True)

    content = {'alone': row((10.0, 30.0)), 'taught': row((31.0, 36.0), inherits=True)}
    _, alone, other = load_tool('benchmarks/gain_table.py').table_cells(content, dict(rows=dict.fromkeys(content)))
    assert (alone[0], other[0]) == ('alone', 'taught (inherits)')
    assert other[4] == '+6.0'  # it is compared all the same


def test_nothing_is_compared_with_a_row_that_is_not_the_first():
    definition = dict(rows=dict(alone='', taught=''))
    _, taught = load_tool('benchmarks/gain_table.py').table_cells({'taught': row((31.0, 36.0))}, definition)
    assert taught == ['taught', '36.0', '72.0', '36.0', '', '', '', '', '', '1']

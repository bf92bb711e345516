"""tools/compare.py: trainings that are compared, interrupted and continued, and the table of their numbers."""

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.in_process import train_in_this_process
from helpers.tiny import REPO, call_tool, run_tool
from helpers.training import assert_same_weights, distilled_run
from mmengine.config import Config
from scipy import stats

NAMES = {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50', 'AP75': 'coco/bbox_mAP_75'}


def last_scores(work_dir):
    """Of the last validation, as mmengine's backend has kept them."""
    lines = max(work_dir.glob('2*/vis_data/scalars.json')).read_text().splitlines()
    last = json.loads(lines[-1])
    return {name: 100 * last[key] for name, key in NAMES.items()}


@pytest.fixture(scope='module')
def folder(compared):
    """Two configs that differ in their learning rate, compared in `out`."""
    return compared


def compare(folder, *options):
    call_tool('tools/compare.py', folder / 'slow.py', folder / 'fast.py', '--no-report', *options)


def test_the_table_has_the_numbers_of_the_logs(folder):
    slow, fast = (last_scores(folder / 'out' / name / 'seed0') for name in ('slow', 'fast'))
    rows = json.loads((folder / 'out' / 'table.json').read_text())
    for name, scores in (('slow', slow), ('fast', fast)):
        assert rows[name]['seeds']['0']['scores'] == pytest.approx(scores, abs=0.01)
        assert rows[name]['seeds']['0']['steps'] == 1
    heads, _, first, second, empty, note = (folder / 'out' / 'table.md').read_text().splitlines()
    assert heads == '|  | AP | AP50 | AP75 | gain in AP | parameters |'
    parameters = rows['slow']['parameters'] / 1e6
    assert first == f'| slow | {" | ".join(f"{slow[name]:.1f}" for name in NAMES)} |  | {parameters:.2f} M |'
    gain = f'{fast["AP"] - slow["AP"]:+.1f}' if f'{fast["AP"]:.1f} {slow["AP"]:.1f}' != '0.0 0.0' else ''
    assert f'| {gain} | {parameters:.2f} M |' in second
    assert empty == ''
    assert note == 'Not alike: fast differs from slow in optim_wrapper.optimizer.lr 0.001 -> 0.02.'


@pytest.mark.slow
def test_finished_trainings_have_a_report_without_their_configs(folder, tmp_path, capsys):
    """Nothing is trained, and nothing is written but the report."""
    work_dirs = {path: path.stat().st_mtime_ns for path in (folder / 'out').rglob('*')}
    call_tool('tools/compare.py', folder / 'out' / 'slow', folder / 'out' / 'fast' / 'seed0', '--out', tmp_path / 'r')
    assert sorted(path.name for path in (tmp_path / 'r').iterdir()) == [
        '.lock',
        'looked.json',
        'report.html',
        'report.md',
    ]
    assert {path: path.stat().st_mtime_ns for path in (folder / 'out').rglob('*')} == work_dirs
    page, text = ((tmp_path / 'r' / name).read_text() for name in ('report.html', 'report.md'))
    first, _, warning, _, verdict, *_ = text.splitlines()
    assert first == '# seed0 compared with slow'
    assert warning.endswith('seed0 differs from slow in optim_wrapper.optimizer.lr 0.001 -\\> 0.02.**')
    slow, fast = (last_scores(folder / 'out' / name / 'seed0')['AP'] for name in ('slow', 'fast'))
    found = f'{fast:.1f} {slow:.1f}' != '0.0 0.0'
    ends = f': a gain of {fast - slow:+.1f}. One seed has' if found else '. Neither finds anything'
    assert verdict.startswith(f'seed0 reaches AP {fast:.1f}, slow {slow:.1f}{ends}')
    assert page.count('data:image/webp') == 2 * 3  # both pictures: the truth and two students
    # the configs do not log the AP of each class, so all pictures were tested again
    objects = json.loads((folder / 'set' / 'val.json').read_text())['annotations']
    names = sorted({('circle', 'square', 'triangle')[each['category_id'] - 1] for each in objects})
    _, by_class = text.split('## By class')
    assert re.findall(r'^\| (\w+) \|', by_class.partition('##')[0], re.MULTILINE) == names
    assert 'seed0 reaches AP' in capsys.readouterr().out
    call_tool('tools/compare.py', folder / 'out' / 'slow', '--out', tmp_path / 'r', '--no-pictures')
    page = (tmp_path / 'r' / 'report.html').read_text()
    assert 'data:image/webp' not in page
    assert 'By class' in page


def test_configs_and_folders_are_not_compared(folder, tmp_path):
    with pytest.raises(SystemExit, match=r'out/slow is the folder of a training, and others are configs: name the one'):
        call_tool('tools/compare.py', folder / 'out' / 'slow', folder / 'fast.py', '--out', tmp_path / 'r')
    assert not (tmp_path / 'r').exists()


def test_what_is_finished_is_not_trained_again(folder, capsys):
    """Nothing is started: the processes of this call would be real ones, and leave a log."""
    logs = {path: path.read_text() for path in (folder / 'out').glob('*/*/console.log')}
    assert len(logs) == 2
    compare(folder, '--out', folder / 'out')
    assert {path: path.read_text() for path in (folder / 'out').glob('*/*/console.log')} == logs
    said = capsys.readouterr().out
    assert re.search(r'slow, seed 0: AP \S+ \(trained before, in .*/out/slow/seed0\)', said)
    assert said.endswith(f'It is in {folder}/out: table.md, table.json\n')


def test_what_an_earlier_comparison_has_is_taken_from_there(folder):
    compare(folder, '--out', folder / 'second', '--from', folder / 'out')
    assert sorted(path.name for path in (folder / 'second').iterdir()) == ['.lock', 'table.json', 'table.md']
    assert (folder / 'second' / 'table.md').read_text() == (folder / 'out' / 'table.md').read_text()


def test_what_was_trained_with_another_config_is_refused_and_kept(folder, tmp_path):
    shutil.copytree(folder / 'out', tmp_path / 'out')
    for name in ('slow', 'fast'):
        (tmp_path / f'{name}.py').write_text((folder / f'{name}.py').read_text().replace('lr=0.02', 'lr=0.03'))
    with pytest.raises(SystemExit, match=r'out/fast/seed0 was trained with another config.*: move it away, or choose'):
        compare(tmp_path, '--out', tmp_path / 'out')
    assert (tmp_path / 'out' / 'fast' / 'seed0' / 'epoch_1.pth').exists()
    assert (tmp_path / 'out' / 'table.md').read_text() == (folder / 'out' / 'table.md').read_text()


# Real processes.


@pytest.fixture
def pair(tmp_path, tiny_set):
    """A student alone and distilled, three epochs of four steps with random augmentation."""
    cfg = distilled_run(tmp_path, tiny_set, **{'train_cfg.max_epochs': 3})
    student = Config.fromfile(tmp_path / 'distilled.py')
    student.model.type = 'FasterRCNN'
    del student.model.teacher, student.model.distillers
    student.dump(tmp_path / 'student.py')
    assert cfg.train_cfg.max_epochs == 3
    return [tmp_path / 'student.py', tmp_path / 'distilled.py']


def start(*arguments):
    """A comparison that goes on beside the test."""
    command = [sys.executable, REPO / 'tools' / 'compare.py', *arguments]
    return subprocess.Popen(
        [str(each) for each in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_for(path):
    for _ in range(6000):
        if path.exists():
            return
        time.sleep(0.05)
    pytest.fail(f'there is no {path}')


def processes_in(folder):
    """The ids of processes that were told of a folder."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):  # it has just ended
            found += [int(entry.name)] if str(folder) in (entry / 'cmdline').read_text() else []
    return found


@pytest.mark.slow
def test_a_comparison_that_is_interrupted_twice_ends_with_the_same_bits(pair, tmp_path, monkeypatch):
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    with monkeypatch.context() as patch:
        train_in_this_process(patch)
        call_tool('tools/compare.py', *pair, '--seeds', 2, '--out', whole, '--no-report')

    first = start(*pair, '--seeds', 2, '--out', out)
    wait_for(out / 'student' / 'seed0' / 'epoch_1.pth')
    with pytest.raises(SystemExit, match=f'error: another command, or a training that one began, works in {out}. Wait'):
        call_tool('tools/compare.py', *pair, '--seeds', 2, '--out', out)
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=100)
    assert said.endswith('\nInterrupted. The same command goes on from here.\n')
    assert first.returncode == 1
    assert processes_in(out) == []
    assert not (out / 'student' / 'seed0' / 'epoch_3.pth').exists()

    again = start(*pair, '--seeds', 2, '--out', out)
    wait_for(out / 'distilled' / 'seed0' / 'epoch_1.pth')
    (training,) = [pid for pid in processes_in(out / 'distilled') if pid != again.pid]
    os.kill(training, signal.SIGKILL)
    said, _ = again.communicate(timeout=100)
    assert 'error: distilled, seed 0 was ended by signal 9. The end of' in said
    assert said.endswith('The same command as before continues from here\n')

    last = run_tool(['tools/compare.py', *pair, '--seeds', '2', '--out', out]).stdout
    assert re.search(r'student, seed 0: AP \S+ \(trained before', last)
    assert last.count('(trained, in') == 3
    shown = re.findall(r'^  (\w+, seed \d): epoch (\d) of 3, loss \S+, AP \S+, \S+ left', last, re.MULTILINE)
    assert set(shown) > {(f'{name}, seed 1', epoch) for name in ('student', 'distilled') for epoch in '123'}
    for name in ('student', 'distilled'):
        for seed in (0, 1):
            place = f'{name}/seed{seed}/epoch_3.pth'
            assert_same_weights(out / place, whole / place)
    assert (out / 'table.md').read_text() == (whole / 'table.md').read_text()
    assert 'compared with student' in (out / 'report.html').read_text()

    scores = {name: [last_scores(out / name / f'seed{seed}') for seed in (0, 1)] for name in ('student', 'distilled')}
    gains = [taught['AP'] - alone['AP'] for taught, alone in zip(scores['distilled'], scores['student'], strict=True)]
    mean, error = statistics.mean(gains), statistics.stdev(gains) / 2**0.5
    reach = stats.t.ppf(0.975, 1) * error
    *_, student, distilled = (out / 'table.md').read_text().splitlines()
    aps = [each['AP'] for each in scores['student']]
    assert student.startswith(f'| student | {statistics.mean(aps):.1f} ± {statistics.stdev(aps):.1f} | ')
    assert f' | {mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f}) | ' in distilled
    assert distilled.endswith(' | 2 |')


@pytest.mark.slow
def test_two_ranks_and_tools_where_mim_installs_them(pair, tmp_path):
    """As tools/dist_train.sh trains: two pictures a rank. The tools lie beside each other, wherever that is."""
    tools = tmp_path / '.mim' / 'tools'
    shutil.copytree(REPO / 'tools', tools, ignore=shutil.ignore_patterns('__pycache__'))
    environment = {'PYTHONPATH': str(REPO), 'CUDA_VISIBLE_DEVICES': ''}
    run_tool([tools / 'compare.py', pair[0], '--gpus', '2', '--out', 'out'], cwd=tmp_path, env=environment)
    row = json.loads((tmp_path / 'out' / 'table.json').read_text())['student']
    assert row['seeds']['0']['steps'] == 6  # 3 epochs of 8 pictures
    assert row['seeds']['0']['work_dir'] == 'out/student/seed0'

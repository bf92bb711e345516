"""tools/distill.py from outside: from a VOC folder to configs that check, train and are left alone."""

from __future__ import annotations

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
from helpers import tiny_student_cfg, tiny_teacher_cfg, write_tiny_coco
from helpers.distil import save_teacher
from helpers.tiny import REPO, call_tool, load_tool, run_tool
from mmengine.config import Config
from test_datasets.own_layouts import voc

#: A step, its validation, and nothing for a person to wait for.
SMALL = ('train_cfg.max_epochs=1', 'train_dataloader.batch_size=5')


@pytest.fixture
def call():
    return partial(call_tool, 'tools/distill.py')


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A student's config, a teacher's and its checkpoint, and a set in VOC's folders, in the working directory."""
    monkeypatch.chdir(tmp_path)
    classes = write_tiny_coco(tmp_path / 'drawn', 1, 1, classes=('cat', 'dog'))
    tiny_student_cfg(classes, 'unused').dump('student.py')
    teacher = tiny_teacher_cfg(classes, 'unused')
    teacher.dump('teacher.py')
    save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta=dict(classes=('cat', 'dog')))
    voc(tmp_path / 'set')
    return ['student.py', 'teacher.py', 'teacher.pth', '--data', 'set', '--method', 'chen2017', '--out', 'out']


def test_from_a_folder_to_a_training(call, pair, capsys):
    call(*pair, '--dry-run', '--seeds', '3', '--no-pictures')
    said = capsys.readouterr().out.splitlines()
    assert 'boxes by class: 5 cat, 2 dog' in said
    assert 'train on train, validate on val, test on val' in said
    assert said[said.index('out/student.py: written') + 1] == 'out/distilled.py: written'
    assert 'pictures: resized to 64x64 for the student, and the teacher sees the same; ' in '\n'.join(said)
    commands = [shlex.split(line) for line in said[said.index('Next:') + 1 :]]
    assert [Path(words[1]) for words in commands] == [
        REPO / 'tools' / f'{tool}.py' for tool in ('check', 'compare', 'export_student', 'test')
    ]
    assert commands[1][2:] == ['out/student.py', 'out/distilled.py', '--out', 'out', '--seeds', '3', '--no-pictures']
    call_tool('tools/train.py', 'out/distilled.py', '--work-dir', 'run', '--cfg-options', *SMALL)
    assert Path('run/epoch_1.pth').is_file()
    log = next(Path('run').glob('*/*.log')).read_text()
    assert 'hint.loss' in log
    assert 'coco/bbox_mAP: ' in log


def test_the_files_belong_to_the_user(call, pair, capsys):
    call(*pair, '--dry-run')
    path = Path('out/distilled.py')
    path.write_text(path.read_text().replace('mu=0.5', 'mu=0.8'))
    before = {each: each.read_bytes() for each in Path('out').iterdir()}
    call(*pair, '--dry-run')
    assert 'out/distilled.py: used as it stands, which is not as it would be written now' in capsys.readouterr().out
    with pytest.raises(
        SystemExit, match=r"error: out was made with methods \['chen2017'\], not \['pkd'\]: name another"
    ):
        call(*(word if word != 'chen2017' else 'pkd' for word in pair))
    assert {each: each.read_bytes() for each in Path('out').iterdir()} == before
    assert Config.fromfile(path).model.distillers.rpn.mu == 0.8


def test_the_student_alone_needs_no_teacher_which_may_come_later(call, pair, capsys):
    alone = ['student.py', '--data', 'set', '--out', 'out', '--only', 'student', '--dry-run']
    call(*alone)
    said = capsys.readouterr().out.splitlines()
    assert sorted(path.name for path in Path('out').iterdir()) == ['.lock', 'distill.json', 'student.py']
    assert 'pictures: resized to 64x64 for the student' in said
    (line,) = said[said.index('Next:') + 1 :]
    assert shlex.split(line)[2:] == ['out/student.py', '--out', 'out']
    text = Path('out/student.py').read_text()
    call(*pair, '--dry-run')
    said = capsys.readouterr().out.splitlines()
    assert said[said.index('out/student.py: used as it stands') + 1] == 'out/distilled.py: written'
    assert Path('out/student.py').read_text() == text
    call(*alone)
    for missing in (['--only', 'distilled'], [], ['--method', 'pkd'], ['--only', 'student', '--method', 'pkd']):
        with pytest.raises(SystemExit) as caught:
            call('student.py', '--data', 'set', '--out', 'other', *missing)
        assert caught.value.code == 2
        assert 'name TEACHER and --method' in capsys.readouterr().err
    assert not Path('other').exists()


def test_what_is_not_there_is_one_message(call, pair):
    for index, said in (
        (1, r"error: TEACHER: there is no config 'nix'.* Correct the path$"),
        (2, r"error: TEACHER\.pth: there is no checkpoint 'nix'.* Correct the path$"),
        (4, r'error: there is no folder .*/nix$'),
    ):
        args = [word if number != index else 'nix' for number, word in enumerate(pair)]
        with pytest.raises(SystemExit, match=said):
            call(*args)
    Path('teacher.pth').write_bytes(b'\xff\xd8\xff')
    with pytest.raises(SystemExit, match=r'error: .*teacher\.pth'):
        call(*pair)
    assert not Path('out').exists()


def test_commands_are_those_of_the_place(monkeypatch, tmp_path):
    tool = load_tool('tools/distill.py')
    monkeypatch.chdir(REPO)
    assert tool.command('train', 'a b.py') == "python tools/train.py 'a b.py'"
    monkeypatch.setattr(tool, '__file__', str(tmp_path / 'mmdet_kd' / '.mim' / 'tools' / 'distill.py'))
    assert tool.commands(Path('out'), ['--gpus', '8', '--auto-scale-lr']) == [
        'mim run mmdet_kd check out/distilled.py --gpus 8',
        'mim run mmdet_kd compare out/student.py out/distilled.py --out out --gpus 8 --auto-scale-lr',
        'mim run mmdet_kd export_student out/distilled.py out/distilled/seed0/epoch_N.pth --out out/exported',
        'mim test mmdet_kd out/exported/student.py --checkpoint out/exported/student.pth',
    ]


@pytest.fixture
def small_pair(pair):
    """The same, trained for one epoch."""
    cfg = Config.fromfile('student.py')
    cfg.train_cfg.max_epochs = 1
    cfg.dump('student.py')
    return pair


@pytest.mark.slow
def test_a_distillation_that_would_be_wasted_is_not_trained(small_pair):
    done = run_tool(['tools/distill.py', *small_pair, '--no-report'], cwd=Path.cwd(), check=False)
    assert done.returncode == 1
    assert 'FAILED  teacher: ' in done.stdout
    assert (
        'error: the training would be wasted, as said above. Edit out/distilled.py, or student.py beside it'
        in done.stderr
    )
    assert not Path('out/student').exists()


@pytest.mark.slow
def test_from_a_folder_to_a_student(small_pair):
    """All stages; then one seed more, an arm from an earlier run, and one arm alone."""
    done = run_tool(['tools/distill.py', *small_pair, '--no-check'], cwd=Path.cwd())
    assert 'A look at' not in done.stdout
    table = Path('out/table.md').read_text()
    assert [line.split('|')[1].strip() for line in table.splitlines()[2:4]] == ['student', 'distilled']
    *_, delivered, tested, verdict, where = done.stdout.splitlines()
    assert delivered.startswith('out/exported/student.py and student.pth: the student of distilled, seed 0, for MMDet')
    assert tested.startswith('Tested by MMDetection alone on set/coco/val.json: AP ')
    assert verdict.startswith('distilled reaches AP ')
    assert where == 'Report: out/report.html and report.md'
    report, page = (Path('out', name).read_text() for name in ('report.md', 'report.html'))
    assert report.splitlines()[2] == verdict  # the arms are alike: no warning before it
    assert 'taught by teacher through hint (FeatureDistiller), rpn (RPNDistiller), roi (RoIDistiller)' in report
    assert all(re.search(rf'^\| {name} \|', report, re.MULTILINE) for name in ('cat', 'dog'))  # scores by class
    assert re.search(r'^\| teacher \| [\d.]+ M \| [\d.]+ G \|', report, re.MULTILINE)
    assert re.search(r'^\| teacher \| [\d.]+ \| [\d.]+ \| [\d.]+ \|  \| [\d.]+ M \|$', report, re.MULTILINE)  # its AP
    pictures = page.count('<h3>')
    assert pictures >= 1
    assert page.count('data:image/webp') == 4 * pictures  # truth, alone, distilled, teacher
    assert 'export_student.py out/distilled.py out/distilled/seed0/epoch_1.pth --out out/exported' in report
    exported = Config.fromfile('out/exported/student.py')
    assert not exported.get('custom_imports')
    assert exported.model.roi_head.bbox_head.num_classes == 2
    runs = {path: path.stat().st_mtime_ns for path in Path('out').glob('*/seed0/*.pth')}
    assert len(runs) >= 2

    log = Path('out/exported/test.log').read_text()
    done = run_tool(['tools/distill.py', *small_pair, '--no-report'], cwd=Path.cwd())
    assert Path('out/exported/test.log').read_text() == log  # what is tested is not tested again
    assert tested in done.stdout.splitlines()
    assert done.stdout.count('trained before, in out/') == 2
    assert 'A look at' not in done.stdout  # what is trained is not looked at again
    assert {path: path.stat().st_mtime_ns for path in runs} == runs

    other = [{'chen2017': 'pkd', 'out': 'other'}.get(word, word) for word in small_pair]
    done = run_tool(['tools/distill.py', *other, '--no-check', '--from', 'out', '--no-report'], cwd=Path.cwd())
    assert 'trained before, in out/student/seed0' in done.stdout
    assert 'trained, in other/distilled/seed0' in done.stdout
    assert not Path('other/student').exists()


@pytest.mark.slow
def test_one_of_the_two_alone(small_pair):
    done = run_tool(['tools/distill.py', *small_pair, '--only', 'student', '--no-report'], cwd=Path.cwd())
    assert 'trained, in out/student/seed0' in done.stdout
    assert 'A look at' not in done.stdout
    assert not Path('out/distilled').exists()
    assert not Path('out/exported').exists()

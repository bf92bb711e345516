"""tools/dev/reproduce.sh: the papers' experiments, in order, with the papers' numbers; ours go into the metafiles."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import run_tool, tiny_student_cfg, tiny_teacher_cfg
from helpers.distil import distilled_cfg
from helpers.tiny import REPO, call_tool, load_tool
from mmengine.config import Config

TOOL = 'tools/dev/reproduce.py'
HEAD = 'Collections:\n  - Name: Mine  # as a person wrote it\n    README: mine.md\n\n# Said by hand.\n'


@pytest.fixture(scope='module')
def tool():
    return load_tool(TOOL)


@pytest.fixture(scope='module')
def steps(tool):
    """Those of the repository."""
    return tool.Experiments(tool.all_metafiles()).steps()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory of its own, and one process a training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('GPUS', '0')
    monkeypatch.setenv('DATA', 'sets')
    (tmp_path / 'sets' / 'coco').mkdir(parents=True)
    return tmp_path


def model(name, reported=None, ours=None, needs=(), data='COCO', **paper):
    entry = {'Name': name, 'Config': f'{name}.py', 'Metadata': {'Training Data': data, 'Epochs': 1}}
    if needs:
        entry['Needs'] = list(needs)
    if reported is not None:
        entry['Reported'] = {'By': 'A and B', 'Metric': 'box AP50', 'Value': reported, 'Tolerance': 0.5, **paper}
    if ours is not None:
        entry['Results'] = [{'Task': 'Object Detection', 'Dataset': data, 'Metrics': {'box AP50': ours}}]
    return entry


def write(*models):
    Path('metafile.yml').write_text(HEAD + yaml.safe_dump({'Models': list(models)}, sort_keys=False))
    return Path('metafile.yml')


def reproduce(*args):
    call_tool(TOOL, '--metafile', 'metafile.yml', *args)


def of_readme(heads):
    """A table of the papers' numbers in the README of DICOD: (row, column) -> number."""
    lines = (REPO / 'configs' / 'dicod' / 'README.md').read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if line.startswith('|')]
    start = next(number for number, row in enumerate(rows) if set(heads) <= set(row))
    size = next(number for number, row in enumerate(rows[start + 2 :]) if len(row) != len(rows[start]) or '-' in row)
    body = rows[start + 2 : start + 2 + size]
    return {
        (row[0], head): float(cell)
        for row in body
        for head, cell in zip(rows[start][1:], row[1:], strict=True)
        if re.fullmatch(r'[\d.]+', cell)
    }


def test_every_number_is_that_of_the_tables_of_the_papers(steps):
    """As the READMEs quote them, whose tables are written by hand; and no other number is said to be a paper's."""
    alone = {
        'SSD300': 'ssd300_vgg16_2x_coco',
        'SSD512': 'ssd512_vgg16_2x_coco',
        'Faster R-CNN QR50': 'faster-rcnn_qr50_fpn_1x_coco',
        'Faster R-CNN MobileNetV2': 'faster-rcnn_mobilenetv2_fpn_1x_coco',
    }
    taught = {
        'SSD300': 'ssd300-vgg16-from-classifier-r50-ssd_2x_coco',
        'SSD512': 'ssd512-vgg16-from-classifier-r50-ssd_2x_coco',
        'Faster R-CNN QR50': 'faster-rcnn-qr50-fpn-from-classifier-r50_1x_coco',
        'Faster R-CNN MobileNetV2': 'faster-rcnn-mobilenetv2-fpn-from-classifier-r50_1x_coco',
        'Faster R-CNN R50': 'faster-rcnn-r50-fpn-from-classifier-r50_2x_coco',
        'RetinaNet R50': 'retinanet-r50-fpn-from-classifier-r50_2x_coco',
    }
    second = {
        'SSD512': 'retinanet-r101-fpn',
        'Faster R-CNN QR50': 'r50-fpn',
        'Faster R-CNN MobileNetV2': 'r50-fpn',
        'Faster R-CNN R50': 'cascade-mask-rcnn-x101-dconv-fpn',
        'RetinaNet R50': 'x101-64x4d-fpn',
    }
    from_r101 = {
        'Faster R-CNN R50': 'faster-rcnn-r50-fpn-from-r101-fpn_2x_coco',
        'RetinaNet R50': 'retinanet-r50-fpn-from-r101-fpn_2x_coco',
    }
    expected = {}
    parts = {'+ KD-cls': 'dicod-cls', '+ KD-loc': 'dicod-loc', 'all': 'dicod'}
    for (student, column), value in of_readme(['base', '+ KD-cls']).items():
        if column == 'base':
            expected[alone[student]] = value
        elif column != '+ KD-loc on pixels':  # has no config
            expected[f'{parts[column]}_{taught[student]}'] = value
    against = of_readme(['Faster R-CNN R50', 'RetinaNet R50'])
    for (method, student), value in against.items():
        if method == 'base':
            assert expected.get(alone.get(student), value) == value  # those of mmdet are not on the list
            continue
        if method == 'DICOD':
            name = f'dicod_{taught[student]}'
        elif method in ('FKD', 'DICOD + FKD'):
            pupil, _, rest = taught[student].partition('-from-')
            classifier, _, schedule = rest.partition('_')
            prefix, first = ('fkd', '') if method == 'FKD' else ('dicod-fkd', f'{classifier}-and-')
            name = f'{prefix}_{pupil}-from-{first}{second[student]}_{schedule}'
        else:
            name = f'{method.lower().replace(" ", "")}_{from_r101[student]}'
        assert expected.setdefault(name, value) == value
    assert len(against) == 25
    expected |= dict.fromkeys(('classifier_r50-ssd_2x_coco', 'classifier_r50_1x_coco'), 80.3)

    pair = 'faster-rcnn-alexnet-tucker37.5-from-vgg16'
    quoted = runpy.run_path(str(REPO / 'benchmarks' / 'tables' / 'chen2017-ablation.py'))['quoted']
    rows = {'L2': 'l2', 'L2-B': 'l2-bounded', 'CLS': 'cls', 'CLS-W': 'cls-weighted', 'Hints-A': 'hint-adapted'}
    for row, part in rows.items():
        expected[f'chen2017-{part}_{pair}_4e_voc07'] = quoted["the paper's, VOC07"][row]
        expected[f'chen2017-{part}_{pair}_2x_kitti'] = quoted["the paper's, KITTI"][row]
    expected |= {
        'faster-rcnn_alexnet-tucker37.5_4e_voc07': quoted["the paper's, VOC07"]['none'],
        f'chen2017_{pair}_4e_voc07': quoted["the paper's, VOC07"]['all'],
        # in no table of ours
        'faster-rcnn_alexnet_4e_voc07': 57.2,
        'faster-rcnn_alexnet-tucker20_4e_voc07': 30.3,
        'faster-rcnn_alexnet-tucker37.5_1x_coco': 25.4,
        f'chen2017_{pair}_1x_coco': 28.3,
    }
    assert {str(step): step.reported['Value'] for step in steps if step.reported} == expected
    assert all(0 < step.reported['Tolerance'] <= 2 for step in steps if step.reported)


def test_the_list_is_in_order_and_names_what_exists(steps, monkeypatch, capsys):
    monkeypatch.chdir(REPO)
    monkeypatch.delenv('GPUS', raising=False)
    monkeypatch.delenv('DATA', raising=False)
    call_tool(TOOL, '--list')
    lines = capsys.readouterr().out.splitlines()
    said, commands = lines[::2], [shlex.split(line) for line in lines[1::2]]
    assert len(commands) == len(steps) > 50
    for line, command, step in zip(said, commands, steps, strict=True):
        files = [word for word in command if word.startswith(('configs/', 'tools/'))]
        assert all(Path(file).is_file() for file in files), command
        if step.model:
            assert command == ['bash', 'tools/dist_train.sh', step.model['Config'], '8', '--resume']
        if step.reported:
            value, tolerance = (f'{step.reported[name]:g}' for name in ('Value', 'Tolerance'))
            assert f' {value} (the number of {step.reported["By"]}), tolerance {tolerance}, ours ' in line
    made = [step.leaves for step in steps]
    assert len(set(made)) == len(made)
    for number, step in enumerate(steps):
        assert set(step.needs) <= set(made[:number])
    kinds = ['distilled' if '-from-' in str(step) else 'plain' for step in steps]
    assert kinds == sorted(kinds, reverse=True)
    teachers = {need for step in steps if '-from-' in str(step) for need in step.needs}
    first_alone = min(n for n, step in enumerate(steps) if step.leaves not in teachers and 'ssd' in str(step))
    assert all(made.index(teacher) < first_alone for teacher in teachers)


@pytest.mark.slow
def test_what_the_metafiles_say_is_what_the_configs_do(steps, tool):
    """Of each training of the list: its length, the files that it reads, where its pictures lie, how it is judged."""
    metrics = {'coco': 'CocoMetric', 'pascal_voc': 'VOCMetric', 'crops': 'CropAccuracy'}
    for step in steps:
        if step.model is None:
            continue
        cfg = Config.fromfile(REPO / step.model['Config'])
        assert cfg.train_cfg.max_epochs == step.model['Metadata']['Epochs'], step
        assert cfg.train_cfg.get('val_interval', 1) == 1, step
        teachers = cfg.model.get('teachers', {'teacher': cfg.model.get('teacher')}).values()
        read = [cfg.get('load_from'), *(teacher.checkpoint for teacher in teachers if teacher)]
        assert sorted(step.needs) == sorted(file for file in read if file and '://' not in file), step
        for teacher in teachers:
            if teacher and '://' not in teacher.checkpoint:
                assert Path(teacher.config).stem == Path(teacher.checkpoint).parent.name, step
        dataset = cfg.val_dataloader.dataset
        folder = tool.FOLDERS[step.model['Metadata']['Training Data']]
        lies = dataset.data_root + (dataset.data_prefix.sub_data_root if 'sub_data_root' in dataset.data_prefix else '')
        assert lies.strip('/') == f'data/{folder}', step
        if step.reported:
            _, key = tool.METRICS[step.reported['Metric']]
            judges = cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]
            assert metrics[key.partition('/')[0]] in [judge.type for judge in judges], step


def test_a_decomposition_makes_the_weights_of_its_students(steps):
    (step,) = (step for step in steps if step.leaves == 'work_dirs/tucker20/faster-rcnn_alexnet_4e_voc07_tucker.pth')
    command = shlex.join(step.command).partition('tucker_decompose.py ')[2]
    assert command == (
        'configs/baselines/faster-rcnn_alexnet_4e_voc07.py work_dirs/faster-rcnn_alexnet_4e_voc07/epoch_4.pth '
        '--ranks configs/_base_/students/faster-rcnn_alexnet-tucker20.py --out work_dirs/tucker20'
    )
    assert step.needs == ('work_dirs/faster-rcnn_alexnet_4e_voc07/epoch_4.pth',)


def test_what_is_known_is_skipped_with_the_teachers_of_it_alone(tool, here):
    models = [
        model('known-from-a', 10, ours=10, needs=['work_dirs/a/epoch_1.pth']),
        model('open-from-b', 20, needs=['work_dirs/b/epoch_1.pth', 'work_dirs/c/epoch_1.pth']),
        model('alone', 30),
        *(model(name) for name in 'abc'),
    ]
    there = here / 'work_dirs' / 'c' / 'epoch_1.pth'
    there.parent.mkdir(parents=True)
    there.touch()
    steps = tool.Experiments([write(*models)], gpus=4).steps()
    assert [str(step) for step in steps] == ['a', 'b', 'c', 'alone', 'known-from-a', 'open-from-b']
    assert [str(step) for step in tool.open_steps(steps)] == ['b', 'alone', 'open-from-b']
    assert steps[0].command[-4:] == ('a.py', '4', '--resume', '--auto-scale-lr')
    some = tool.Experiments([Path('metafile.yml')]).steps(['known*'])
    assert [str(step) for step in some] == ['a', 'known-from-a']


@pytest.mark.parametrize(
    ('needs', 'message'),
    [
        (['work_dirs/b/epoch_1.pth'], "the model 'b' is needed, and no metafile has it"),
        (['work_dirs/a/epoch_2.pth'], r'a/epoch_2.pth is needed, and the training leaves work_dirs/a/epoch_1.pth'),
    ],
)
def test_what_nothing_makes_is_refused(here, needs, message):
    write(model('x-from-y', 10, needs=needs), model('a'))
    with pytest.raises(SystemExit, match=message):
        reproduce('--list')


def test_the_list_begins_with_the_link_to_the_data(here, capsys):
    write(model('alone', 10, ours=9.8))
    reproduce('--list')
    assert capsys.readouterr().out.splitlines() == [
        f'ln -s {here}/sets data',
        '# alone: box AP50 10 (the number of A and B), tolerance 0.5, ours 9.8',
        shlex.join(['python', os.path.relpath(REPO / 'tools' / 'train.py'), 'alone.py', '--resume', '--auto-scale-lr']),
    ]
    (here / 'data').symlink_to('sets')
    reproduce('--list')
    assert capsys.readouterr().out.startswith('# alone: ')


def test_gpus_and_data_are_checked_before_anything_runs(here, monkeypatch):
    write(model('alone', 10), model('on-kitti', 10, data='KITTI'), model('other', 10, Metric='AR'))
    with pytest.raises(SystemExit, match="no experiment is called 'alon': take a name that --list has"):
        reproduce('alon')
    with pytest.raises(SystemExit, match=r'other: its Metric is unknown\. Take one of box AP, '):
        reproduce('other')
    with pytest.raises(SystemExit, match=r'there is no sets/kitti \(KITTI\): set DATA to the folder'):
        reproduce('alone', 'on-kitti')
    monkeypatch.setenv('GPUS', 'all')
    with pytest.raises(SystemExit, match='GPUS=all is no number'):
        reproduce()
    monkeypatch.setenv('GPUS', '999')
    monkeypatch.setenv('DATA', 'nowhere')
    with pytest.raises(SystemExit, match=r'(?s)2 problems.*GPUS is 999, and torch finds \d+.*no nowhere/coco \(COCO\)'):
        reproduce('alone')
    monkeypatch.setenv('GPUS', '0')
    monkeypatch.setenv('DATA', 'sets')
    (here / 'data').mkdir()
    with pytest.raises(SystemExit, match='the configs read data/, which is there and is not sets: move it away'):
        reproduce('alone')
    assert not (here / 'work_dirs').exists()


def test_what_lies_outside_its_tolerance_is_the_last_line_and_an_error(here, capsys):
    """Below and above; at the tolerance, which binary fractions miss, it is reproduced. Nothing is trained."""
    write(model('low', 27.9, ours=27.3), model('high', 10, ours=10.6), model('just', 31.7, ours=32.2))
    with pytest.raises(SystemExit) as error:
        reproduce()
    assert error.value.code == (
        'outside the tolerance: low: box AP50 27.9 (the number of A and B), tolerance 0.5, ours 27.3; '
        'high: box AP50 10 (the number of A and B), tolerance 0.5, ours 10.6'
    )
    reproduce('just')
    assert capsys.readouterr().out == 2 * 'All results are known.\n'


def test_a_command_is_a_process_that_knows_its_python(tool, here, monkeypatch):
    monkeypatch.delenv('PYTHON', raising=False)
    code = 'import os, pathlib, sys; pathlib.Path("ran").write_text(f"{os.environ[\'PYTHON\']} {sys.executable}")'
    tool.run(tool.Step('ran', ('python', '-c', code)))
    assert Path('ran').read_text() == f'{sys.executable} {sys.executable}'
    with pytest.raises(ValueError, match=r'^weights failed \(exit code 3\), as said above'):
        tool.run(tool.Step('weights.pth', ('python', '-c', 'raise SystemExit(3)')))


@pytest.fixture
def in_this_process(monkeypatch):
    """Have trainings run here, where all is imported."""

    start = subprocess.run

    def run(command, *args, **options):
        if not isinstance(command, list) or not command[1].endswith('train.py'):  # mmengine asks for compilers
            return start(command, *args, **options)
        program, tool, *rest = command
        assert program == sys.executable
        call_tool(Path(tool).resolve(), *rest)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, 'run', run)


@pytest.mark.slow
@pytest.mark.usefixtures('in_this_process')
def test_a_teacher_and_its_student_are_trained_once_and_their_results_taken_in(here, tiny_set):
    """Real trainings of an epoch each."""
    settings = {'train_cfg.max_epochs': 1}
    for name, cfg in (
        ('teacher', tiny_teacher_cfg(tiny_set, 'unused', **settings)),
        ('student', tiny_student_cfg(tiny_set, 'unused', **settings)),
    ):
        cfg.pop('work_dir')
        cfg.dump(f'{name}.py')
    distilled_cfg(Config.fromfile('student.py'), 'teacher.py', 'work_dirs/teacher/epoch_1.pth').dump('x-from-y.py')
    models = [model('x-from-y', 99, needs=['work_dirs/teacher/epoch_1.pth']), model('teacher')]
    metafile = write(*models)
    shutil.copy(metafile, 'before.yml')

    with pytest.raises(SystemExit) as error:
        reproduce()
    (log,) = Path('work_dirs/x-from-y').glob('2*/vis_data/scalars.json')
    score = json.loads(log.read_text().splitlines()[-1])['coco/bbox_mAP_50']
    assert score > 0  # or any score would do
    assert error.value.code.startswith('outside the tolerance: x-from-y: box AP50 99 (the number of A and B)')
    text = metafile.read_text()
    assert text.startswith(HEAD)
    distilled, teacher = yaml.safe_load(text)['Models']
    assert teacher == models[1]
    assert re.fullmatch(r'by us, mmdet_kd [\d.]+, \d{4}-\d\d-\d\d', distilled.pop('Measured'))
    ours = round(100 * score, 2)
    assert distilled == model('x-from-y', 99, ours=ours, needs=models[0]['Needs'])
    assert Path('work_dirs/teacher/epoch_1.pth').exists()
    assert Path('data').readlink() == here / 'sets'

    metafile.write_text(Path('before.yml').read_text())  # as if it had been killed before the result was taken in
    with pytest.raises(SystemExit, match='outside the tolerance'):
        reproduce()
    assert yaml.safe_load(metafile.read_text())['Models'][0]['Results'] == distilled['Results']
    assert len(list(Path('work_dirs/teacher').glob('2*'))) == 1

    before = {path: path.stat().st_mtime_ns for path in here.rglob('*')}
    metafile.write_text(text.replace('Value: 99', f'Value: {ours + 0.3:.2f}'))
    reproduce()
    after = {path: path.stat().st_mtime_ns for path in here.rglob('*')}
    assert {path for path in after if after[path] != before.get(path)} == {metafile.absolute()}


@pytest.mark.slow
def test_the_script_is_called_from_anywhere(tmp_path):
    """It reads the repository's configs, and finds the data from where it was called."""
    done = run_tool(
        ['tools/dev/reproduce.sh', '--list', 'dicod_ssd300*'], cwd=tmp_path, env={'GPUS': '4', 'DATA': 'sets'}
    )
    link = [] if (REPO / 'data').exists() else [f'ln -s {tmp_path}/sets data']
    assert [line for line in done.stdout.splitlines() if not line.startswith('#')] == [
        *link,
        'bash tools/dist_train.sh configs/dicod/classifier_r50-ssd_2x_coco.py 4 --resume --auto-scale-lr',
        'bash tools/dist_train.sh configs/dicod/dicod_ssd300-vgg16-from-classifier-r50-ssd_2x_coco.py 4 --resume '
        '--auto-scale-lr',
    ]

"""`mim train`, `mim test` and the exported student, from the editable install and from a wheel."""

import os
import pickle
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.distil import distilled_cfg, save_teacher
from helpers.tiny import call_tool

REPO = Path(__file__).resolve().parents[2]


def run(*command, env=None, cwd):
    """Run a command away from the checkout, and return what it printed."""
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope='session')
def wheel(tmp_path_factory):
    """The package as a wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp('wheel')
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '-w', folder, REPO, cwd=folder)
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='session')
def wheel_python(wheel, tmp_path_factory):
    """An environment with the wheel, which sees the other packages of this one."""
    folder = tmp_path_factory.mktemp('env')
    run(sys.executable, '-m', 'venv', '--without-pip', folder, cwd=folder)
    site = next((folder / 'lib').glob('python*/site-packages'))
    # The wheel comes first; this environment's own .pth files, and so its editable install, are not read.
    (site / 'others.pth').write_text(sysconfig.get_paths()['purelib'])
    run(sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-index', '--target', site, wheel, cwd=folder)
    python = folder / 'bin' / 'python'
    assert str(site) in run(python, '-c', 'import mmdet_kd; print(mmdet_kd.__file__)', cwd=folder)
    return python


@pytest.fixture
def config(tiny_set, tmp_path):
    """A whole distillation config on disk, with its teacher beside it."""
    teacher = tiny_teacher_cfg(tiny_set, tmp_path / 'teacher')
    teacher.dump(tmp_path / 'teacher.py')
    checkpoint = save_teacher(
        teacher, tmp_path / 'teacher.pth', dataset_meta={'classes': ('circle', 'square', 'triangle')}
    )
    student = tiny_student_cfg(tiny_set, tmp_path / 'run', **{'train_cfg.max_epochs': 1})
    cfg = distilled_cfg(student, str(tmp_path / 'teacher.py'), checkpoint)
    cfg.dump(tmp_path / 'tiny_distilled.py')
    return tmp_path / 'tiny_distilled.py'


@pytest.fixture(scope='session')
def plain_python(tmp_path_factory):
    """An environment with all that is installed here but this package."""
    folder = tmp_path_factory.mktemp('plain')
    run(sys.executable, '-m', 'venv', '--without-pip', folder, cwd=folder)
    site = next((folder / 'lib').glob('python*/site-packages'))
    for entry in Path(sysconfig.get_paths()['purelib']).iterdir():
        if 'mmdet_kd' not in entry.name and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    python = folder / 'bin' / 'python'
    run(python, '-c', 'import mmdet', cwd=folder)
    without = subprocess.run([python, '-c', 'import mmdet_kd'], cwd=folder, text=True, stderr=subprocess.PIPE)
    assert "No module named 'mmdet_kd'" in without.stderr
    return python


def train_test_export(python, plain_python, config, folder):
    """The main job with mim, ending with mmdet alone, which predicts the same bits."""
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': ''}
    run(python, '-m', 'mim', 'train', '-y', 'mmdet_kd', config, '--work-dir', folder / 'run', env=env, cwd=folder)
    checkpoint, student = folder / 'run' / 'epoch_1.pth', folder / 'student'
    call_tool('tools/export_student.py', config, checkpoint, '--out', student)
    tests = {
        'ours': (python, 'mmdet_kd', config, checkpoint),
        'plain': (plain_python, 'mmdet', student / 'student.py', student / 'student.pth'),
    }
    for name, (interpreter, package, cfg, weights) in tests.items():
        test = ('-m', 'mim', 'test', '-y', package, cfg, '--checkpoint', weights, '--out', folder / f'{name}.pkl')
        run(interpreter, *test, env=env, cwd=folder)
    ours, plain = (pickle.loads((folder / f'{name}.pkl').read_bytes()) for name in tests)
    assert len(ours) == len(plain) > 0
    for one, other in zip(ours, plain, strict=True):
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(one['pred_instances'][key], other['pred_instances'][key])


@pytest.mark.slow
def test_the_editable_install(plain_python, config, tmp_path):
    train_test_export(sys.executable, plain_python, config, tmp_path)


@pytest.mark.slow
def test_the_wheel(wheel_python, plain_python, config, tmp_path):
    train_test_export(wheel_python, plain_python, config, tmp_path)


@pytest.mark.slow
def test_the_wheel_carries_what_mim_looks_for(wheel_python, tmp_path):
    shipped = Path(run(wheel_python, '-c', 'import mmdet_kd; print(mmdet_kd.__path__[0])', cwd=tmp_path).split()[-1])
    mim = shipped / '.mim'
    assert (mim / 'model-index.yml').is_file()
    for folder in ('configs', 'tools'):
        here = {
            p.relative_to(REPO / folder)
            for p in (REPO / folder).rglob('*')
            if p.suffix in ('.py', '.sh', '.yml', '.md')
        }
        there = {p.relative_to(mim / folder) for p in (mim / folder).rglob('*') if p.is_file() and p.suffix != '.pyc'}
        assert {p for p in here if '__pycache__' not in p.parts} <= there

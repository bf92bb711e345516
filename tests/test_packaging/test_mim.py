"""`mim train`, `mim test` and the exported student, from the editable install and from a wheel."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import run_tool, tiny_student_cfg, tiny_teacher_cfg
from helpers.distil import distilled_cfg, save_teacher

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


def average_precision(output: str) -> str:
    return re.findall(r'bbox_mAP_copypaste: ([\d. -]+)', output)[-1]


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


def train_test_export(python, config, folder):
    """The main job with mim, ending with plain mmdet; the two tests must agree."""
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': ''}
    mim = (python, '-m', 'mim')
    run(*mim, 'train', '-y', 'mmdet_kd', config, '--work-dir', folder / 'run', env=env, cwd=folder)
    checkpoint = folder / 'run' / 'epoch_1.pth'
    ours = run(*mim, 'test', '-y', 'mmdet_kd', config, '--checkpoint', checkpoint, env=env, cwd=folder)
    run_tool(['tools/export_student.py', config, checkpoint, '--out', folder / 'student'])
    student = folder / 'student'
    plain = run(
        *mim,
        'test',
        '-y',
        'mmdet',
        student / 'student.py',
        '--checkpoint',
        student / 'student.pth',
        env=env,
        cwd=folder,
    )
    assert average_precision(ours) == average_precision(plain)


def test_the_editable_install(config, tmp_path):
    train_test_export(sys.executable, config, tmp_path)


@pytest.mark.slow
def test_the_wheel(wheel_python, config, tmp_path):
    train_test_export(wheel_python, config, tmp_path)


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

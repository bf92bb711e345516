"""A tool whose disk is full says so in one message. The disk is a small real one."""

import shutil
import subprocess
import sys

import pytest
from helpers.tiny import REPO
from helpers.training import distilled_run, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which('unshare')
        or subprocess.run(['unshare', '-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], capture_output=True).returncode,
        reason='needs leave to mount a disk of its own',
    ),
]

#: On a disk of its own, which only this process sees and which ends with it.
RUN = 'mount -t tmpfs -o size={size}k tmpfs {disk} && exec {python} "$@"'


@pytest.fixture(scope='module')
def run(tmp_path_factory, tiny_set):
    folder = tmp_path_factory.mktemp('run')
    train(distilled_run(folder, tiny_set, **{'train_cfg.max_epochs': 1}))
    (folder / 'disk').mkdir()
    return folder


# In KiB: not enough for the config and the log of a run, and for a checkpoint.
@pytest.mark.parametrize(
    ('tool', 'size', 'file'), [('train', 40, ''), ('train', 700, 'epoch_1.pth'), ('export_student', 100, 'student.pth')]
)
def test_the_disk_is_full(tool, size, file, run):
    folder, disk = run, run / 'disk'
    arguments = {
        'train': [folder / 'distilled.py', '--work-dir', disk / 'out'],
        'export_student': [folder / 'distilled.py', folder / 'run' / 'epoch_1.pth', '--out', disk / 'out'],
    }[tool]
    shell = RUN.format(size=size, disk=disk, python=sys.executable)
    words = ['unshare', '-rm', 'bash', '-c', shell, 'bash', REPO / 'tools' / f'{tool}.py', *arguments]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300, cwd=REPO)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    place = f' ({disk}/out/{file})' if tool == 'train' and file else ''
    assert f'\nerror: No space left on device{place}. Make room on that disk' in done.stderr

"""Two gloo ranks on the CPU, through the shell scripts."""

import json

import pytest
from helpers import run_tool
from helpers.classifier import tiny_classifier_cfg
from helpers.training import assert_same_weights, distilled_run
from mmengine.device import get_device

pytestmark = pytest.mark.skipif(get_device() != 'cpu', reason='two ranks would need two GPUs')


def metrics(work_dir):
    """What the last test in `work_dir` logged."""
    path = max(work_dir.glob('2*/2*.json'))
    return {name: value for name, value in json.loads(path.read_text()).items() if 'mAP' in name}


def test_two_ranks_train_resume_exactly_and_test_as_one_does(tmp_path, tiny_set):
    distilled_run(tmp_path, tiny_set)
    config, run = tmp_path / 'distilled.py', tmp_path / 'run'
    run_tool(['tools/dist_train.sh', config, 2], cwd=tmp_path)
    (run / 'epoch_2.pth').rename(tmp_path / 'whole.pth')
    run_tool(['tools/dist_train.sh', config, 2, '--resume', run / 'epoch_1.pth'], cwd=tmp_path)
    assert_same_weights(run / 'epoch_2.pth', tmp_path / 'whole.pth')

    checkpoint = tmp_path / 'whole.pth'
    run_tool(['tools/dist_test.sh', config, checkpoint, 2, '--work-dir', tmp_path / 'two'], cwd=tmp_path)
    run_tool(['tools/test.py', config, checkpoint, '--work-dir', tmp_path / 'one'], cwd=tmp_path)
    assert metrics(tmp_path / 'two') == metrics(tmp_path / 'one')
    assert metrics(tmp_path / 'one')['coco/bbox_mAP_50'] > 0


def test_two_ranks_train_a_classifier(tmp_path, tiny_set):
    cfg = tiny_classifier_cfg(tiny_set, tmp_path / 'run')
    cfg.train_cfg.max_epochs = 1
    cfg.dump(tmp_path / 'classifier.py')
    run_tool(['tools/dist_train.sh', tmp_path / 'classifier.py', 2], cwd=tmp_path)
    (scalars,) = (tmp_path / 'run').glob('2*/vis_data/scalars.json')
    last = json.loads(scalars.read_text().splitlines()[-1])
    assert 0 <= last['crops/top1'] <= last['crops/top2'] <= 100
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


@pytest.mark.parametrize(
    'command',
    [
        'dist_train.sh c.py',
        'dist_train.sh c.py x',
        'dist_test.sh c.py c.pth',
        'slurm_train.sh p j c',
        'slurm_test.sh p j c',
    ],
)
def test_missing_arguments_are_asked_for(command):
    script, *rest = command.split()
    done = run_tool([f'tools/{script}', *rest], check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')

"""Several ranks of one machine: what the scripts call, and two real gloo ranks on the CPU."""

import json

import pytest
import torch
from helpers import run_tool
from helpers.classifier import tiny_classifier_cfg
from helpers.point_heads import POINT_HEADS
from helpers.tiny import REPO, call_tool, log_of
from helpers.training import assert_same_weights, distilled_run
from mmengine.device import get_device

on_two_ranks = pytest.mark.skipif(get_device() != 'cpu', reason='two ranks would need two GPUs')


def metrics(work_dir):
    """What the last run in `work_dir` measured last."""
    lines = max(work_dir.glob('2*/vis_data/scalars.json')).read_text().splitlines()
    return {name: value for name, value in json.loads(lines[-1]).items() if 'mAP' in name}


@on_two_ranks
@pytest.mark.slow
def test_two_ranks_train_and_measure_what_one_does(tmp_path, tiny_set):
    cfg = distilled_run(tmp_path, tiny_set, **{'train_cfg.max_epochs': 1})
    cfg.custom_imports.imports.append('helpers.threads_at_exit')
    cfg.dump(tmp_path / 'threads.py')
    config, run = tmp_path / 'distilled.py', tmp_path / 'run'
    run_tool(
        ['tools/dist_train.sh', tmp_path / 'threads.py', 2], cwd=tmp_path, env={'PYTHONPATH': f'{REPO}:{REPO}/tests'}
    )
    threads = [(tmp_path / f'threads_{rank}.txt').read_text().split() for rank in range(2)]
    assert not [name for each in threads for name in each if 'gloo' in name]  # which may abort a process that ends
    call_tool('tools/test.py', config, run / 'epoch_1.pth', '--work-dir', tmp_path / 'one')
    (path,) = (tmp_path / 'one').glob('2*/2*.json')
    one = {name: value for name, value in json.loads(path.read_text()).items() if 'mAP' in name}
    assert metrics(run) == one
    assert one['coco/bbox_mAP_50'] > 0  # or all would agree
    steps = [json.loads(line) for line in max(run.glob('2*/vis_data/scalars.json')).read_text().splitlines()]
    assert [step['step'] for step in steps if 'loss' in step] == [1, 2]  # 8 pictures, two a rank and step


@pytest.mark.slow
@on_two_ranks
@pytest.mark.parametrize(
    ('ranks', 'workers', 'kill'),
    [(2, 2, {'launcher': True}), (3, 0, {'rank': 1})],
    ids=['the launcher of two', 'one of three'],
)
def test_ranks_end_together_and_resume_exactly(tmp_path, tiny_set, ranks, workers, kill):
    cfg = distilled_run(tmp_path, tiny_set, workers)
    config, run = tmp_path / 'distilled.py', tmp_path / 'run'
    run_tool(['tools/dist_train.sh', config, ranks, '--work-dir', tmp_path / 'whole'], cwd=tmp_path)
    cfg.custom_imports.imports.append('helpers.kill_hook')
    cfg.custom_hooks = [{'type': 'KillHook', 'iteration': 3, **kill}]
    cfg.dump(tmp_path / 'kill.py')
    tests = {'PYTHONPATH': f'{REPO}:{REPO}/tests'}
    # It returns when nobody writes into its pipes any more: no rank, and no data worker of one.
    done = run_tool(['tools/dist_train.sh', tmp_path / 'kill.py', ranks], cwd=tmp_path, check=False, env=tests)
    assert done.returncode != 0
    assert (run / 'epoch_1.pth').exists()
    assert not (run / 'epoch_2.pth').exists()  # which ranks that train on would write
    run_tool(['tools/dist_train.sh', config, ranks, '--resume'], cwd=tmp_path)
    assert_same_weights(run / 'epoch_2.pth', tmp_path / 'whole' / 'epoch_2.pth')
    whole = tmp_path / 'whole' / 'epoch_2.pth'
    run_tool(['tools/dist_test.sh', config, whole, ranks, '--work-dir', tmp_path / 'test'], cwd=tmp_path)
    (path,) = (tmp_path / 'test').glob('2*/2*.json')
    assert metrics(run).items() <= json.loads(path.read_text()).items()


@pytest.mark.slow
@on_two_ranks
def test_two_ranks_train_a_classifier(tmp_path, tiny_set):
    cfg = tiny_classifier_cfg(tiny_set, tmp_path / 'run')
    cfg.train_cfg.max_epochs = 1
    cfg.dump(tmp_path / 'classifier.py')
    run_tool(['tools/dist_train.sh', tmp_path / 'classifier.py', 2], cwd=tmp_path)
    (scalars,) = (tmp_path / 'run').glob('2*/vis_data/scalars.json')
    last = json.loads(scalars.read_text().splitlines()[-1])
    assert 0 <= last['crops/top1'] <= last['crops/top2'] <= 100
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


def synchronised_rtmdet(cfg):
    """RTMDet, whose constructor synchronises batch norms among ranks; those of its backbone its config does."""
    cfg = POINT_HEADS['rtmdet_sepbn'](cfg)
    cfg.model.backbone.update(norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False)
    return cfg


@on_two_ranks
@pytest.mark.slow
def test_two_ranks_train_a_student_with_synchronised_batch_norms(tmp_path, tiny_set):
    """Which torch cannot synchronise on CPUs, and refuses."""
    distilled_run(tmp_path, tiny_set, family=synchronised_rtmdet, **{'train_cfg.max_epochs': 1})
    run_tool(['tools/dist_train.sh', tmp_path / 'distilled.py', 2], cwd=tmp_path)
    log = log_of(tmp_path / 'run')
    assert 'synchronised batch norms (SyncBN) of the model are plain ones here' in log
    weights = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)['state_dict']
    assert weights['backbone.layer4.0.bn1.running_mean'].any()
    assert weights['backbone.layer4.0.bn1.num_batches_tracked'] == 2  # 8 pictures, two a rank and step


# What they call: an interpreter that says how it was called, after its threads, one word a line.


@pytest.fixture
def called(tmp_path):
    """Call a script, and return what it calls."""
    for name, text in dict(python='"$OMP_NUM_THREADS" "$MKL_NUM_THREADS" "$@"', nproc=8).items():
        program = tmp_path / 'bin' / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {text}\n')
        program.chmod(0o755)
    env = dict(PYTHON=str(tmp_path / 'bin' / 'python'), PATH=f'{tmp_path}/bin:/usr/bin:/bin', OMP_NUM_THREADS='')

    def call(*command, **changes):
        return run_tool(command, env={**env, **changes}).stdout.splitlines()

    return call


RUN = ['-m', 'torch.distributed.run']


def test_a_training_is_handed_to_torchrun(called):
    words = called('tools/dist_train.sh', 'a config.py', 2, '--work-dir', 'a dir')
    tool = f'{REPO}/tools/train.py'
    rest = ['a config.py', '--launcher', 'pytorch', '--work-dir', 'a dir']
    assert words == ['4', '4', *RUN, '--standalone', '--nproc-per-node', '2', tool, *rest]


def test_a_test_is_handed_to_torchrun(called):
    words = called('tools/dist_test.sh', 'c.py', 'a checkpoint.pth', 3, '--out', 'x.pkl', OMP_NUM_THREADS='5')
    tool = f'{REPO}/tools/test.py'
    rest = ['c.py', 'a checkpoint.pth', '--launcher', 'pytorch', '--out', 'x.pkl']
    assert words == ['5', '5', *RUN, '--standalone', '--nproc-per-node', '3', tool, *rest]


@pytest.mark.parametrize(
    ('env', 'where'),
    [
        (dict(PORT='29501'), '1 0 127.0.0.1 29501'),
        (dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1'), '2 1 10.0.0.1 29500'),
    ],
    ids=['a port', 'two machines'],
)
def test_machines_and_ports_are_passed_on(called, env, where):
    words = called('tools/dist_train.sh', 'c.py', 100, **env)
    names = ('--nnodes', '--node-rank', '--master-addr', '--master-port')
    expected = [word for pair in zip(names, where.split(), strict=True) for word in pair]
    assert words[:2] == ['1', '1']  # fewer cores than ranks
    assert words[4 : words.index('--nproc-per-node')] == expected


def test_the_interpreter_is_that_of_the_active_environment(called):
    assert called('tools/dist_train.sh', 'c.py', 1, PYTHON='', VIRTUAL_ENV='/an/environment')[2:4] == RUN


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

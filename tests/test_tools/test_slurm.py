"""The Slurm scripts, with a stand-in for srun that says how it was called."""

import os

import pytest
from helpers import run_tool


@pytest.fixture
def srun(tmp_path):
    """Environment with an `srun` that prints its arguments, one a line."""
    program = tmp_path / 'bin' / 'srun'
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return {'PATH': f'{program.parent}:{os.environ["PATH"]}', 'GPUS': '4', 'GPUS_PER_NODE': '2', 'PYTHON': 'py'}


def test_training_is_handed_to_srun(srun):
    done = run_tool(['tools/slurm_train.sh', 'gpu', 'a job', 'c.py', 'a dir', '--resume'], env=srun)
    words = done.stdout.splitlines()
    resources = '--gres=gpu:2 --ntasks 4 --ntasks-per-node 2 --cpus-per-task 5 --kill-on-bad-exit=1'
    assert words[: words.index('py')] == ['--partition', 'gpu', '--job-name', 'a job', *resources.split()]
    tool = words[words.index('py') + 2]
    assert os.path.isfile(tool)
    assert tool.endswith('tools/train.py')
    rest = words[words.index(tool) + 1 :]
    assert rest == ['c.py', '--work-dir', 'a dir', '--launcher', 'slurm', '--resume']


def test_cpu_ranks_ask_for_no_gpu_and_more_arguments_reach_srun(srun):
    env = {**srun, 'GPUS_PER_NODE': '0', 'TASKS_PER_NODE': '4', 'SRUN_ARGS': '--mem 4G --quiet'}
    words = run_tool(
        ['tools/slurm_test.sh', 'cpu', 'job', 'c.py', 'c.pth', '--out', 'x.pkl'], env=env
    ).stdout.splitlines()
    assert not any(word.startswith('--gres') for word in words)
    assert words[words.index('--ntasks-per-node') + 1] == '4'
    assert words[words.index('--mem') : words.index('py')] == ['--mem', '4G', '--quiet']
    assert words[-6:] == ['c.py', 'c.pth', '--launcher', 'slurm', '--out', 'x.pkl']

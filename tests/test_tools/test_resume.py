"""Resume through the command line, after a real kill -9 in mid-epoch."""

import signal

import pytest
from helpers import run_tool
from helpers.architectures import faster
from helpers.one_stage import retinanet
from helpers.tiny import REPO, call_tool, log_of
from helpers.training import assert_same_weights, distilled_run, train

TESTS = {'PYTHONPATH': str(REPO / 'tests')}


@pytest.mark.parametrize(
    ('workers', 'family'),
    [(2, faster), (0, faster), (0, retinanet)],
)
@pytest.mark.slow
def test_a_killed_training_continues_as_if_nothing_had_happened(tmp_path, tiny_set, workers, family):
    at_the_end = {'train_cfg.val_interval': 2}
    whole = distilled_run(tmp_path / 'whole', tiny_set, 0, family, **at_the_end)
    train(whole)

    killed = distilled_run(tmp_path / 'killed', tiny_set, workers, family, **at_the_end)
    config = tmp_path / 'killed' / 'distilled.py'
    killed.custom_imports.imports.append('helpers.kill_hook')
    killed.custom_hooks = [{'type': 'KillHook', 'iteration': 6}]
    killed.dump(tmp_path / 'killed' / 'kill.py')
    done = run_tool(['tools/train.py', tmp_path / 'killed' / 'kill.py'], check=False, env=TESTS)
    assert done.returncode == -signal.SIGKILL
    run = tmp_path / 'killed' / 'run'
    assert (run / 'epoch_1.pth').exists()
    assert not (run / 'epoch_2.pth').exists()

    call_tool('tools/train.py', config, '--resume')
    assert f'Load checkpoint from {run}/epoch_1.pth' in log_of(run)
    assert 'resumed epoch: 1, iter: 4' in log_of(run)
    assert_same_weights(run / 'epoch_2.pth', tmp_path / 'whole' / 'run' / 'epoch_2.pth')

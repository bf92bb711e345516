import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device

from mmdet_kd.runtime import prepare_cpu_ranks

pytestmark = pytest.mark.skipif(get_device() != 'cpu', reason='this machine has an accelerator')


@pytest.fixture
def one_rank(monkeypatch):
    """The environment of torchrun with a single rank."""
    values = {'RANK': 0, 'WORLD_SIZE': 1, 'LOCAL_RANK': 0, 'LOCAL_WORLD_SIZE': 1, 'MASTER_PORT': 0}
    for name, value in {**values, 'MASTER_ADDR': '127.0.0.1'}.items():
        monkeypatch.setenv(name, str(value))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    if dist.is_initialized():
        dist.destroy_process_group()


def test_without_a_launcher_nothing_changes():
    cfg = Config({'launcher': 'none'})
    assert not prepare_cpu_ranks(cfg)
    assert 'model_wrapper_cfg' not in cfg
    assert not dist.is_initialized()


@pytest.mark.parametrize('unused', [None, True])
def test_gloo_is_started_and_the_wrapper_gets_no_devices(one_rank, unused):
    cfg = Config({'launcher': 'pytorch', **({} if unused is None else {'find_unused_parameters': unused})})
    assert prepare_cpu_ranks(cfg)
    assert dist.get_backend() == 'gloo'
    assert dict(cfg.model_wrapper_cfg) == {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'find_unused_parameters': bool(unused),
        'broadcast_buffers': False,
    }


def test_a_wrapper_of_the_users_own_is_kept(one_rank):
    cfg = Config({'launcher': 'pytorch', 'model_wrapper_cfg': {'type': 'MyDDP', 'static_graph': True}})
    prepare_cpu_ranks(cfg)
    assert dict(cfg.model_wrapper_cfg) == {'type': 'MyDDP', 'static_graph': True, 'device_ids': None}


def test_ranks_share_the_cores(one_rank, monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '1000')
    torch.set_num_threads(2)
    prepare_cpu_ranks(Config({'launcher': 'pytorch'}))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(('launcher', 'variable'), [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID')])
def test_a_launcher_that_did_not_launch_is_an_error_with_the_cure(monkeypatch, launcher, variable):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(RuntimeError, match=rf"'{variable}'.* tools/dist_train\.sh"):
        prepare_cpu_ranks(Config({'launcher': launcher}))


def test_slurm_ranks_are_told_to_torch(one_rank, monkeypatch):
    for name, value in {'SLURM_PROCID': 0, 'SLURM_NTASKS': 1, 'SLURM_LOCALID': 0}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv('RANK')
    assert prepare_cpu_ranks(Config({'launcher': 'slurm'}))
    assert dist.get_world_size() == 1

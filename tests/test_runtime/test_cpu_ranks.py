import multiprocessing
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from helpers.tiny import log_of, logs_of_its_own
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdet_kd.runtime import prepare_cpu_ranks
from mmdet_kd.runtime.cpu_ranks import sum_gradients_one_by_one, with_norms_of_each_rank

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


@pytest.mark.slow
def test_batch_norms_are_not_synchronised(one_rank, tmp_path):
    """torch refuses such a model on a CPU when it is wrapped."""
    cfg = Config({'launcher': 'pytorch', 'sync_bn': 'torch'})
    prepare_cpu_ranks(cfg)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4))
    weights = list(model.parameters())
    with logs_of_its_own():  # and its scope
        kind = with_norms_of_each_rank(Runner)  # mmengine shares the logs of one name in one second
        runner = kind(model, str(tmp_path), launcher='pytorch', cfg=cfg, experiment_name=tmp_path.name)
    assert [id(weight) for weight in runner.model.module.parameters()] == [id(weight) for weight in weights]
    pictures = torch.rand(2, 3, 8, 8)
    found = runner.model(pictures)
    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    assert runner.model.module[1].running_mean.any()
    assert 'The 1 synchronised batch norms (SyncBN) of the model are plain ones here' in log_of(tmp_path)


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


class Reordered(nn.Module):
    """Uses its layers in another order than it has them in, so that DDP fills its buckets anew after a step."""

    def __init__(self):
        super().__init__()
        self.last, self.first, self.middle = nn.Linear(64, 10), nn.Linear(32, 64), nn.Linear(64, 64)

    def forward(self, x):
        return self.last(self.middle(self.first(x).relu()).relu())


def weights_of_a_rank(rank, ranks, store, results):
    """What ten steps make of the weights: at once, and resumed after five; as DDP sums, and one by one."""
    torch.set_num_threads(1)
    where = {'init_method': f'file://{store}', 'rank': rank, 'world_size': ranks}
    dist.init_process_group('gloo', timeout=timedelta(seconds=120), **where)

    def trained(steps, start, one_by_one):
        torch.manual_seed(0)
        model = Reordered()
        model.load_state_dict(start or model.state_dict())
        ddp = DistributedDataParallel(model)
        if one_by_one:
            sum_gradients_one_by_one(ddp)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in steps:
            batch = torch.randn(16, 32, generator=torch.Generator().manual_seed(step * ranks + rank))
            optimizer.zero_grad()
            ddp(batch).square().mean().backward()
            optimizer.step()
        return model.state_dict()

    found = []
    for one_by_one in (False, True):
        whole = trained(range(10), None, one_by_one)
        resumed = trained(range(5, 10), trained(range(5), None, one_by_one), one_by_one)
        found.append((whole, resumed))
    if rank == 0:
        results.send([[{k: v.tolist() for k, v in weights.items()} for weights in pair] for pair in found])
    dist.destroy_process_group()


def test_many_ranks_resume_to_the_same_bits(tmp_path):
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe(duplex=False)
    for rank in range(4):
        arguments = (rank, 4, tmp_path / 'store', theirs)
        context.Process(target=weights_of_a_rank, args=arguments, daemon=True).start()
    theirs.close()
    (whole, resumed), (one_by_one, resumed_one_by_one) = ours.recv()
    assert resumed != whole  # as DDP sums, or this test would say nothing
    assert resumed_one_by_one == one_by_one
    for name, value in whole.items():  # and it is the same average
        torch.testing.assert_close(torch.tensor(one_by_one[name]), torch.tensor(value), rtol=1e-4, atol=1e-6)

"""Several ranks on a machine without an accelerator.

mmengine's own set-up asks for a CUDA device when a launcher is given, and its default wrapper hands device ids to
DDP; both fail on a CPU. It leaves a process group alone that exists already, and builds the wrapper that the config
names: that is all it takes. torch refuses batch norms there that are synchronised among ranks.
"""

import logging
import os
import subprocess
from datetime import timedelta

import torch
import torch.distributed as dist
from mmcv.ops import SyncBatchNorm as MMSyncBatchNorm
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

_DEFAULT_PORT = '29500'


def prepare_cpu_ranks(cfg: Config) -> bool:
    """Start gloo and choose the wrapper, if `cfg` has a launcher and the machine no accelerator.

    Call it before the Runner is built, whose class :func:`with_norms_of_each_rank` makes. `cfg` is changed in place.

    Args:
        cfg: of the run; `launcher`, `env_cfg.dist_cfg.timeout`, `find_unused_parameters` and `model_wrapper_cfg`
            are honoured.

    Returns:
        Whether anything was done.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or get_device() != 'cpu':
        return False
    _wrap_without_devices(cfg)
    if cfg.get('sync_bn'):
        cfg.sync_bn = None
    _export_rank(launcher)
    if not dist.is_initialized():
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
        dist.init_process_group('gloo', timeout=timedelta(seconds=seconds))
    _share_cores()
    return True


def with_norms_of_each_rank(kind: type[Runner]) -> type[Runner]:
    """A class of runners whose models have plain batch norms where they were to be synchronised among ranks.

    torch synchronises them on accelerators alone, and mmengine makes them plain on a single CPU only. On CPU ranks each
    rank takes the statistics of its own pictures, with a warning in the log.
    """
    return type(kind.__name__, (_NormsOfEachRank, kind), {})


class _NormsOfEachRank:
    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """See :class:`mmengine.runner.Runner`."""
        synchronised = sum(isinstance(module, (nn.SyncBatchNorm, MMSyncBatchNorm)) for module in model.modules())
        if synchronised:
            print_log(
                f'The {synchronised} synchronised batch norms (SyncBN) of the model are plain ones here, since torch '
                'synchronises them on GPUs alone: each CPU rank takes the statistics of its own pictures.',
                logger='current',
                level=logging.WARNING,
            )
        return super().wrap_model(model_wrapper_cfg, revert_sync_batchnorm(model))


def sum_gradients_one_by_one(model: nn.Module) -> None:
    """Have CPU ranks sum each parameter's gradient by itself, in the same way in every step of every run.

    DDP sums gradients in buckets, and fills them in another order after the first step of a process. With three or
    more ranks the order of a sum depends on the place in the bucket, so the steps of a resumed run would be rounded
    otherwise. On an accelerator, where more and smaller messages cost time, nothing is changed.

    Args:
        model: of a runner, before its first step; nothing is done unless it is DDP's.
    """
    if isinstance(model, DistributedDataParallel) and next(model.parameters()).device.type == 'cpu':
        model.register_comm_hook(model.process_group, _average_each)


def _average_each(group: dist.ProcessGroup, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    buffer = bucket.buffer().div_(group.size())
    sums = [dist.all_reduce(gradient, group=group, async_op=True).get_future() for gradient in bucket.gradients()]
    return torch.futures.collect_all(sums).then(lambda _: buffer)


def _wrap_without_devices(cfg: Config) -> None:
    wrapper = dict(cfg.get('model_wrapper_cfg') or {})
    if not wrapper:  # the values of mmengine's own default
        wrapper['find_unused_parameters'] = cfg.get('find_unused_parameters', False)
        wrapper['broadcast_buffers'] = False
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    cfg.model_wrapper_cfg = {**wrapper, 'device_ids': None}


def _export_rank(launcher: str) -> None:
    """Tell torch what the launcher told us, under the names that torchrun uses."""
    if launcher == 'slurm':
        names = {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'}
    elif launcher == 'mpi':
        prefix = 'OMPI_COMM_WORLD_'
        names = {'RANK': f'{prefix}RANK', 'WORLD_SIZE': f'{prefix}SIZE', 'LOCAL_RANK': f'{prefix}LOCAL_RANK'}
    else:  # torchrun
        names = {'RANK': 'RANK', 'WORLD_SIZE': 'WORLD_SIZE', 'LOCAL_RANK': 'LOCAL_RANK'}
    missing = [name for name in names.values() if name not in os.environ]
    if missing:
        raise RuntimeError(
            f"launcher '{launcher}' is named, but its variables {missing} are not set: start the tool through "
            'tools/dist_train.sh, tools/slurm_train.sh or torchrun, or leave --launcher out.'
        )
    os.environ.update({name: os.environ[source] for name, source in names.items()})
    os.environ.setdefault('MASTER_PORT', _DEFAULT_PORT)
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host() if launcher == 'slurm' else '127.0.0.1'


def _first_slurm_host() -> str:
    command = ['scontrol', 'show', 'hostnames', os.environ['SLURM_JOB_NODELIST']]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]


def _share_cores() -> None:
    """Ranks that each use every core only slow each other down."""
    local_ranks = int(os.environ.get('LOCAL_WORLD_SIZE') or os.environ.get('SLURM_NTASKS_PER_NODE') or 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    torch.set_num_threads(min(torch.get_num_threads(), max(1, cores // local_ranks)))

"""What the command-line tools share: options, configs, runners, and errors without a traceback."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from ..errors import DistillationError, NotFiniteError
from .cpu_ranks import prepare_cpu_ranks
from .mmengine_loader import check_resumable, load_from_file
from .processes import end_with_launcher


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing have in common, under mmdet's names."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: ./work_dirs/<config name>)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config, e.g. train_cfg.max_epochs=1 or key="[a,b]" (no spaces inside)',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read `args.config` and apply the common options.

    Raises:
        DistillationError: there is no such file.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def read_config(name: str | Path) -> Config:
    """Read a config file.

    Raises:
        DistillationError: there is no such file.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        raise DistillationError([f"there is no config '{name}' (looked at {path.absolute()}). Correct the path"])
    return Config.fromfile(path)


def check_checkpoint(name: str, resume: bool = False) -> None:
    """Check that a local checkpoint opens and holds weights, without reading them; a URL is left to mmengine.

    Args:
        name: its path or URL.
        resume: whether a training is to go on from it.

    Raises:
        DistillationError: it is missing, truncated or corrupt, would run code, or lacks what it is for.
    """
    if '://' not in name:
        check_resumable(name) if resume else load_from_file(name, map_location='meta')


def build_runner(cfg: Config) -> Runner:
    """Build the runner, on CPU ranks too; the processes of a run end together."""
    end_with_launcher(cfg.get('launcher', 'none'))
    setup_cache_size_limit_of_dynamo()
    prepare_cpu_ranks(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


@contextmanager
def command_line() -> Iterator[None]:
    """Run a tool: what the user can mend is said in one message, and ranks part in peace."""
    try:
        yield
    except (DistillationError, NotFiniteError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # not about a file that the user could name or mend
        rank = int(os.environ.get('LOCAL_RANK', 0))
        if rank != 0:  # most errors meet all ranks alike: the first one says it, and the launcher ends the others
            time.sleep(5)
        sys.exit(f'\nerror: {error}' + (f' (rank {rank})' if rank else ''))
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()

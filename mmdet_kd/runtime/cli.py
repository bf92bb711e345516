"""What the command-line tools share: options, configs, runners, and errors without a traceback."""

import argparse
import atexit
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmdet.registry import HOOKS, MODELS, RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from ..errors import DistillationError, NotFiniteError, printable, raise_if_any
from ..unknown_names import part_problems
from .console import ignore_warnings_of_packages, log_warnings, log_where_the_rest_is, quiet
from .cpu_ranks import prepare_cpu_ranks, with_norms_of_each_rank
from .downloads import downloaded
from .mmengine_loader import check_resumable, load_from_file
from .processes import end_with_launcher
from .work_dir import FULL, make_work_dir

_DATA_CONFIGS = ('.json', '.yaml', '.yml')
_MOST_CONFIG = 16 << 20  # bytes
_MOST_SHOWN = 100_000  # characters of a message, which may list many problems
_MOST_LOGGED = 100_000  # characters of a line of the log; the configs of mmdet take 30,000


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


def positive(text: str) -> int:
    """A whole number of at least 1, as an option says it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, not {number}')
    return number


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
    """Read a config file. One in Python is a program, which runs here; one in JSON or YAML is data.

    Raises:
        DistillationError: there is no such file, or it is no config; of a program, that it is none. What a program
            raises is its own.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        raise DistillationError([f"there is no config '{name}' (looked at {path.absolute()}). Correct the path"])
    if path.stat().st_size > _MOST_CONFIG or path.suffix not in ('.py', *_DATA_CONFIGS):
        kind = f'it has {path.stat().st_size} bytes, and its name ends in {path.suffix or "nothing"!r}'
        raise DistillationError([f"'{name}' is no config: {kind}. Name a .py, .yaml or .json of at most 16 MiB"])
    refused = (Exception,) if path.suffix in _DATA_CONFIGS else (SyntaxError, UnicodeDecodeError, DistillationError)
    try:
        return Config.fromfile(path)
    except refused as error:
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise DistillationError([f"the config '{name}' cannot be read ({reason}). Mend it, or name another"]) from error


def require_free(*paths: str | Path) -> None:
    """Refuse to write where something is already.

    Raises:
        DistillationError: with each path that is there.
    """
    there = [path for path in paths if Path(path).exists()]
    raise_if_any([f'{path} is there already and is not replaced: name another place, or remove it' for path in there])


def check_checkpoint(name: str, resume: bool = False) -> dict[str, Any] | None:
    """Check that a checkpoint opens and holds weights, without reading them.

    One at an http(s) address is downloaded once, and looked at, by the first process of each machine. Of other names
    mmengine's loaders, which are ours, do so when they are loaded.

    Args:
        name: its path, address or name.
        resume: whether a training is to go on from it.

    Returns:
        Its content with the tensors on the meta device; None if it is looked at elsewhere.

    Raises:
        DistillationError: it is missing, truncated or corrupt, would run code, or lacks what it is for.
    """
    path: str | Path = name
    if name.startswith(('http://', 'https://')):
        if int(os.environ.get('LOCAL_RANK', 0)) != 0:
            return None
        path = downloaded(name)
    elif '://' in name:
        return None
    try:
        return check_resumable(path) if resume else load_from_file(path, map_location='meta')
    except DistillationError as error:
        if path == name:
            raise
        Path(path).unlink(missing_ok=True)  # the next attempt downloads it again
        raise DistillationError([f'{name}: {problem}' for problem in error.problems]) from error


def number_of_ranks(launcher: str) -> int:
    """How many processes a launcher has started, as it says itself."""
    names = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS', 'mpi': 'OMPI_COMM_WORLD_SIZE'}
    return int(os.environ.get(names.get(launcher, ''), 1))


def build_runner(cfg: Config) -> Runner:
    """Build the runner, on CPU ranks too; the processes of a run end together.

    Raises:
        DistillationError: the runner, the model or a hook has a type that nobody knows, or a hook has unknown keys; or
            the work dir cannot be written to.
    """
    raise_if_any(_name_problems(cfg))
    kind = _runner_class(cfg)
    make_work_dir(cfg.work_dir)
    end_with_launcher(cfg.get('launcher', 'none'))
    setup_cache_size_limit_of_dynamo()
    if prepare_cpu_ranks(cfg):
        kind = with_norms_of_each_rank(kind)
    runner = quiet(kind).from_cfg(cfg)
    runner.logger.addFilter(_make_printable)
    log_warnings(runner.logger)
    log_where_the_rest_is(runner)
    return runner


def _runner_class(cfg: Config) -> type[Runner]:
    kind = cfg.get('runner_type', Runner)
    found = RUNNERS.get(kind) if isinstance(kind, str) else kind
    raise_if_any(part_problems('runner_type', dict(type=kind), RUNNERS) if found is None else [])
    return found


def _name_problems(cfg: Config) -> list[str]:
    """The types of the model and of the hooks, and the keys of the hooks, that nobody knows."""
    if cfg.get('default_scope') != 'mmdet':
        return []  # its names are those of another package's registries
    hooks = {f'default_hooks.{name}': hook for name, hook in (cfg.get('default_hooks') or {}).items()}
    hooks |= {f'custom_hooks.{index}': hook for index, hook in enumerate(cfg.get('custom_hooks') or ())}
    problems = [
        problem
        for where, hook in hooks.items()
        if isinstance(hook, dict)
        for problem in part_problems(where, hook, HOOKS, besides=('priority',), like='Hook')
    ]
    kind = (cfg.get('model') or {}).get('type')
    if isinstance(kind, str) and MODELS.get(kind) is None:
        problems += part_problems('model', dict(type=kind), MODELS, like='Detector')
    return problems


def _make_printable(record: logging.LogRecord) -> bool:
    """Log what files hold, such as names of weights and of classes, as text that a terminal does not obey."""
    record.msg, record.args = printable(record.getMessage(), _MOST_LOGGED), ()
    return True


@contextmanager
def command_line() -> Iterator[None]:
    """Run a tool: what the user can mend is said in one message, and ranks part in peace.

    Errors of the program itself keep their traceback.
    """
    ignore_warnings_of_packages()
    try:
        yield
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        rank = int(os.environ.get('LOCAL_RANK', 0))
        if rank != 0:  # most errors meet all ranks alike: the first one says it, and the launcher ends the others
            time.sleep(5)
        sys.exit(f'\nerror: {printable(message, _MOST_SHOWN)}' + (f' (rank {rank})' if rank else ''))
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
            # gloo's threads end with the last reference to the group, which is in a circle around the Runner. One that
            # still runs when Python ends may abort the process.
            atexit.register(gc.collect)


def _message(error: BaseException) -> str | None:
    """What to say of an error that the user can mend; None of any other."""
    full = next((each for each in _chain(error) if isinstance(each, OSError) and each.errno in FULL), None)
    if full is not None:  # torch and others raise an error of their own in its place
        place = f' ({full.filename})' if full.filename else ''
        return f'{full.strerror}{place}. Make room on that disk; a training continues with --resume'
    if isinstance(error, (DistillationError, NotFiniteError)):  # the latter: losses or weights are not finite
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:  # a file that the user can name or mend
        return str(error)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those in whose handling it was raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

#!/usr/bin/env python
"""Look at a distillation before it is trained, and say what would be wasted.

Data, pair and weights are checked as tools/train.py checks them, and the pair is described. Then each teacher is tested
on a few pictures, and a few real batches go forward and backward: the value of each loss, its share of the gradient at
the maps that are compared, over how many places a softmax of maps spreads, what is trained, memory and seconds. The
exit code is 1 where a training would be wasted. Nothing is written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmengine.config import DictAction  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402

from mmdet_kd.checks import (  # noqa: E402
    begin_training,
    check_training,
    describe_training,
    quiet_config,
)
from mmdet_kd.errors import printable  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402

CONSOLE = Console(highlight=False, soft_wrap=True)
INDENT = 8 * ' '


def parse_args() -> argparse.Namespace:
    """Options under mmdet's names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a distillation')
    parser.add_argument('--steps', type=cli.positive, default=3, help='batches to take (default: %(default)s)')
    parser.add_argument(
        '--pictures', type=cli.positive, default=24, help='to test each teacher on (default: %(default)s)'
    )
    parser.add_argument(
        '--gpus',
        type=cli.positive,
        default=1,
        metavar='N',
        help='that will train: each takes fewer of the iterations that a schedule counts (default: 1)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config, e.g. model.distillers.hint.loss.loss_weight=5.0 (no spaces inside)',
    )
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser.parse_args()


def main() -> None:
    """Describe the pair and check it; the exit code says whether a training is worth its time."""
    args = parse_args()
    with cli.command_line(), scratch_folder() as folder:
        runner = begin_training(quiet_config(cli.load_config(args), folder))
        for fact in describe_training(runner):
            tell(fact)
        sys.exit(int(not judge(runner, args)))


def judge(runner: Runner, args: argparse.Namespace) -> bool:
    """Print a line a verdict, and the cure below it; returns whether all is well."""
    well = True
    for verdict in check_training(runner, args.steps, args.pictures, tell, args.gpus):
        show(f'{"ok" if verdict.passed else "FAILED":{len(INDENT)}}{verdict.subject}: {verdict.found}')
        if not verdict.passed:
            well = False
            tell(verdict.cure)
    return well


def tell(line: str) -> None:
    """Print a line that is no verdict."""
    show(INDENT + line)


def show(line: str) -> None:
    """Print a line, whose parts may come from files."""
    CONSOLE.print(escape(printable(line)))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is removed in the end, unless it holds the list of what is wrong with the data."""
    folder = Path(tempfile.mkdtemp(prefix='mmdet_kd-check-'))
    try:
        yield folder
    finally:
        if not (folder / 'data_problems.txt').exists():
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Train configs with the same seeds, and compare what they reach with what the first one does.

With one seed all configs start from the same weights, where they have the same student, and see the same data in the
same order. What is trained lies in DIR/NAME/seedN, the table and its numbers in DIR/table.md and DIR/table.json. An
interrupted comparison goes on with the same command; what is finished is not trained again, and nothing is removed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

from mmdet_kd.comparison import (  # noqa: E402
    alone_in,
    arms_of,
    end_like_ctrl_c,
    notes_on,
    rows_of,
    train_all,
    trainings_of,
    write_comparison,
)
from mmdet_kd.runtime import cli  # noqa: E402

TOOLS = Path(__file__).resolve().parent


def parse_args() -> argparse.Namespace:
    """Configs, seeds, a folder, and what tools/train.py is to be told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='the first one is what others are compared with')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the trainings and the table')
    parser.add_argument('--seeds', type=positive, default=1, metavar='N', help='how many, from 0 on (default: 1)')
    parser.add_argument(
        '--from',
        dest='earlier',
        metavar='DIR',
        help='--out of an earlier comparison, whose trainings are taken where it has them, if they are the same',
    )
    parser.add_argument('--gpus', type=positive, default=1, metavar='N', help='train on N GPUs (default: 1)')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rates; see tools/train.py')
    return parser.parse_args()


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, not {number}')
    return number


def main() -> None:
    """Train what is not trained yet, and write the table."""
    args = parse_args()
    with cli.command_line():
        compare(args)


def compare(args: argparse.Namespace) -> None:
    """Train what is not trained yet, and write the table.

    Raises:
        DistillationError: something cannot be trained or compared.
    """
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    flags = [flag for flag, is_set in (('--amp', args.amp), ('--auto-scale-lr', args.auto_scale_lr)) if is_set]
    arms = arms_of(args.configs, flags, args.gpus)
    with alone_in(args.out) as lock:
        trainings = trainings_of(arms, range(args.seeds), args.out, args.earlier)
        train_all(trainings, TOOLS, console, lock)
        write_comparison(rows_of(trainings), Path(args.out), notes_on(arms), console)
    console.print(f'It is in {args.out}: table.md, table.json', markup=False)


if __name__ == '__main__':
    end_like_ctrl_c()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('\nInterrupted. The same command goes on from here.')

"""A comparison as a command: its options, and its course from configs to a table."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from ..runtime import cli
from .arms import arms_of, notes_on, rows_of, train_all, trainings_of, write_comparison
from .stages import Lock, end_like_ctrl_c
from .training import Training


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a comparison can be told beside its configs and its folder."""
    parser.add_argument('--seeds', type=cli.positive, default=1, metavar='N', help='how many, from 0 on (default: 1)')
    parser.add_argument(
        '--from',
        dest='earlier',
        metavar='DIR',
        help='--out of an earlier comparison, whose trainings are taken where it has them, if they are the same',
    )
    parser.add_argument('--gpus', type=cli.positive, default=1, metavar='N', help='train on N GPUs (default: 1)')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs a GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rates from the configs' base_batch_size to the batch sizes at hand",
    )
    parser.add_argument('--no-report', action='store_true', help='leave out report.html and report.md')
    parser.add_argument(
        '--no-pictures', action='store_true', help='show no picture of the data in the report, if it is not to be shown'
    )


def given_options(args: argparse.Namespace) -> list[str]:
    """What was said of these options, as it can be said again; nothing where it is the default."""
    valued = {'--seeds': args.seeds, '--gpus': args.gpus, '--from': args.earlier}
    flags = {
        '--amp': args.amp,
        '--auto-scale-lr': args.auto_scale_lr,
        '--no-report': args.no_report,
        '--no-pictures': args.no_pictures,
    }
    said = [part for name, value in valued.items() if value not in (1, None) for part in (name, str(value))]
    return [*said, *(name for name, is_set in flags.items() if is_set)]


def run_command(main: Callable[[], None]) -> None:
    """Run a command that can go on where it was interrupted: it ends its stage first, by Ctrl-C and by SIGTERM."""
    end_like_ctrl_c()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('\nInterrupted. The same command goes on from here.')


def console_of_command() -> Console:
    """Where a command of comparisons prints to."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def compare(
    configs: Sequence[str | Path],
    args: argparse.Namespace,
    tools: Path,
    console: Console,
    lock: Lock,
    before: Callable[[Sequence[Training]], None] = lambda trainings: None,
) -> list[Training]:
    """Train what is not trained yet, and write the table.

    Args:
        configs: the first one is what the others are compared with.
        args: ``out``, the folder, and the options of :func:`add_options`.
        tools: see :meth:`Training.command`.
        console: to print to.
        lock: of the folder.
        before: is called with the trainings when it is known that they can be compared, before the first one begins.

    Returns:
        The trainings, all of them finished, seed by seed.

    Raises:
        DistillationError: something cannot be trained or compared.
    """
    flags = [flag for flag, is_set in (('--amp', args.amp), ('--auto-scale-lr', args.auto_scale_lr)) if is_set]
    arms = arms_of(configs, flags, args.gpus)
    trainings = trainings_of(arms, range(args.seeds), args.out, args.earlier)
    before(trainings)
    train_all(trainings, tools, console, lock)
    write_comparison(rows_of(trainings), Path(args.out), notes_on(arms), console)
    console.print(f'It is in {args.out}: table.md, table.json', markup=False)
    return trainings

#!/usr/bin/env python
"""Train configs with the same seeds, and compare what they reach with what the first one does.

With one seed all configs start from the same weights, where they have the same student, and see the same data in the
same order. What is trained lies in DIR/NAME/seedN, the table and its numbers in DIR/table.md and DIR/table.json, and
what they mean in DIR/report.html. An interrupted comparison goes on with the same command; what is finished is not
trained again, and nothing is removed.

Folders of finished trainings in the place of configs are compared as they are: a work dir, or a folder with seed0,
seed1, ... in it. Nothing is trained then, and the report is all that is written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.comparison import add_options, alone_in, compare, console_of_command, run_command  # noqa: E402
from mmdet_kd.errors import DistillationError  # noqa: E402
from mmdet_kd.report import finished_trainings, report  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402

TOOLS = Path(__file__).resolve().parent


def parse_args() -> argparse.Namespace:
    """Configs, seeds, a folder, and what tools/train.py is to be told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs',
        nargs='+',
        metavar='CONFIG',
        help='a config, or the folder of a finished training; the first one is what others are compared with',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the trainings, the table, the report')
    add_options(parser)
    return parser.parse_args()


def main() -> None:
    """Train what is not trained yet, and write the table and the report."""
    args, console = parse_args(), console_of_command()
    folders = [each for each in args.configs if Path(each).is_dir()]
    with cli.command_line():
        if folders and len(folders) < len(args.configs):
            raise DistillationError(
                [f'{", ".join(folders)} is the folder of a training, and others are configs: name the one or the other']
            )
        with alone_in(args.out) as lock:
            if folders:
                report(finished_trainings(folders), args.out, console, pictures=not args.no_pictures)
                return
            trainings = compare(args.configs, args, TOOLS, console, lock)
            if not args.no_report:
                report(trainings, args.out, console, pictures=not args.no_pictures)


if __name__ == '__main__':
    run_command(main)

#!/usr/bin/env python
"""Look at a distillation before it is trained, and say what would be wasted.

Data, pair and weights are checked as tools/train.py checks them. Then each teacher is tested on a few validation
pictures, and a few real batches go forward and backward: the value of each loss, its share of the gradient at the maps
that are compared, what is trained, memory and seconds. The exit code is 1 where a training would be wasted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmengine.runner import Runner  # noqa: E402
from rich.console import Console  # noqa: E402

from mmdet_kd.checks import check_training  # noqa: E402
from mmdet_kd.hooks import TrainingClassesHook  # noqa: E402
from mmdet_kd.runtime import check_data_files, check_pretrained, cli, require_annotations  # noqa: E402

CONSOLE = Console(highlight=False, soft_wrap=True)


def parse_args() -> argparse.Namespace:
    """Options under mmdet's names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a distillation')
    parser.add_argument('--steps', type=int, default=3, help='batches to take (default: %(default)s)')
    parser.add_argument('--pictures', type=int, default=24, help='to test a teacher on (default: %(default)s)')
    cli.add_run_options(parser)
    return parser.parse_args()


def main() -> None:
    """Check, print a line a verdict, and say by the exit code whether a training is worth its time."""
    args = parse_args()
    with cli.command_line():
        cfg = cli.load_config(args)
        cfg.log_level = 'ERROR'
        check_data_files(cfg, ['train', 'val'])
        check_pretrained(cfg.get('model', {}))
        runner = cli.build_runner(cfg)
        prepare(runner)
        failed = False
        for verdict in check_training(runner, args.steps, args.pictures):
            mark = '[green]ok[/]    ' if verdict.passed else '[red]FAILED[/]'
            CONSOLE.print(f'{mark} [bold]{verdict.subject}[/]: {verdict.found}')
            if not verdict.passed:
                failed = True
                CONSOLE.print(f'       {verdict.cure}')
        sys.exit(int(failed))


def prepare(runner: Runner) -> None:
    """Bring the runner where a training begins: data checked, classes said, teachers loaded."""
    require_annotations(runner)
    TrainingClassesHook().before_run(runner)
    runner.model.init_weights()


if __name__ == '__main__':
    main()

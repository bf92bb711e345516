#!/usr/bin/env python
"""Look at a distillation before it is trained, and say what would be wasted.

Data, pair and weights are checked as tools/train.py checks them. Then each teacher is tested on a few pictures, and a
few real batches go forward and backward: the value of each loss, its share of the gradient at the maps that are
compared, what is trained, memory and seconds. The exit code is 1 where a training would be wasted. Nothing is written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmengine.config import Config, DictAction  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402

from mmdet_kd.checks import check_training  # noqa: E402
from mmdet_kd.errors import printable  # noqa: E402
from mmdet_kd.hooks import TrainingClassesHook  # noqa: E402
from mmdet_kd.runtime import check_data_files, check_pretrained, cli, require_annotations  # noqa: E402

CONSOLE = Console(highlight=False, soft_wrap=True)


def parse_args() -> argparse.Namespace:
    """Options under mmdet's names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a distillation')
    parser.add_argument('--steps', type=positive, default=3, help='batches to take (default: %(default)s)')
    parser.add_argument('--pictures', type=positive, default=24, help='to test each teacher on (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config, e.g. model.distillers.hint.loss.loss_weight=5.0 (no spaces inside)',
    )
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser.parse_args()


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, not {number}')
    return number


def main() -> None:
    """Check, print a line a verdict, and say by the exit code whether a training is worth its time."""
    args = parse_args()
    with cli.command_line(), scratch_folder() as folder:
        runner = begin(made_quiet(cli.load_config(args), folder))
        failed = False
        for verdict in check_training(runner, args.steps, args.pictures, tell=lambda line: show(f'        {line}')):
            show(f'{"ok      " if verdict.passed else "FAILED  "}{verdict.subject}: {verdict.found}')
            if not verdict.passed:
                failed = True
                show(f'        {verdict.cure}')
        sys.exit(int(failed))


def show(line: str) -> None:
    """Print a line, whose parts may come from files."""
    CONSOLE.print(escape(printable(line)))


def made_quiet(cfg: Config, folder: Path) -> Config:
    """A config whose run writes to a folder of its own alone, says nothing but errors, and draws the same each time."""
    warnings.simplefilter('ignore')
    cfg = Config(cfg.to_dict(), filename=cfg.filename, format_python_code=False)  # which takes longer than a step
    cfg.work_dir, cfg.log_level, cfg.resume = str(folder), 'ERROR', False
    cfg.randomness = dict(seed=0) | {
        key: value for key, value in cfg.get('randomness', {}).items() if value is not None
    }
    return cfg


def begin(cfg: Config) -> Runner:
    """Bring a runner where a training begins: data checked, classes said, weights and teachers loaded."""
    check_data_files(cfg, ['train', 'val'])
    check_pretrained(cfg.get('model', {}))
    if cfg.get('load_from'):
        cli.check_checkpoint(cfg.load_from)
    runner = cli.build_runner(cfg)
    with redirect_stdout(StringIO()):  # pycocotools reports to it
        require_annotations(runner)
    TrainingClassesHook().before_run(runner)
    runner.model.init_weights()
    runner.load_or_resume()
    return runner


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

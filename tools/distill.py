#!/usr/bin/env python
"""Distil a student: write its configs, check them, train it alone and distilled, export it, and report what was gained.

STUDENT and TEACHER are configs: a path, mmdet::family/config.py, or the name of one of this package's. The configs are
OUT/student.py and OUT/distilled.py, the same student with a teacher. Each is written once and then belongs to you:
stop after it by --dry-run, edit it, and call the tool again with the same arguments; it goes on with it as it stands.
An interrupted run goes on likewise. What is finished is not done again, and nothing is removed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from rich.markup import escape  # noqa: E402

from mmdet_kd.comparison import (  # noqa: E402
    Lock,
    Training,
    add_options,
    alone_in,
    compare,
    console_of_command,
    export,
    exported_scores,
    given_options,
    run_command,
)
from mmdet_kd.config_writer import (  # noqa: E402
    DISTILLED,
    STUDENT,
    Plan,
    Request,
    plan_configs,
    sizes_said,
    write_once,
)
from mmdet_kd.errors import DistillationError, printable  # noqa: E402
from mmdet_kd.report import data_of, report  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402
from mmdet_kd.teachers import find_teacher_files  # noqa: E402

TOOLS = Path(__file__).resolve().parent
CONSOLE = console_of_command()


def parse_args() -> argparse.Namespace:
    """A pair, a method, data, and a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('student', metavar='STUDENT', help='config of the detector that learns')
    parser.add_argument('teacher', metavar='TEACHER', nargs='?', help='config of the model that teaches')
    parser.add_argument(
        'checkpoint',
        metavar='TEACHER.pth',
        nargs='?',
        help='its weights, a file or an address; a fragment says its own',
    )
    parser.add_argument(
        '--method',
        nargs='+',
        default=[],
        metavar='NAME',
        help='what the student learns: chen2017, pkd, fgd, ..., or a fragment of your own; several add up',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to; made if missing')
    parser.add_argument(
        '--data',
        metavar='ROOT',
        help="your own set, in COCO's, VOC's, YOLO's, LabelImg's or Roboflow's layout (default: the student's data)",
    )
    parser.add_argument(
        '--schedule', metavar='NAME', help='schedule of a student that has none: a path, or a name of this package'
    )
    add_options(parser)
    parser.add_argument(
        '--only',
        choices=['student', 'distilled'],
        help='train this one alone; then nothing is compared. The student alone needs no TEACHER and no --method',
    )
    parser.add_argument('--no-check', action='store_true', help='train without looking at the distillation before')
    parser.add_argument('--dry-run', action='store_true', help='write the configs, say what comes next, and stop')
    args = parser.parse_args()
    if bool(args.teacher) != bool(args.method) or not (args.teacher or args.only == 'student'):
        parser.error('name TEACHER and --method; without both, --only student trains the student alone')
    return args


def main() -> None:
    """Do what is not done yet, stage by stage."""
    args = parse_args()
    with cli.command_line():
        request = Request(args.student, args.teacher, args.checkpoint, args.data, args.method, args.schedule)
        plan = plan_configs(request, Path(args.out), args.auto_scale_lr, args.gpus)
        with alone_in(args.out) as lock:
            go_on(args, plan, write_once(Path(args.out), request.arguments, plan.texts), lock)


def go_on(args: argparse.Namespace, plan: Plan, written: Mapping[str, str], lock: Lock) -> None:
    """From the configs to the student."""
    folder = Path(args.out)
    for line in [*plan.notes, *(f'{folder / name}: {said}' for name, said in written.items())]:
        show(line)
    if args.dry_run:
        cfg = cli.read_config(folder / list(written)[-1])
        find_teacher_files(cfg)
        for line in [*sizes_said(cfg), '\nNext:']:
            show(line)
        for each in commands(folder, given_options(args), only=args.only):
            show(f'  {each}')
        return
    names = [STUDENT, DISTILLED] if args.only is None else [f'{args.only}.py']
    configs = [folder / name for name in names]
    trainings = compare(configs, args, TOOLS, CONSOLE, lock, lambda planned: check(planned, args.gpus, args.no_check))
    deliver(trainings, folder, lock)
    if not args.no_report:
        said = commands(folder, given_options(args), trainings[-1].checkpoint.name, args.only)
        report(trainings, folder, CONSOLE, commands=said, pictures=not args.no_pictures)


def check(trainings: Sequence[Training], gpus: int, is_skipped: bool) -> None:
    """Look at the distillation, unless it is training already or the check is skipped.

    Raises:
        DistillationError: the training would be wasted.
    """
    distilled = [training for training in trainings if training.title == Path(DISTILLED).stem]
    if is_skipped or not distilled or any(training.state != 'new' for training in distilled):
        return
    config = distilled[0].recipe.config
    show(f'\nA look at {config} before it trains:')
    if subprocess.run([sys.executable, TOOLS / 'check.py', config, '--gpus', str(gpus)]).returncode:
        raise DistillationError(
            [
                f'the training would be wasted, as said above. Edit {config}, or {STUDENT} beside it where it concerns '
                'both, or write --no-check if you know better'
            ]
        )
    show('')


def deliver(trainings: Sequence[Training], folder: Path, lock: Lock) -> None:
    """Export the distilled student of the first seed, test what was exported, and say where it is."""
    distilled = next((training for training in trainings if training.title == Path(DISTILLED).stem), None)
    if distilled is None:
        return
    exported = export(distilled, folder / 'exported', TOOLS, lock)
    scores = exported_scores(distilled, exported, TOOLS, CONSOLE, lock)
    said = ', '.join(f'{name} {score:.4g}' for name, score in scores.items())
    judged_on = data_of(distilled.recipe.read(), 'test')
    show(f'{exported[0]} and {exported[1].name}: the student of {distilled}, for MMDetection alone')
    show(f'Tested by MMDetection alone on {judged_on}: {said}')


def commands(
    folder: Path, options: Sequence[str], checkpoint: str = 'epoch_N.pth', only: str | None = None
) -> list[str]:
    """The commands of the further stages, as they run from the working directory; the options are the comparison's."""
    student, distilled, exported = folder / STUDENT, folder / DISTILLED, folder / 'exported'
    if only == 'student':
        return [command('compare', student, '--out', folder, *options)]
    gpus = [part for pair in pairwise(options) if pair[0] == '--gpus' for part in pair]
    return [
        command('check', distilled, *gpus),
        command('compare', student, distilled, '--out', folder, *options),
        command('export_student', distilled, folder / distilled.stem / 'seed0' / checkpoint, '--out', exported),
        command('test', exported / 'student.py', exported / 'student.pth'),
    ]


def command(tool: str, *args: str | Path) -> str:
    """How a tool of this package is called: by its path in a checkout, by mim where it is installed."""
    place = Path(__file__).absolute().parent
    if place.parent.name != '.mim':
        path = place / f'{tool}.py'
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return shlex.join(['python', str(path), *map(str, args)])
    if tool == 'test':
        config, checkpoint = args
        return shlex.join(['mim', 'test', 'mmdet_kd', str(config), '--checkpoint', str(checkpoint)])
    return shlex.join(['mim', 'run', 'mmdet_kd', tool, *map(str, args)])


def show(text: str) -> None:
    """Print text, whose parts may come from files."""
    CONSOLE.print(escape(printable(text)))


if __name__ == '__main__':
    run_command(main)

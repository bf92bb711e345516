#!/usr/bin/env python
"""Write the configs of a distillation: OUT/student.py, and OUT/distilled.py, the same student with a teacher.

STUDENT and TEACHER are configs: a path, mmdet::family/config.py, or the name of one of this package's. Each file is
written once and then belongs to you: called again with the same arguments, the tool uses it as it stands.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402

from mmdet_kd.config_writer import DISTILLED, STUDENT, Request, plan_configs, write_once  # noqa: E402
from mmdet_kd.errors import printable  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402

CONSOLE = Console(highlight=False, soft_wrap=True)


def parse_args() -> argparse.Namespace:
    """A pair, a method, data, and a folder."""
    # mim reads the help of tools: an option for a number of GPUs must not appear in it.
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('student', metavar='STUDENT', help='config of the detector that learns')
    parser.add_argument('teacher', metavar='TEACHER', help='config of the model that teaches')
    parser.add_argument(
        'checkpoint',
        metavar='TEACHER.pth',
        nargs='?',
        help='its weights, a file or an address; a fragment says its own',
    )
    parser.add_argument(
        '--method',
        nargs='+',
        required=True,
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
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate from the config's base_batch_size to the batch size at hand",
    )
    parser.add_argument('--dry-run', action='store_true', help='write the configs, say what comes next, and stop')
    return parser.parse_args()


def main() -> None:
    """Write what is not there yet, and say what comes next."""
    args = parse_args()
    with cli.command_line():
        folder = Path(args.out).expanduser()
        request = Request(args.student, args.teacher, args.checkpoint, args.data, args.method, args.schedule)
        plan = plan_configs(request, folder, args.auto_scale_lr)
        written = write_once(folder, request._asdict(), plan.texts)
        for line in [*plan.notes, *(f'{folder / name}: {said}' for name, said in written.items())]:
            show(line)
        show('\nNext:')
        for command in commands(folder, args.auto_scale_lr):
            show(f'  {command}')


def commands(folder: Path, scales_lr: bool) -> list[str]:
    """The commands of the further stages, as they run from the working directory."""
    student, distilled = folder / STUDENT, folder / DISTILLED
    runs = {path: folder / path.stem for path in (student, distilled)}
    options = ['--auto-scale-lr'] if scales_lr else []
    exported = folder / 'exported'
    return [
        command('check', distilled),
        *(command('train', path, '--work-dir', run, *options) for path, run in runs.items()),
        command('export_student', distilled, runs[distilled] / 'epoch_N.pth', '--out', exported),
        command('test', exported / 'student.py', exported / 'student.pth'),
        command('test', student, runs[student] / 'epoch_N.pth'),
    ]


def command(tool: str, *args: str | Path) -> str:
    """How a tool of this package is called: by its path in a checkout, by mim where it is installed."""
    place = Path(__file__).absolute().parent
    if place.parent.name != '.mim':
        path = place / f'{tool}.py'
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return shlex.join(['python', str(path), *map(str, args)])
    if tool == 'train':
        return shlex.join(['mim', 'train', 'mmdet_kd', *map(str, args)])
    if tool == 'test':
        config, checkpoint = args
        return shlex.join(['mim', 'test', 'mmdet_kd', str(config), '--checkpoint', str(checkpoint)])
    return shlex.join(['mim', 'run', 'mmdet_kd', tool, *map(str, args)])


def show(text: str) -> None:
    """Print text, whose parts may come from files."""
    CONSOLE.print(escape(printable(text)))


if __name__ == '__main__':
    main()

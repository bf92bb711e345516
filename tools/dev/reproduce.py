#!/usr/bin/env python
"""Train what the papers report, and take what we measure into the metafiles. reproduce.sh calls it.

An experiment is a model of a metafile that has `Reported`: the number of a paper, and the tolerance, ours, within which
we call it reproduced. Teachers are trained first, then students alone, then distilled ones. An experiment whose
`Results` are in the metafile is skipped. A training that was interrupted goes on.

Environment: GPUS, how many GPUs of this machine train together (8; 0: a process without torchrun, for trials), and
DATA, the folder that holds coco/, VOCdevkit/ and kitti/ (data).
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tools' / 'dev')]

import torch  # noqa: E402
from experiments import ALL_GPUS, Experiments, Step  # noqa: E402
from metafiles import all_metafiles, metafile_text, read_metafile  # noqa: E402

from mmdet_kd.comparison import run_command  # noqa: E402
from mmdet_kd.errors import DistillationError, raise_if_any  # noqa: E402
from mmdet_kd.files import written_whole  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402
from mmdet_kd.runtime.results import in_points, last_validation, points, validation_curve  # noqa: E402
from mmdet_kd.version import __version__  # noqa: E402

#: How a metafile calls a score -> its task, and its name in the log.
METRICS = {
    'box AP': ('Object Detection', 'coco/bbox_mAP'),
    'box AP50': ('Object Detection', 'coco/bbox_mAP_50'),
    'mAP': ('Object Detection', 'pascal_voc/mAP'),
    'Top 1 Accuracy': ('Image Classification', 'crops/top1'),
}
#: How a metafile calls a set -> where it lies below DATA.
FOLDERS = {
    'COCO': 'coco',
    'PASCAL VOC 2007': 'VOCdevkit/VOC2007',
    'PASCAL VOC 2007 + 2012': 'VOCdevkit/VOC2012',
    'KITTI': 'kitti',
    'ILSVRC-DET 2014': 'ILSVRC',
}


def main() -> None:
    """List, or run what is open; say what lies outside its tolerance."""
    args = parse_args()
    with cli.command_line():
        gpus, data = number_of_gpus(os.environ.get('GPUS') or str(ALL_GPUS)), Path(os.environ.get('DATA') or 'data')
        metafiles = args.metafile or all_metafiles()
        steps = Experiments(metafiles, gpus).steps(args.names)
        if args.list:
            print('\n'.join(script(steps, data)))
            return
        todo = open_steps(steps)
        if todo:
            prepare(todo, gpus, data)
        else:
            print('All results are known.')
        for step in todo:
            print(f'\n{heading(step)}\n{shlex.join(step.command)}', flush=True)
            run(step)
            if step.is_open:
                take_in(step)
        off = [step for step in Experiments(metafiles, gpus).steps(args.names) if step.is_off]
    if off:
        sys.exit(f'outside the tolerance: {"; ".join(heading(step) for step in off)}')


def parse_args() -> argparse.Namespace:
    """Which experiments, and whether they are run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help="experiments, with * for anything: 'dicod_*'")
    parser.add_argument('--list', action='store_true', help='print the commands and what is expected; run nothing')
    parser.add_argument(
        '--metafile',
        action='append',
        type=Path,
        metavar='FILE',
        help='what has the experiments and takes the results in; may be repeated (default: those of model-index.yml)',
    )
    return parser.parse_args()


def number_of_gpus(text: str) -> int:
    """What GPUS says.

    Raises:
        DistillationError: it is no number.
    """
    if not re.fullmatch(r'\d+', text):
        raise DistillationError([f'GPUS={text} is no number: set how many GPUs of this machine train, as in GPUS=8'])
    return int(text)


def open_steps(steps: Sequence[Step]) -> list[Step]:
    """The steps whose result is not known, and those that make what these need, where it is not there."""
    needed: set[str] = set()
    todo = []
    for step in reversed(steps):  # each before what it needs
        if step.is_open or (step.leaves in needed and not Path(step.leaves).exists()):
            todo.append(step)
            needed.update(step.needs)
    return todo[::-1]


def prepare(steps: Sequence[Step], gpus: int, data: Path) -> None:
    """Check that the GPUs and the data of some steps are there, and have data/, where configs look, lead to the data.

    Raises:
        DistillationError: something is missing, data/ is another folder, or a metric is not known.
    """
    unknown = [step for step in steps if step.reported and step.reported['Metric'] not in METRICS]
    problems = [f'{step}: its Metric is unknown. Take one of {", ".join(METRICS)}' for step in unknown]
    if gpus > torch.cuda.device_count():
        problems.append(f'GPUS is {gpus}, and torch finds {torch.cuda.device_count()}: set GPUS to how many there are')
    sets = dict.fromkeys(step.model['Metadata']['Training Data'] for step in steps if step.model)
    missing = [f'{data / FOLDERS[name]} ({name})' for name in sets if not (data / FOLDERS[name]).is_dir()]
    if missing:
        problems.append(
            f'there is no {", no ".join(missing)}: set DATA to the folder that holds it, as configs/README.md says, or '
            'name experiments that do not need it'
        )
    elif Path('data').exists() and not data.samefile('data'):
        problems.append(f'the configs read data/, which is there and is not {data}: move it away, or leave DATA out')
    raise_if_any(problems)
    if not Path('data').exists():
        Path('data').symlink_to(data.resolve())


def run(step: Step) -> None:
    """Run the command of a step.

    Raises:
        DistillationError: it failed.
    """
    program, *rest = step.command
    program = sys.executable if program == 'python' else program
    code = subprocess.run([program, *rest], env={'PYTHON': sys.executable, **os.environ}).returncode
    if code:
        raise DistillationError([f'{step} failed (exit code {code}), as said above. Mend it, and call this again'])


def take_in(step: Step) -> None:
    """Write the score of the last epoch into the metafile.

    Raises:
        DistillationError: there is no such score.
    """
    metric, work_dir = step.reported['Metric'], Path(step.leaves).parent
    task, key = METRICS[metric]
    scores, last = last_validation(work_dir), max(validation_curve(work_dir), default=0)
    if last != step.model['Metadata']['Epochs'] or key not in scores:
        raise DistillationError(
            [f'{work_dir} holds no {key} of the last epoch: the detector found nothing, or its config judges otherwise']
        )
    value = points(scores[key]) if in_points(key) else round(scores[key], 2)
    head, models = read_metafile(step.metafile)
    (model,) = (model for model in models if model['Name'] == str(step))
    model['Results'] = [{'Task': task, 'Dataset': model['Metadata']['Training Data'], 'Metrics': {metric: value}}]
    model['Measured'] = f'by us, mmdet_kd {__version__}, {date.today().isoformat()}'
    with written_whole(step.metafile) as draft:
        draft.write_text(metafile_text(head, models))


def script(steps: Sequence[Step], data: Path) -> list[str]:
    """The lines of a shell script that runs the steps, with what is expected as comments."""
    is_there = Path('data').exists() or data.absolute() == Path('data').absolute()
    lines = [] if is_there else [shlex.join(['ln', '-s', str(data.absolute()), 'data'])]
    for step in steps:
        lines += [f'# {heading(step)}', shlex.join(step.command)]
    return lines


def heading(step: Step) -> str:
    """What a step is for, what a paper says of it, and what we have, in a line."""
    said = step.reported
    if said is None:
        return f'{step}: needed by others'
    ours = 'not measured' if step.ours is None else f'{step.ours:g}'
    return (
        f'{step}: {said["Metric"]} {said["Value"]:g} (the number of {said["By"]}), '
        f'tolerance {said["Tolerance"]:g}, ours {ours}'
    )


if __name__ == '__main__':
    run_command(main)

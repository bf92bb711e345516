#!/usr/bin/env python
"""What each method costs a training step on a GPU, at the size of COCO's pictures.

Of each method, in turns: the student's own step, a plain forward pass of the teacher as deep as the method asks (single
precision, nothing folded), and the distilled step; both steps in single precision and in each mixed precision that the
operators of the student take, with a teacher in that precision. The tax is what a distilled step takes beyond the
student's own of the same precision, in plain teacher passes of single precision, with its 95 % confidence interval. One
more run of each step in single precision is traced: for how long it keeps the GPU busy, and how often the host waits.

Then, of the first method: a compiled teacher, and a pass of the teacher beside the student's step, on a stream of its
own. Weights are untrained, pictures are noise. Writes each row, when it is measured, to
benchmarks/results/gpu_<card>.json. Without a GPU it runs too, in single precision and untraced, into no-gpu.json.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import torch  # noqa: E402
from costs import AS_IT_COMES, PLAIN, costs_of, memory_beyond, tax, works_of  # noqa: E402
from meter import Work, busy_and_waits, in_turns, median  # noqa: E402
from mmengine.config import Config  # noqa: E402
from step_time import CONFIGS, in_half, read_config, set_up, show  # noqa: E402
from steps import DEVICE, PlainTeacher, Workload, build, build_distilled, step_of, student_step  # noqa: E402

from mmdet_kd.export import plain_student_config  # noqa: E402
from mmdet_kd.runtime.results import read_results, write_json  # noqa: E402

DISTILLERS = 'configs/_base_/distillers'
#: Pair -> the methods that are measured on it, the best known first: a run that is cut off has them.
METHODS = {
    CONFIGS[0]: (
        *('chen2017-hint-adapted', 'chen2017', 'pkd-two-stage', 'fgd-two-stage', 'cwd', 'mgd-two-stage', 'fitnets'),
        *('fgfi', 'fkd-two-stage', 'gid-two-stage'),
    ),
    'configs/ld/ld_gfl-r50-fpn-from-r101-fpn_1x_coco.py': (
        *('crosskd-gfl', 'crosskd-pkd-gfl', 'dist', 'ld', 'bckd', 'cwd-cls', 'gid'),
    ),
}
SINGLE, HALVES = 'single', ('float16', 'bfloat16')


def main() -> None:
    """Measure, print, write."""
    args = parse_args()
    os.chdir(ROOT)
    set_up()
    work = Workload(args.images, tuple(args.size), args.rois)
    device = torch.cuda.get_device_name() if DEVICE == 'cuda' else 'no GPU'
    card = re.sub('[^a-z0-9]+', '-', device.lower())
    results = Path(args.results) / f'{"gpu_" if DEVICE == "cuda" else ""}{card}.json'
    settings = asdict(work) | dict(device=device, torch=torch.__version__, repeats=args.repeats)
    settings['size'] = args.size
    content = read_results(results)
    if content.get('settings') != settings:
        content = dict(settings=settings, rows={}, of_first={})
    asked = args.methods or [method for methods in METHODS.values() for method in methods]
    tasks = [('rows', Path(method).stem, method, measure_method) for method in asked]
    tasks += [('of_first', 'compiled', asked[0], measure_compiled), ('of_first', 'stream', asked[0], measure_stream)]
    failed = False
    for part, name, method, measure in tasks:
        try:
            content[part][name] = measure(config_of(method, args.pair), work, args.repeats)
        except Exception:  # the others are measured all the same
            traceback.print_exc()
            failed = True
            continue
        write_json(results, content)
        show({name: content[part][name]}, name)
    sys.exit(failed)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('methods', nargs='*', help=f'names in {DISTILLERS}, or files (default: one of each method)')
    parser.add_argument('--pair', help='on which all are measured (default: Faster R-CNNs, for dense heads GFLs)')
    parser.add_argument('--images', type=int, default=4, help='a batch (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=[800, 1333], help='height and width (default: 800 1333)')
    parser.add_argument('--rois', type=int, default=512, help='sampled an image (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=20, help='turns (default: %(default)s)')
    parser.add_argument('--results', default='benchmarks/results', help='for the numbers (default: %(default)s)')
    return parser.parse_args()


def config_of(method: str, pair: str | None) -> Config:
    """A method on its pair."""
    own = next((own for own, methods in METHODS.items() if method in methods), CONFIGS[0])
    path = method if method.endswith('.py') else f'{DISTILLERS}/{method}.py'
    return read_config(path, pair=pair or own)


def precisions_of(cfg: Config) -> Sequence[str]:
    """Single, and the half precisions that all operators of a step take: RoIAlign of mmcv knows no bfloat16."""
    if DEVICE == 'cpu':
        return (SINGLE,)  # mmengine's mixed precision is for accelerators
    return (SINGLE, 'float16') if 'roi_head' in cfg.model else (SINGLE, *HALVES)


def measure_method(cfg: Config, work: Workload, repeats: int) -> dict[str, Any]:
    """Seconds of each kind of step, taxes, memory, the GPU's busy seconds and the host's waits.

    Args:
        cfg: a distillation with one teacher, a detector.
        work: of a step.
        repeats: turns.
    """
    cfg = work.prepared(cfg)
    batch = work.batch(cfg)
    alone = build(plain_student_config(cfg))
    precisions = precisions_of(cfg)
    works: dict[str, Work] = {}
    memory: dict[str, dict[str, float]] = {}
    plain = None
    for precision in precisions:
        half = None if precision == SINGLE else precision
        halved = in_half(cfg, half) if half else cfg
        model = build_distilled(halved, precision=half)
        student, distilled = step_of(alone, halved, batch), step_of(model, halved, batch)
        works |= {f'student, {precision}': student, f'distilled, {precision}': distilled}
        if plain is None:
            plain = PlainTeacher(model, distilled)
            works[PLAIN] = plain.pass_over(batch)
        memory[precision] = memory_beyond(model, distilled, student, plain, batch)
    found = in_turns(works, repeats)
    costs: dict[str, Any] = {f'{name}, s': median(seconds) for name, seconds in found.items()}
    for precision in precisions:
        sides = (found[f'distilled, {precision}'], found[f'student, {precision}'], found[PLAIN])
        costs[f'tax, {precision}'] = tax(*sides)
        costs |= {f'{name}, {precision}': value for name, value in memory[precision].items()}
    return costs | (traced(works) if DEVICE == 'cuda' else {})


def traced(works: dict[str, Work]) -> dict[str, float]:
    """The GPU's busy seconds of both steps in single precision, and the waits of the host in each."""
    found = {}
    for side in ('student', 'distilled'):
        busy, waits = busy_and_waits(works[f'{side}, {SINGLE}'])
        found |= {f'{side} keeps the GPU busy, s': busy, f'waits of the host, {side}': waits}
    return found


def measure_compiled(cfg: Config, work: Workload, repeats: int) -> dict[str, Any]:
    """Seconds and taxes with a teacher as it comes, and with one that is compiled."""
    cfg = work.prepared(cfg)
    teachers = {**AS_IT_COMES, 'compiled': dict(compile=True)}
    return costs_of(in_turns(works_of(cfg, work.batch(cfg), teachers), repeats))


def measure_stream(cfg: Config, work: Workload, repeats: int) -> dict[str, Any]:
    """Seconds of a plain pass of the teacher and the student's step, one after the other and side by side."""
    cfg = work.prepared(cfg)
    batch = work.batch(cfg)
    model = build_distilled(cfg)
    teach = PlainTeacher(model, step_of(model, cfg, batch)).pass_over(batch)
    learn = student_step(cfg, batch)
    works = {'one after the other': one_after_the_other(teach, learn), 'on two streams': on_two_streams(teach, learn)}
    return {f'{name}, s': median(seconds) for name, seconds in in_turns(works, repeats).items()}


def one_after_the_other(teach: Work, learn: Work) -> Work:
    """Both, on one stream."""

    def both() -> None:
        teach()
        learn()

    return both


def on_two_streams(teach: Work, learn: Work) -> Work:
    """Both, so that a GPU may compute one while it computes the other; without a GPU one after the other."""
    if DEVICE != 'cuda':
        return one_after_the_other(teach, learn)
    side = torch.cuda.Stream()

    def both() -> None:
        here = torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            teach()
        learn()
        here.wait_stream(side)

    return both


if __name__ == '__main__':
    main()

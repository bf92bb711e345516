#!/usr/bin/env python
"""What a teacher costs a training step.

Of each config, in turns in one run: the student's own step, a plain forward pass of the teacher as deep as the method
asks (eval mode, no graph, single precision, nothing folded), and the distilled step, with the teacher as it comes and
in bfloat16. The tax is what a distilled step takes beyond the student's own, in plain teacher passes, with its 95 %
confidence interval. Then, for the last config and in a quarter of the turns, how all this grows with the pictures, the
RoIs, the boxes and the hinted levels. Weights are untrained, pictures are noise. Writes each row, when it is measured,
to benchmarks/results/step_time.json (with a compiled teacher step_time_compiled.json, on a GPU ..._cuda.json, in mixed
precision ..._float16.json).
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import torch  # noqa: E402
from costs import AS_IT_COMES, costs_of, memory_of, works_of  # noqa: E402
from meter import in_turns, median  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from steps import DEVICE, Workload, build_distilled, loss_seconds, step_of, taught_by_a_detector_alone  # noqa: E402

from mmdet_kd.runtime.results import read_results, write_json  # noqa: E402

PAIR = 'faster-rcnn-r18-fpn-from-r50-fpn_1x_coco'
CONFIGS = [f'configs/chen2017/{method}_{PAIR}.py' for method in ('chen2017-hint', 'chen2017-hint-adapted', 'chen2017')]
TEACHERS = {**AS_IT_COMES, 'bf16': dict(precision='bfloat16')}
COMPILED = {'compiled': dict(compile=True)}


def main() -> None:
    """Measure, print, write."""
    args = parse_args()
    os.chdir(ROOT)
    set_up()
    size = args.size[0] if len(args.size) == 1 else (args.size[0], args.size[1])
    work = Workload(args.images, size, args.rois)
    teachers = {**(AS_IT_COMES if args.single else TEACHERS), **(COMPILED if args.compile else {})}
    configs = {Path(path).stem: read_config(path, args.amp, args.pair) for path in args.configs}
    marks = {'compiled': args.compile, DEVICE: DEVICE != 'cpu', str(args.amp): args.amp}
    stem = '_'.join(
        ['step_time', *([args.name] if args.name else []), *(mark for mark, is_set in marks.items() if is_set)]
    )
    results = Path(args.results) / f'{stem}.json'
    content = read_results(results)
    if content.get('settings') != settings(work, args):
        content = dict(settings=settings(work, args), rows={}, growth={})
    for row, cfg in configs.items():
        content['rows'][row] = measure(cfg, work, args.repeats, teachers)
        write_json(results, content)  # at once: the next row takes minutes
    show({row: content['rows'][row] for row in configs}, 'Seconds a step, taxes, and memory')
    if args.no_growth or not (args.name or args.configs == CONFIGS):
        return  # docs/numbers.md says that the growth beside the default configs is that of the last of them
    last = list(configs)[-1]
    content['growth'] = dict(grow(configs[last], work, max(2, args.repeats // 4)))
    write_json(results, content)
    show(content['growth'], f'How {last} grows')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs',
        nargs='*',
        default=CONFIGS,
        help='distillations, or fragments of configs/_base_/distillers (default: hints, and all of Chen)',
    )
    parser.add_argument('--pair', default=CONFIGS[0], help='on which fragments are measured (default: %(default)s)')
    parser.add_argument('--images', type=int, default=2, help='a batch (default: %(default)s)')
    parser.add_argument(
        '--size', type=int, nargs='+', default=[320], help='pixels of their sides, or height and width (default: 320)'
    )
    parser.add_argument('--rois', type=int, default=64, help='sampled an image (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=40, help='turns (default: %(default)s)')
    parser.add_argument('--compile', action='store_true', help='measure a compiled teacher too')
    halves = dict(nargs='?', const='float16', default=False, choices=['float16', 'bfloat16'])
    parser.add_argument('--amp', **halves, help='train in mixed precision, float16 if not said (GPUs alone)')
    parser.add_argument('--single', action='store_true', help='leave out the teacher in bfloat16')
    parser.add_argument('--name', help="put into the name of the results' file, so that it is one of its own")
    parser.add_argument(
        '--no-growth',
        action='store_true',
        help='leave out how the last config grows; left out too of configs of your own without --name',
    )
    parser.add_argument('--results', default='benchmarks/results', help='for the numbers (default: %(default)s)')
    return parser.parse_args()


def set_up() -> None:
    """Register modules, and keep them quiet."""
    warnings.simplefilter('ignore')
    register_all_modules()
    if not MMLogger.check_instance_created('step_time'):  # initialisation would be listed weight by weight
        MMLogger.get_instance('step_time', log_level='ERROR')


def read_config(path: str, amp: str | Literal[False] = False, pair: str = CONFIGS[0]) -> Config:
    """A distillation; with ``amp``, the name of a half precision, trained in mixed precision.

    A fragment of distillers alone takes the place of those of the pair.
    """
    cfg = Config.fromfile(path)
    if 'model' not in cfg:
        distillers = cfg.get('distillers')
        cfg = Config.fromfile(pair)
        cfg.model.distillers = distillers
    if not taught_by_a_detector_alone(cfg):
        sys.exit(f'error: {path} has not one teacher that is a detector; a tax is counted in the passes of one')
    return in_half(cfg, amp) if amp else cfg


def in_half(cfg: Config, half: str) -> Config:
    """A config that is trained in mixed precision."""
    cfg = copy.deepcopy(cfg)
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=half)
    return cfg


def settings(work: Workload, args: argparse.Namespace) -> dict[str, Any]:
    """What the numbers depend on."""
    device = torch.cuda.get_device_name() if DEVICE == 'cuda' else torch.backends.cpu.get_cpu_capability()
    machine = dict(threads=torch.get_num_threads(), device=device, torch=torch.__version__)
    of_work = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(work).items()}
    pair = {} if args.pair == CONFIGS[0] else dict(pair=args.pair)
    return of_work | machine | dict(amp=args.amp, repeats=args.repeats) | pair


def measure(cfg: Config, work: Workload, repeats: int, teachers: dict[str, dict] = AS_IT_COMES) -> dict[str, Any]:
    """Seconds of each kind of step, the taxes, and memory.

    Args:
        cfg: a distillation.
        work: of a step.
        repeats: turns.
        teachers: name -> options of the teacher.
    """
    cfg = work.prepared(cfg)
    batch = work.batch(cfg)
    return costs_of(in_turns(works_of(cfg, batch, teachers), repeats)) | memory_of(cfg, batch)


def grow(cfg: Config, work: Workload, repeats: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The costs, and the share of the KD losses in a step, of one quantity after the other."""
    for row, other_cfg, other in larger(cfg, work):
        costs = measure(other_cfg, other, repeats)
        losses = measure_losses(other_cfg, other, repeats)
        share = losses['value'] / costs['distilled, teacher as it comes, s']['value']
        yield row, costs | {'KD losses, s': losses, 'their share, %': round(100 * share, 2)}


def larger(cfg: Config, work: Workload) -> Iterator[tuple[str, Config, Workload]]:
    """Name, config and workload of each row of the growth: one quantity after the other takes three sizes."""
    for images in (1, 2, 4):
        yield f'images: {images}', cfg, replace(work, images=images)
    if 'roi_head' in cfg.model:
        for rois in (64, 256, 1024):
            yield f'RoIs: {rois * work.images}', cfg, replace(work, rois=rois)
    for boxes in (1, 10, 100):
        yield f'boxes an image: {boxes}', cfg, replace(work, boxes=boxes)
    most = cfg.model.get('neck', {}).get('num_outs', 0)
    if most and cfg.model.distillers.get('hint'):
        for levels in sorted({1, (most + 1) // 2, most}):
            other = copy.deepcopy(cfg)
            other.model.distillers.hint.levels = tuple(range(levels))
            yield f'hinted levels: {levels}', other, work


def measure_losses(cfg: Config, work: Workload, repeats: int) -> dict[str, float]:
    """Seconds that the KD losses take by themselves."""
    cfg = work.prepared(cfg)
    model = build_distilled(cfg)
    step = step_of(model, cfg, work.batch(cfg))
    return median([loss_seconds(model, step) for _ in range(repeats)])


def show(rows: dict[str, dict], title: str) -> None:
    """Print rows."""
    names = list(next(iter(rows.values())))
    table = Table('', *names, title=title)
    for row, result in rows.items():
        table.add_row(row, *(cell(result[name]) for name in names))
    Console(width=240).print(table)


def cell(value: dict[str, float] | float) -> str:
    """A number, or one with its bounds."""
    if isinstance(value, dict):
        return f'{value["value"]:.3g} ({value["low"]:.3g} to {value["high"]:.3g})'
    return f'{value:g}'


if __name__ == '__main__':
    main()

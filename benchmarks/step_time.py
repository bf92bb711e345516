#!/usr/bin/env python
"""What a teacher costs a training step.

Of each config, in turns in one run: the student's own step, a plain forward pass of the teacher as deep as the method
asks (eval mode, no graph, single precision, nothing folded), and the distilled step, with the teacher as it comes and
in bfloat16. The tax is what a distilled step takes beyond the student's own, in plain teacher passes. Weights are
untrained, pictures are noise. Prints medians with their quartiles, and writes benchmarks/results/step_time.json.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmdet.testing import demo_mm_inputs  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.optim import build_optim_wrapper  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from mmdet_kd.export import drop_pretrained, plain_student_config  # noqa: E402
from mmdet_kd.knowledge import TeacherKnowledge  # noqa: E402
from mmdet_kd.runtime.results import write_json  # noqa: E402

PAIR = 'faster-rcnn-r18-fpn-from-r50-fpn_1x_coco'
CONFIGS = [f'configs/chen2017/{method}_{PAIR}.py' for method in ('chen2017-hint', 'chen2017-hint-adapted', 'chen2017')]
RESULTS = Path('benchmarks/results/step_time.json')


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', default=CONFIGS, help='distillations (default: hints, and all of Chen)')
    parser.add_argument('--images', type=int, default=2, help='a batch (default: %(default)s)')
    parser.add_argument('--size', type=int, default=320, help='pixels of their sides (default: %(default)s)')
    parser.add_argument('--rois', type=int, default=64, help='sampled an image (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=12, help='turns (default: %(default)s)')
    args = parser.parse_args()
    os.chdir(ROOT)
    warnings.simplefilter('ignore')
    register_all_modules()
    MMLogger.get_instance('step_time', log_level='ERROR')  # initialisation would be listed weight by weight
    settings = dict(images=args.images, size=args.size, rois=args.rois, threads=torch.get_num_threads())
    settings['device'] = torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'
    rows = {}
    for path in args.configs:
        rows[Path(path).stem] = measure(Config.fromfile(path), args)
    write_json(RESULTS, dict(settings=settings, rows=rows))
    show(rows)


def measure(cfg: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each kind of step, and the taxes, as medians with quartiles."""
    drop_pretrained(cfg.model)
    cfg.model.teacher.checkpoint = None
    cfg.model.train_cfg.rcnn.sampler.num = args.rois
    lower = copy.deepcopy(cfg)
    lower.model.teacher.precision = 'bfloat16'
    distilled = build(cfg)
    turns = {
        'student': step_of(build(plain_student_config(cfg)), cfg, args),
        'teacher': plain_pass_of(distilled, args),
        'distilled': step_of(distilled, cfg, args),
        'distilled, bf16 teacher': step_of(build(lower), lower, args),
    }
    for turn in turns.values():
        turn()
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(args.repeats):
        for name, turn in turns.items():
            start = time.perf_counter()
            turn()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    result: dict[str, Any] = {name: quartiles(values) for name, values in seconds.items()}
    for name in ('distilled', 'distilled, bf16 teacher'):
        taxes = [
            (with_teacher - alone) / teacher
            for with_teacher, alone, teacher in zip(seconds[name], seconds['student'], seconds['teacher'], strict=True)
        ]
        result[f'tax, {name}'] = quartiles(taxes)
    return result


def build(cfg: Config) -> nn.Module:
    """A detector as the Runner leaves it before the first step."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg.model))
    model.init_weights()
    return model.train().to('cuda' if torch.cuda.is_available() else 'cpu')


def step_of(model: nn.Module, cfg: Config, args: argparse.Namespace) -> Callable[[], None]:
    """A training step on noise."""
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    shape = (3, args.size, args.size)
    batch = demo_mm_inputs(args.images, [shape] * args.images, num_items=[5] * args.images, num_classes=80)

    def step() -> None:
        torch.manual_seed(0)
        model.train_step(copy.deepcopy(batch), optim_wrapper)

    return step


def plain_pass_of(model: nn.Module, args: argparse.Namespace) -> Callable[[], None]:
    """A forward pass of the teacher alone, as deep as the distillers ask."""
    teacher_cfg = copy.deepcopy(model.teacher.cfg.model)
    drop_pretrained(teacher_cfg)
    teacher = MODELS.build(teacher_cfg)
    teacher = teacher.requires_grad_(False).eval().to(next(model.parameters()).device)
    device = next(teacher.parameters()).device
    images = torch.randn(args.images, 3, args.size, args.size, device=device)
    rois = some_rois(args).to(device)
    kinds = {kind for distiller in model.distillers.values() for kind in distiller.kinds}

    def run() -> None:
        knowledge = TeacherKnowledge(teacher, images)
        knowledge.features('neck')
        if 'rpn' in kinds:
            _ = knowledge.rpn
        if 'roi' in kinds:
            knowledge.roi(0, rois)

    return run


def some_rois(args: argparse.Namespace) -> Tensor:
    """As many RoIs as a step samples."""
    count = args.images * args.rois
    corners = torch.rand(count, 2) * args.size / 2
    extents = 8 + torch.rand(count, 2) * args.size / 3
    images = torch.arange(args.images).repeat_interleave(args.rois)[:, None].float()
    return torch.cat([images, corners, corners + extents], dim=1)


def quartiles(values: list[float]) -> dict[str, float]:
    """Median, and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return dict(median=round(middle, 4), low=round(low, 4), high=round(high, 4))


def show(rows: dict[str, dict]) -> None:
    """Print the rows."""
    names = list(next(iter(rows.values())))
    table = Table('', *names, title='Seconds a step, and taxes')
    for row, result in rows.items():
        cells = [
            f'{result[name]["median"]:.2f} ({result[name]["low"]:.2f}-{result[name]["high"]:.2f})' for name in names
        ]
        table.add_row(row, *cells)
    Console(width=200).print(table)


if __name__ == '__main__':
    main()

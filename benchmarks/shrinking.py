#!/usr/bin/env python
"""Does it cost accuracy that a student is trained on pictures shrunk in one way, and used on ones shrunk in another?

With `student_scale`, training loads a picture at the teacher's size and shrinks it for the student on the device; in
use, an ordinary pipeline resizes the original at once, bilinearly or averaging areas. This tests one student on
pictures made in each way: on the validation split as it is drawn, and on one drawn half as large again, which
training's way resizes twice. The numbers go to benchmarks/results/shrinking.json.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mmengine.config import Config  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from mmdet_kd.datasets import ShapesSpec, draw_shapes  # noqa: E402
from mmdet_kd.detectors.student_view import shrink  # noqa: E402
from mmdet_kd.export import plain_student_config  # noqa: E402
from mmdet_kd.hooks.student_only_hook import StudentOnlyHook  # noqa: E402
from mmdet_kd.runtime.results import AP_KEYS, points, write_json  # noqa: E402

RESULTS = Path('benchmarks/results/shrinking.json')
PLAIN = ShapesSpec()
LARGE = ShapesSpec(
    num_train=1, image_size=240, min_diameter=1.5 * PLAIN.min_diameter, max_diameter=1.5 * PLAIN.max_diameter
)
WAYS = {
    'in use': dict(),
    "in use, interpolation='area'": dict(interpolation='area'),
    'as in training': None,
}


def main() -> None:
    """Test a student in each way, on each split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of configs/demo/shapes_distilled-80-from-160.py')
    parser.add_argument('--config', default='configs/demo/shapes_distilled-80-from-160.py')
    args = parser.parse_args()
    checkpoint = Path(args.checkpoint).resolve()
    os.chdir(ROOT)
    cfg = Config.fromfile(args.config)
    scores = {}
    for spec, root in ((PLAIN, 'data/shapes'), (LARGE, 'data/shapes-240')):
        draw_shapes(root, spec)
        for way, change in WAYS.items():
            scores[f'{spec.image_size} px, {way}'] = test(cfg, root, checkpoint, change)
    write_json(RESULTS, scores)
    for name, found in scores.items():
        print(f'{name}: ' + ', '.join(f'{key} {value:.1f}' for key, value in found.items()))


def test(cfg: Config, root: str, checkpoint: Path, resize: dict | None) -> dict[str, float]:
    """Scores in points on the validation split of a drawn set.

    Args:
        cfg: of the distillation.
        root: of the set.
        checkpoint: of the student.
        resize: further settings of the pipeline's Resize; None loads and shrinks as in training.
    """
    scale = cfg.model.student_scale
    cfg = plain_student_config(copy.deepcopy(cfg))
    dataset = cfg.test_dataloader.dataset
    dataset.data_root = f'{root}/'
    cfg.test_evaluator.ann_file = f'{root}/annotations/val.json'
    dataset.pipeline = [changed(step, scale, resize) for step in dataset.pipeline]
    cfg.update(load_from=str(checkpoint), work_dir='work_dirs/shrinking', experiment_name=uuid.uuid4().hex)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(StudentOnlyHook())
    if resize is None:
        runner.model.data_preprocessor.register_forward_pre_hook(
            lambda preprocessor, arguments: (shrink(preprocessor.cast_data(arguments[0]), scale)[0], *arguments[1:])
        )
    found = runner.test()
    return {name: points(found[key]) for name, key in AP_KEYS.items()}


def changed(step: dict, scale: float, resize: dict | None) -> dict:
    """A step of the pipeline; if it resizes, with further settings, or to the teacher's size."""
    if step['type'] != 'Resize':
        return step
    return {**step, **(dict(scale=tuple(round(e / scale) for e in step['scale'])) if resize is None else resize)}


if __name__ == '__main__':
    main()

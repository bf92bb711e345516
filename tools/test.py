#!/usr/bin/env python
"""Test a detector. Of a distillation config, the plain student: neither the teacher nor its config is needed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet.engine.hooks.utils import trigger_visualization_hook  # noqa: E402
from mmdet.evaluation import DumpDetResults  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from torch import nn  # noqa: E402

from mmdet_kd.errors import DistillationError  # noqa: E402
from mmdet_kd.export import plain_student_config, require_class_order, require_fit  # noqa: E402
from mmdet_kd.hooks import StudentOnlyHook  # noqa: E402
from mmdet_kd.runtime import check_data_files, cli, require_test_annotations  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Options under mmdet's names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of a training, or of an exported student')
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to this pickle file')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='draw the predictions into this folder, inside the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds to show each image (default: 2)')
    parser.add_argument('--tta', action='store_true', help="augment each image by the config's tta_pipeline, and merge")
    cli.add_run_options(parser)
    args = parser.parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error('--out must name a .pkl or .pickle file')
    return args


def main() -> None:
    """Build the plain student and test it."""
    args = parse_args()
    with cli.command_line():
        cfg = plain_student_config(cli.load_config(args))
        checkpoint = cli.check_checkpoint(args.checkpoint)
        check_data_files(cfg, ['test'])
        if checkpoint is not None:
            require_class_order(cfg, checkpoint, args.checkpoint, 'test_dataloader')
        cfg.load_from = args.checkpoint
        cfg.resume = False
        if args.show or args.show_dir:
            if 'visualization' not in (cfg.get('default_hooks') or {}):
                raise DistillationError(
                    ["to show predictions, set default_hooks=dict(visualization=dict(type='DetVisualizationHook'))"]
                )
            cfg = trigger_visualization_hook(cfg, args)
        if args.tta:
            augment(cfg)
        runner = cli.build_runner(cfg)
        if checkpoint is not None:
            require_fit(detector_of(runner), checkpoint, args.checkpoint)
        runner.register_hook(StudentOnlyHook())
        require_test_annotations(runner)
        if args.out:
            runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
        runner.test()


def detector_of(runner: Runner) -> nn.Module:
    """The detector inside what spreads it over ranks, or merges what it detects."""
    model = runner.model
    while hasattr(model, 'module'):
        model = model.module
    return model


def augment(cfg: Config) -> None:
    """Test each image in the ways of ``tta_pipeline``, and merge what is detected."""
    if 'tta_pipeline' not in cfg:
        raise DistillationError(
            ['--tta needs a tta_pipeline in the config: the test pipeline, ending in a TestTimeAug (see mmdet)']
        )
    merge = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
    cfg.model = {**cfg.get('tta_model', merge), 'module': cfg.model}
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline


if __name__ == '__main__':
    main()

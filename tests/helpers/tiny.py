"""A COCO-format set of a few drawn shapes, and Faster R-CNNs that train on it in a fraction of a second a step."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

REPO = Path(__file__).resolve().parents[2]
CLASSES = ('circle', 'square', 'triangle')
IMAGE_SIZE = 64


def write_tiny_coco(
    root: str | Path,
    num_train: int = 8,
    num_val: int = 4,
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
) -> Path:
    """Draw `root/{train,val}/*.png` and write `root/{train,val}.json`; each class has an object to train on.

    Args:
        root: folder, made if missing.
        num_train: number of training images.
        num_val: number of validation images.
        classes: names; the shape drawn follows the position, so any names do.
        seed: of the drawing.

    Returns:
        `root`.
    """
    root = Path(root)
    rng = np.random.default_rng(seed)
    for split, count in (('train', num_train), ('val', num_val)):
        _write_split(root, split, count, classes, rng)
    return root


def _write_split(root: Path, split: str, count: int, classes: Sequence[str], rng: np.random.Generator) -> None:
    (root / split).mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id in range(count):
        image = rng.integers(0, 60, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        for _ in range(rng.integers(1, 4)):
            category = int(rng.integers(len(classes)))
            annotations.append(_annotation(len(annotations) + 1, image_id, category, _draw_shape(image, category, rng)))
        if split == 'train' and image_id == count - 1:  # a class without an object is refused
            for category in sorted(set(range(len(classes))) - {each['category_id'] - 1 for each in annotations}):
                box = _draw_shape(image, category, rng)
                annotations.append(_annotation(len(annotations) + 1, image_id, category, box))
        name = f'{image_id:03d}.png'
        cv2.imwrite(str(root / split / name), image)
        images.append({'id': image_id, 'file_name': name, 'height': IMAGE_SIZE, 'width': IMAGE_SIZE})
    categories = [{'id': i + 1, 'name': name} for i, name in enumerate(classes)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (root / f'{split}.json').write_text(json.dumps(content))


def _annotation(number: int, image_id: int, category: int, box: tuple[int, int, int, int]) -> dict:
    x, y, w, h = box
    return {
        'id': number,
        'image_id': image_id,
        'category_id': category + 1,
        'bbox': [x, y, w, h],
        'area': w * h,
        'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]],
        'iscrowd': 0,
    }


def _draw_shape(image: np.ndarray, category: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw one shape in place and return its box as x, y, width, height."""
    size = int(rng.integers(14, 30))
    x, y = (int(v) for v in rng.integers(1, IMAGE_SIZE - size - 1, 2))
    colour = tuple(int(v) for v in rng.integers(120, 256, 3))
    half = size // 2
    if category % 3 == 0:
        cv2.circle(image, (x + half, y + half), half, colour, -1)
    elif category % 3 == 1:
        cv2.rectangle(image, (x, y), (x + size, y + size), colour, -1)
    else:
        points = np.array([[x + half, y], [x, y + size], [x + size, y + size]], dtype=np.int32)
        cv2.fillPoly(image, [points], colour)
    return x, y, size, size


def tiny_student_cfg(data_root: str | Path, work_dir: str | Path, **overrides: Any) -> Config:
    """A complete plain config: Faster R-CNN R18-FPN of base width 8, two epochs of four steps, CocoMetric.

    Args:
        data_root: what `write_tiny_coco` wrote.
        work_dir: of the run.
        **overrides: merged with `Config.merge_from_dict`; dotted keys go in as `**{'train_cfg.max_epochs': 1}`.
    """
    return _tiny_cfg(data_root, work_dir, base_channels=8, overrides=overrides)


def tiny_teacher_cfg(data_root: str | Path, work_dir: str | Path, **overrides: Any) -> Config:
    """The same as `tiny_student_cfg`, twice as wide in backbone, neck and box head."""
    return _tiny_cfg(data_root, work_dir, base_channels=16, overrides=overrides)


def _tiny_cfg(data_root: str | Path, work_dir: str | Path, base_channels: int, overrides: dict) -> Config:
    root = Path(data_root).resolve()
    classes = tuple(c['name'] for c in json.loads((root / 'train.json').read_text())['categories'])
    cfg = Config(
        {
            'default_scope': 'mmdet',
            'work_dir': str(work_dir),
            'model': _model(base_channels, len(classes)),
            **_data(root, classes),
            'train_cfg': {'type': 'EpochBasedTrainLoop', 'max_epochs': 2, 'val_interval': 1},
            'val_cfg': {'type': 'ValLoop'},
            'test_cfg': {'type': 'TestLoop'},
            'optim_wrapper': {
                'type': 'OptimWrapper',
                'optimizer': {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 1e-4},
                'clip_grad': {'max_norm': 35, 'norm_type': 2},
            },
            'param_scheduler': [
                {'type': 'LinearLR', 'start_factor': 0.5, 'by_epoch': False, 'begin': 0, 'end': 6},
                {'type': 'MultiStepLR', 'by_epoch': True, 'begin': 0, 'end': 2, 'milestones': [1], 'gamma': 0.1},
            ],
            'auto_scale_lr': {'enable': False, 'base_batch_size': 2},
            'default_hooks': {
                'timer': {'type': 'IterTimerHook'},
                'logger': {'type': 'LoggerHook', 'interval': 1},
                'param_scheduler': {'type': 'ParamSchedulerHook'},
                'checkpoint': {'type': 'CheckpointHook', 'interval': 1},
                'sampler_seed': {'type': 'DistSamplerSeedHook'},
                'visualization': {'type': 'DetVisualizationHook'},
            },
            'env_cfg': {
                'cudnn_benchmark': False,
                'mp_cfg': {'mp_start_method': 'fork', 'opencv_num_threads': 0},
                'dist_cfg': {'backend': 'nccl'},
            },
            'visualizer': {'type': 'DetLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]},
            'log_processor': {'type': 'LogProcessor', 'window_size': 1, 'by_epoch': True},
            'log_level': 'INFO',
            'load_from': None,
            'resume': False,
            'randomness': {'seed': 0},
        },
        format_python_code=False,  # mmengine formats the text for every checkpoint: longer than the training
    )
    cfg.merge_from_dict(overrides)
    return cfg


def _model(base_channels: int, num_classes: int) -> dict:
    neck_channels, fc_channels = 2 * base_channels, 4 * base_channels
    return {
        'type': 'FasterRCNN',
        'data_preprocessor': {
            'type': 'DetDataPreprocessor',
            'mean': [123.675, 116.28, 103.53],
            'std': [58.395, 57.12, 57.375],
            'bgr_to_rgb': True,
            'pad_size_divisor': 32,
        },
        'backbone': {
            'type': 'ResNet',
            'depth': 18,
            'base_channels': base_channels,
            'num_stages': 4,
            'out_indices': (0, 1, 2, 3),
            'norm_cfg': {'type': 'BN', 'requires_grad': True},
            'style': 'pytorch',
        },
        'neck': {
            'type': 'FPN',
            'in_channels': [base_channels * 2**i for i in range(4)],
            'out_channels': neck_channels,
            'num_outs': 5,
        },
        'rpn_head': {
            'type': 'RPNHead',
            'in_channels': neck_channels,
            'feat_channels': neck_channels,
            'anchor_generator': {
                'type': 'AnchorGenerator',
                'scales': [4],
                'ratios': [0.5, 1.0, 2.0],
                'strides': [4, 8, 16, 32, 64],
            },
            'bbox_coder': {
                'type': 'DeltaXYWHBBoxCoder',
                'target_means': [0.0, 0.0, 0.0, 0.0],
                'target_stds': [1.0, 1.0, 1.0, 1.0],
            },
            'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 1.0},
            'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
        },
        'roi_head': {
            'type': 'StandardRoIHead',
            'bbox_roi_extractor': {
                'type': 'SingleRoIExtractor',
                'roi_layer': {'type': 'RoIAlign', 'output_size': 5, 'sampling_ratio': 1},
                'out_channels': neck_channels,
                'featmap_strides': [4, 8, 16, 32],
                'finest_scale': 16,
            },
            'bbox_head': {
                'type': 'Shared2FCBBoxHead',
                'in_channels': neck_channels,
                'fc_out_channels': fc_channels,
                'roi_feat_size': 5,
                'num_classes': num_classes,
                'bbox_coder': {
                    'type': 'DeltaXYWHBBoxCoder',
                    'target_means': [0.0, 0.0, 0.0, 0.0],
                    'target_stds': [0.1, 0.1, 0.2, 0.2],
                },
                'reg_class_agnostic': False,
                'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0},
                'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
            },
        },
        'train_cfg': {
            'rpn': {
                'assigner': _assigner(0.7, 0.3, low_quality=True),
                'sampler': _sampler(32, 0.5, add_gt=False),
                'allowed_border': -1,
                'pos_weight': -1,
                'debug': False,
            },
            'rpn_proposal': _proposals(64),
            'rcnn': {
                'assigner': _assigner(0.5, 0.5, low_quality=False),
                'sampler': _sampler(16, 0.25, add_gt=True),
                'pos_weight': -1,
                'debug': False,
            },
        },
        'test_cfg': {
            'rpn': _proposals(32),
            'rcnn': {'score_thr': 0.01, 'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 20},
        },
    }


def _assigner(pos_iou_thr: float, neg_iou_thr: float, low_quality: bool) -> dict:
    return {
        'type': 'MaxIoUAssigner',
        'pos_iou_thr': pos_iou_thr,
        'neg_iou_thr': neg_iou_thr,
        'min_pos_iou': min(pos_iou_thr, neg_iou_thr),
        'match_low_quality': low_quality,
        'ignore_iof_thr': -1,
    }


def _sampler(num: int, pos_fraction: float, add_gt: bool) -> dict:
    return {
        'type': 'RandomSampler',
        'num': num,
        'pos_fraction': pos_fraction,
        'neg_pos_ub': -1,
        'add_gt_as_proposals': add_gt,
    }


def _proposals(count: int) -> dict:
    return {
        'nms_pre': 2 * count,
        'max_per_img': count,
        'nms': {'type': 'nms', 'iou_threshold': 0.7},
        'min_bbox_size': 0,
    }


def _data(root: Path, classes: tuple[str, ...]) -> dict:
    resize = {'type': 'Resize', 'scale': (IMAGE_SIZE, IMAGE_SIZE), 'keep_ratio': True}
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
    meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    train_pipeline = [*load, resize, {'type': 'RandomFlip', 'prob': 0.5}, {'type': 'PackDetInputs'}]
    test_pipeline = [load[0], resize, load[1], {'type': 'PackDetInputs', 'meta_keys': meta_keys}]

    def loader(split: str, pipeline: list[dict], training: bool) -> dict:
        return {
            'batch_size': 2 if training else 1,
            'num_workers': 0,
            'persistent_workers': False,
            'drop_last': False,
            'sampler': {'type': 'DefaultSampler', 'shuffle': training},
            'dataset': {
                'type': 'CocoDataset',
                'data_root': f'{root}/',
                'ann_file': f'{split}.json',
                'data_prefix': {'img': f'{split}/'},
                'metainfo': {'classes': classes},
                'test_mode': not training,
                'pipeline': pipeline,
            },
        }

    evaluator = {'type': 'CocoMetric', 'ann_file': str(root / 'val.json'), 'metric': 'bbox', 'format_only': False}
    return {
        'train_dataloader': loader('train', train_pipeline, training=True),
        'val_dataloader': loader('val', test_pipeline, training=False),
        'test_dataloader': loader('val', test_pipeline, training=False),
        'val_evaluator': dict(evaluator),
        'test_evaluator': dict(evaluator),
    }


def load_tool(tool: str) -> ModuleType:
    """A Python tool as a module."""
    spec = importlib.util.spec_from_file_location(Path(tool).stem, REPO / tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_tool(tool: str, *args: str | Path | int) -> None:
    """Run a Python tool in this process, which is faster where what it refuses is tested."""
    before = sys.argv
    sys.argv = [tool, *map(str, args)]
    try:
        with logs_of_its_own():
            load_tool(tool).main()
    finally:
        sys.argv = before


@contextmanager
def logs_of_its_own() -> Iterator[None]:
    """Forget afterwards the logs that runs opened here: mmengine shares them among runs of one name in one second."""
    shared = [kind._instance_dict for kind in (MMLogger, MessageHub, Visualizer, DetLocalVisualizer, DefaultScope)]
    before = [set(instances) for instances in shared]
    try:
        yield
    finally:
        for instances, names in zip(shared, before, strict=True):
            for name in instances.keys() - names:
                del instances[name]


def log_of(work_dir: Path) -> str:
    """What the last run in a work dir logged."""
    return max(work_dir.glob('2*/2*.log')).read_text()


def run_tool(
    args: Sequence[str | Path],
    cwd: str | Path | None = None,
    timeout: float = 600,
    check: bool = True,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run one of the project's tools as its user would.

    Args:
        args: `['tools/train.py', config, ...]`; a `.sh` runs under bash, anything else under this Python.
        cwd: where to run; the repository by default.
        timeout: in seconds.
        check: fail, showing the tool's output, unless it returns 0.
        env: variables beside the present ones.
    """
    tool, *rest = (str(a) for a in args)
    program = 'bash' if tool.endswith('.sh') else sys.executable
    done = subprocess.run(
        [program, str(REPO / tool), *rest],
        cwd=cwd or REPO,
        # One thread: the models are too small to share, the cores are not idle.
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        raise AssertionError(f'{tool} returned {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}')
    return done

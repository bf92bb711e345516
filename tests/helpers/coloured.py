"""Pictures whose classes are colours, and detectors that learn them in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from .architectures import faster
from .tiny import IMAGE_SIZE, tiny_teacher_cfg

#: Class -> its colour, BGR.
COLOURS = {'red': (40, 40, 220), 'green': (40, 220, 40), 'blue': (220, 40, 40)}


def write_coloured_set(root: Path, num_train: int = 64, num_val: int = 24) -> Path:
    """Draw squares and circles, whose colour is their class, in the layout of `write_tiny_coco`."""
    rng = np.random.default_rng(0)
    for split, count in (('train', num_train), ('val', num_val)):
        (root / split).mkdir(parents=True, exist_ok=True)
        images, annotations = [], []
        for image_id in range(count):
            picture = rng.integers(0, 60, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            for corner in rng.permutation(4)[: rng.integers(1, 4)]:  # a quarter of the picture each
                label = int(rng.integers(len(COLOURS)))
                box = _draw(picture, corner, tuple(COLOURS.values())[label], rng)
                annotations.append(
                    dict(id=len(annotations) + 1, image_id=image_id, category_id=label + 1, bbox=box, iscrowd=0)
                    | dict(area=box[2] * box[3])
                )
            name = f'{image_id:03d}.png'
            cv2.imwrite(str(root / split / name), picture)
            images.append(dict(id=image_id, file_name=name, height=IMAGE_SIZE, width=IMAGE_SIZE))
        categories = [dict(id=label, name=name) for label, name in enumerate(COLOURS, start=1)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / f'{split}.json').write_text(json.dumps(content))
    return root


def _draw(picture: np.ndarray, corner: int, colour: tuple[int, ...], rng: np.random.Generator) -> list[int]:
    half = IMAGE_SIZE // 2
    size = int(rng.integers(16, 28))
    x, y = (int(place * half + rng.integers(half - size)) for place in divmod(int(corner), 2))
    if rng.random() < 0.5:
        cv2.rectangle(picture, (x, y), (x + size - 1, y + size - 1), colour, -1)
    else:
        cv2.circle(picture, (x + size // 2, y + size // 2), size // 2, colour, -1)
    return [x, y, size, size]


def train_detector(
    root: Path, work_dir: Path, family: Callable[[Config], Config] = faster, epochs: int = 6
) -> tuple[Config, Path]:
    """Train a detector, or a classifier, of the coloured set.

    Returns:
        Its config and its checkpoint.
    """
    cfg = family(tiny_teacher_cfg(root, work_dir))
    cfg.model.backbone.norm_eval = False
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=epochs)
    cfg.train_dataloader.batch_size = 8
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=4e-3), clip_grad=dict(max_norm=10))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=10),
        dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=epochs, convert_to_iter_based=True),
    ]
    cfg.default_hooks.checkpoint.interval = epochs
    Runner.from_cfg(cfg).train()
    return cfg, work_dir / f'epoch_{epochs}.pth'

"""Small sets drawn in the on-disk layouts of KITTI, ILSVRC-DET, VOC and COCO, and tiny detectors on their fragments."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from helpers import tiny_student_cfg
from helpers.tiny import REPO
from mmdet.datasets import CocoDataset, VOCDataset
from mmdet.evaluation import get_classes
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

WIDTH, HEIGHT = 200, 100
KITTI_LINE = '{} {:.2f} {} -1.57 {:.2f} {:.2f} {:.2f} {:.2f} 1.50 1.60 3.70 1.0 1.6 20.0 -1.60'
DATA_KEYS = ('train_dataloader', 'val_dataloader', 'val_evaluator', 'test_dataloader', 'test_evaluator')


def draw_picture(path: Path, boxes: list[tuple[int, ...]]) -> None:
    """A noisy picture with a bright rectangle in each box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name) + sum(map(sum, boxes)))
    image = rng.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), rng.integers(120, 256, 3).tolist(), -1)
    # cv2 knows no .JPEG in capitals
    path.write_bytes(cv2.imencode('.png' if path.suffix == '.png' else '.jpg', image)[1].tobytes())


def row(count: int, size: int = 30, y: int = 10) -> list[tuple[int, int, int, int]]:
    """Boxes beside each other."""
    step = (WIDTH - size) // max(count - 1, 1)
    return [(step * i, y, step * i + size, y + size + 20) for i in range(count)]


def draw_kitti(root: Path, train: int = 4, val: int = 21) -> Path:
    """Each picture has two objects of each class, and a Van, a Person_sitting, a Tram and a DontCare region below."""
    kinds = ['Car', 'Pedestrian', 'Cyclist'] * 2
    below = ['Van', 'Person_sitting', 'Tram', 'DontCare']
    (root / 'ImageSets').mkdir(parents=True)
    (root / 'training' / 'label_2').mkdir(parents=True)
    names = [f'{number:06d}' for number in range(train + val)]
    (root / 'ImageSets' / 'train.txt').write_text('\n'.join(names[:train]) + '\n')
    (root / 'ImageSets' / 'val.txt').write_text('\n'.join(names[train:]) + '\n')
    for name in names:
        boxes, low = row(6), [(40 * i, 70, 40 * i + 30, 95) for i in range(4)]
        lines = [KITTI_LINE.format(kind, 0, 0, *box) for kind, box in zip(kinds, boxes, strict=True)]
        lines += [
            KITTI_LINE.format(kind, *((-1, -1) if kind == 'DontCare' else (0, 1)), *box)
            for kind, box in zip(below, low, strict=True)
        ]
        (root / 'training' / 'label_2' / f'{name}.txt').write_text('\n'.join(lines) + '\n')
        draw_picture(root / 'training' / 'image_2' / f'{name}.png', [*boxes, *low])
    return root


def write_xml(path: Path, objects: list[tuple[str, tuple[int, ...]]], size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A VOC annotation with corners as given; the last object is difficult if its name ends in `*`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    elements = ''.join(
        f'<object><name>{name.rstrip("*")}</name><difficult>{int(name.endswith("*"))}</difficult><bndbox>'
        f'<xmin>{x1}</xmin><xmax>{x2}</xmax><ymin>{y1}</ymin><ymax>{y2}</ymax></bndbox></object>'
        for name, (x1, y1, x2, y2) in objects
    )
    width, height = size
    path.write_text(
        f'<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>{elements}</annotation>'
    )


def wnid(index: int) -> str:
    """A WordNet id of our own for each class."""
    return f'n{90000000 + index:08d}'


def draw_ilsvrc(root: Path, halves: bool = True) -> Path:
    """8 training and 16 validation pictures of 25 classes each, so that every class is in train, val1 and val2."""
    lists, devkit = root / 'ImageSets' / 'DET', root / 'devkit' / 'data'
    lists.mkdir(parents=True)
    devkit.mkdir(parents=True)
    names = get_classes('imagenet_det')
    # the map spells with blanks, and sorts bow and bow tie in another way than mmdet
    lines = sorted((name.replace('_', ' '), wnid(index)) for index, name in enumerate(names))
    (devkit / 'map_det.txt').write_text(''.join(f'{w} {i} {name}\n' for i, (name, w) in enumerate(lines, start=1)))
    train = {f'ILSVRC2013_train/{wnid(0)}/{wnid(0)}_{i}': range(25 * i, 25 * i + 25) for i in range(8)}
    val = {f'ILSVRC2012_val_{i + 1:08d}': range(25 * (i // 2), 25 * (i // 2) + 25) for i in range(16)}
    for split, pictures in (('train', train), ('val', val)):
        for name, classes in pictures.items():
            boxes = [(40 * (k % 5), 20 * (k // 5), 40 * (k % 5) + 35, 20 * (k // 5) + 18) for k in range(25)]
            draw_picture(root / 'Data' / 'DET' / split / f'{name}.JPEG', boxes)
            objects = [(wnid(index), box) for index, box in zip(classes, boxes, strict=True)]
            write_xml(root / 'Annotations' / 'DET' / split / f'{name}.xml', objects)
    order = [names.index(name.replace(' ', '_')) for name, _ in lines]
    for number, index in enumerate(order, start=1):
        label = {name: 1 if index in classes else -1 for name, classes in train.items()}
        text = ''.join(f'{name} {value}\n' for name, value in label.items())
        (lists / f'train_{number}.txt').write_text(text + 'ILSVRC2013_train_extra0/ILSVRC2013_train_00000001 -1\n')
    (lists / 'val.txt').write_text(''.join(f'{name} {i}\n' for i, name in enumerate(val, start=1)))
    if halves:
        (lists / 'val1.txt').write_text('\n'.join(list(val)[0::2]) + '\n')
        (lists / 'val2.txt').write_text('\n'.join(list(val)[1::2]) + '\n')
    return root


def draw_voc(root: Path) -> Path:
    """`VOCdevkit` of 4 pictures a list, of 5 classes each, the last object of a picture difficult a second time."""
    names = VOCDataset.METAINFO['classes']
    for year, split in (('VOC2007', 'trainval'), ('VOC2007', 'test'), ('VOC2012', 'trainval')):
        ids = [f'{split[:2]}{i:04d}' for i in range(4)]
        (root / year / 'ImageSets' / 'Main').mkdir(parents=True, exist_ok=True)
        (root / year / 'ImageSets' / 'Main' / f'{split}.txt').write_text('\n'.join(ids) + '\n')
        for i, name in enumerate(ids):
            boxes = row(5, size=36)
            draw_picture(root / year / 'JPEGImages' / f'{name}.jpg', boxes)
            objects = [(names[5 * i + k], (x1 + 1, y1 + 1, x2, y2)) for k, (x1, y1, x2, y2) in enumerate(boxes)]
            write_xml(root / year / 'Annotations' / f'{name}.xml', [*objects, ('person*', (1, 70, 60, 100))])
    return root


def draw_coco(root: Path) -> Path:
    """COCO's own 80 classes under ids with gaps, 20 to a picture, a crowd in each."""
    (root / 'annotations').mkdir(parents=True)
    names = CocoDataset.METAINFO['classes']
    ids = [number + number // 9 for number in range(1, 81)]
    for split in ('train2017', 'val2017'):
        images, annotations = [], []
        for i in range(4):
            boxes = [(20 * (k % 10), 40 * (k // 10), 20 * (k % 10) + 18, 40 * (k // 10) + 35) for k in range(20)]
            images.append(dict(id=7 * i + 3, file_name=f'{i:012d}.jpg', width=WIDTH, height=HEIGHT))
            draw_picture(root / split / f'{i:012d}.jpg', boxes)
            for k, (x1, y1, x2, y2) in enumerate([*boxes, (0, 80, 100, 100)]):
                entry = dict(category_id=ids[(20 * i + k) % 80], bbox=[x1, y1, x2 - x1, y2 - y1], iscrowd=int(k == 20))
                area = (x2 - x1) * (y2 - y1)
                annotations.append(dict(id=len(annotations) + 1, image_id=7 * i + 3, area=area, **entry))
        categories = [dict(id=number, name=name) for number, name in zip(ids, names, strict=True)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))
    return root


def fragment_cfg(name: str, root: Path, tiny_set: Path, work_dir: Path) -> Config:
    """A tiny detector that trains an epoch on a fragment of `configs/_base_/datasets/`, at the size of our pictures."""
    fragment = Config.fromfile(REPO / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    cfg = tiny_student_cfg(tiny_set, work_dir, **{'train_cfg.max_epochs': 1})
    own_root = fragment.data_root
    for key in DATA_KEYS:
        cfg[key] = _adapt(fragment[key], own_root, f'{root}/')
    cfg.model.roi_head.bbox_head.num_classes = fragment.num_classes
    cfg.default_scope = 'mmdet'
    return cfg


def _adapt(value, old_root: str, new_root: str):
    if isinstance(value, dict):
        changed = ConfigDict({key: _adapt(item, old_root, new_root) for key, item in value.items()})
        if changed.get('type') == 'Resize':
            changed.scale = (WIDTH, HEIGHT)
        if 'num_workers' in changed:
            changed.update(num_workers=0, persistent_workers=False)
        return changed
    if isinstance(value, (list, tuple)):
        return type(value)(_adapt(item, old_root, new_root) for item in value)
    return value.replace(old_root, new_root, 1) if isinstance(value, str) and value.startswith(old_root) else value


def judge_the_truth(cfg: Config) -> dict[str, float]:
    """What the metrics of a config say of a detector that finds what is annotated, and what is to be ignored."""
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        both = (sample.gt_instances, sample.ignored_instances)
        for instances in both:
            instances.bboxes = instances.bboxes.tensor
        sample.pred_instances = InstanceData(
            bboxes=torch.cat([instances.bboxes for instances in both]),
            labels=torch.cat([instances.labels for instances in both]),
            scores=torch.cat(
                [torch.full((len(instances),), score) for instances, score in zip(both, (0.8, 0.9), strict=True)]
            ),
        )
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))

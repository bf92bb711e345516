"""Each fragment of configs/_base_/datasets/ trains on a set drawn in its layout, and is judged by its own metric."""

from __future__ import annotations

import json

import pytest
from helpers.tiny import REPO, call_tool
from mmdet.evaluation import get_classes
from mmengine.config import Config
from test_datasets.layouts import draw_coco, draw_ilsvrc, draw_kitti, draw_voc, fragment_cfg, judge_the_truth

import mmdet_kd.evaluation  # noqa: F401  # registers KittiMetric
from mmdet_kd.datasets import KITTI_CLASSES, check_coco, check_voc, convert_ilsvrc_det, convert_kitti

# fragment: how to draw it, what its tool does, its training images with a repetition, and its first metric
SETS = {
    'kitti': (draw_kitti, convert_kitti, 4, 'pascal_voc/mAP'),
    'ilsvrc-det': (draw_ilsvrc, convert_ilsvrc_det, 16, 'pascal_voc/mAP'),
    'voc07': (draw_voc, check_voc, 4 * 6, 'pascal_voc/mAP'),
    'voc0712': (draw_voc, check_voc, 8 * 3, 'pascal_voc/mAP'),
    'coco_detection': (draw_coco, check_coco, 4, 'coco/bbox_mAP'),
}
KITTI_KEYS = [f'kitti/{name}_{level}' for name in (*KITTI_CLASSES, 'mAP') for level in ('easy', 'moderate', 'hard')]


#: Those that are tried in each run, a metric each; the others are left to the sweeps.
QUICK = ('kitti', 'voc07', 'coco_detection')


@pytest.fixture(
    scope='module',
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SETS],
)
def cfg(request, tmp_path_factory, tiny_set):
    draw, prepare, *_ = SETS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    root = draw(folder / 'set')
    prepare(root)
    cfg = fragment_cfg(request.param, root, tiny_set, folder / 'run')
    cfg.fragment = request.param
    return cfg


def test_its_metric_gives_full_marks_to_the_truth_and_ignores_what_is_to_be_ignored(cfg):
    result = judge_the_truth(cfg)
    metric = SETS[cfg.fragment][3]
    assert result[metric] == pytest.approx(1)
    assert [key for key in result if key.startswith('kitti')] == (KITTI_KEYS if cfg.fragment == 'kitti' else [])
    for key in KITTI_KEYS if cfg.fragment == 'kitti' else []:
        assert result[key] == pytest.approx(100)


@pytest.mark.slow
def test_it_trains_an_epoch_and_is_judged(cfg, tmp_path):
    _, _, images, metric = SETS[cfg.fragment]
    cfg.dump(tmp_path / 'tiny.py')
    call_tool('tools/train.py', tmp_path / 'tiny.py', '--work-dir', tmp_path / 'run')
    (log,) = (tmp_path / 'run').rglob('scalars.json')
    *steps, judged = map(json.loads, log.read_text().splitlines())
    assert len(steps) == images // 2
    assert all(step['loss_cls'] > 0 and step['loss_bbox'] >= 0 for step in steps)
    assert 0 <= judged[metric] <= 1
    if cfg.fragment == 'kitti':
        assert all(0 <= judged[key] <= 100 for key in KITTI_KEYS)


def test_the_classes_are_those_of_the_sets():
    datasets = REPO / 'configs' / '_base_' / 'datasets'
    for name, classes in (('kitti', KITTI_CLASSES), ('ilsvrc-det', tuple(get_classes('imagenet_det')))):
        cfg = Config.fromfile(datasets / f'{name}.py')
        assert cfg.metainfo.classes == classes
        assert cfg.num_classes == len(classes)
        assert cfg.val_dataloader.dataset.metainfo.classes == classes
        assert cfg.test_dataloader == cfg.val_dataloader

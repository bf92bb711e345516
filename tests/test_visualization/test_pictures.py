"""The pictures are written, and show what they are given."""

import cv2
import numpy as np
from helpers.distil import build
from mmdet.registry import DATASETS

from mmdet_kd.visualization import draw_curves, draw_detections


def test_curves(tmp_path):
    curves = {'alone': {1: 5.0, 2: 10.0}, 'distilled': {1: 10.0, 2: 20.0}}
    draw_curves(curves, tmp_path / 'curves.png', {'alone': 'tab:blue', 'distilled': 'tab:orange'})
    picture = cv2.imread(str(tmp_path / 'curves.png'))
    orange = np.abs(picture.astype(int) - (14, 127, 255)).sum(axis=2) < 30  # BGR of tab:orange
    rows, columns = np.nonzero(orange)
    assert len(rows) > 100
    left = columns < np.median(columns)
    assert rows[left].mean() > rows[~left].mean(), 'the curve rises to the right'


def test_detections(tmp_path, student_cfg):
    dataset = DATASETS.build(student_cfg.val_dataloader.dataset)
    model = build(student_cfg).eval()
    model.roi_head.test_cfg.score_thr = 0.0
    draw_detections({'first': model, 'second': model}, dataset, [0, 1], tmp_path / 'detections.png')
    height, width, _ = cv2.imread(str(tmp_path / 'detections.png')).shape
    assert width / height == 3 / 2  # truth and two models; two images

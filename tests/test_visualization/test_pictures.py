"""The pictures are written, and show what they are given."""

import cv2
import numpy as np
from helpers.distil import build
from mmdet.registry import DATASETS

from mmdet_kd.visualization import draw_curves, draw_detections, picture_with_boxes


def test_curves(tmp_path):
    curves = {'alone': {1: 5.0, 2: 10.0}, 'distilled': {1: 10.0, 2: 20.0}}
    draw_curves(curves, tmp_path / 'curves.png', {'alone': 'tab:blue', 'distilled': 'tab:orange'})
    picture = cv2.imread(str(tmp_path / 'curves.png'))
    orange = np.abs(picture.astype(int) - (14, 127, 255)).sum(axis=2) < 30  # BGR of tab:orange
    rows, columns = np.nonzero(orange)
    assert len(rows) > 100
    left = columns < np.median(columns)
    assert rows[left].mean() > rows[~left].mean(), 'the curve rises to the right'


def test_curves_of_seeds_share_a_colour_and_a_scale_of_their_own(tmp_path):
    """On a logarithmic scale 1, 10, 100 lie on a line; on the other they do not."""
    curves = {'alone': [{1: 1.0, 2: 10.0, 3: 100.0}, {1: 2.0, 2: 20.0, 3: 200.0}]}
    with (tmp_path / 'curves.png').open('wb') as file:
        draw_curves(curves, file, {'alone': 'tab:blue'}, 'step', 'loss', log=True)
    picture = cv2.imread(str(tmp_path / 'curves.png'))
    rows, columns = np.nonzero(np.abs(picture.astype(int) - (180, 119, 31)).sum(axis=2) < 30)  # BGR of tab:blue
    inside = columns > np.quantile(columns, 0.3)  # without the legend
    middle = np.abs(columns - (columns.min() + columns.max()) / 2) < 3
    heights = rows[middle & inside]
    assert np.ptp(heights) > 20  # two lines
    assert abs(heights.mean() - (rows.min() + rows.max()) / 2) < 0.1 * np.ptp(rows)


def test_plain_boxes_lie_where_they_are_in_a_picture_of_another_size(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((50, 100, 3), 90, np.uint8))
    blue, red = (0, 0, 255), (255, 0, 0)
    boxes = {blue: np.array([[10, 10, 40, 30]]), red: np.array([[60, 5, 90, 45]])}
    picture = picture_with_boxes(tmp_path / 'grey.png', boxes, side=200)
    assert picture.shape == (100, 200, 3)
    for colour, ((left, top, right, bottom),) in boxes.items():
        rows, columns = np.nonzero((picture == colour).all(axis=2))
        assert abs(columns.min() - 2 * left) <= 1
        assert abs(columns.max() - 2 * right) <= 1
        assert abs(rows.min() - 2 * top) <= 1
        assert abs(rows.max() - 2 * bottom) <= 1
        assert tuple(picture[top + bottom, left + right]) == (90, 90, 90)  # its middle is left as it is
    assert not (picture_with_boxes(tmp_path / 'grey.png', {blue: np.zeros((0, 4))}) == blue).all(axis=2).any()


def test_detections(tmp_path, student_cfg):
    dataset = DATASETS.build(student_cfg.val_dataloader.dataset)
    model = build(student_cfg).eval()
    model.roi_head.test_cfg.score_thr = 0.0
    draw_detections({'first': model, 'second': model}, dataset, [0, 1], tmp_path / 'detections.png')
    height, width, _ = cv2.imread(str(tmp_path / 'detections.png')).shape
    assert width / height == 3 / 2  # truth and two models; two images

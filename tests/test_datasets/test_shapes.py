import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from mmdet.registry import DATASETS
from mmengine.config import Config
from pycocotools.coco import COCO

from mmdet_kd.datasets import SHAPES, SPLITS, ShapesSpec, draw_image, draw_shapes, is_drawn
from mmdet_kd.datasets import shapes as drawing

REPO = Path(__file__).resolve().parents[2]
SPEC = ShapesSpec(num_train=12, num_val=4, image_size=96, min_diameter=12, max_diameter=40, seed=3)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return draw_shapes(tmp_path_factory.mktemp('shapes') / 'set', SPEC)


def read(root, split):
    return json.loads((root / 'annotations' / f'{split}.json').read_text())


def snapshot(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


# One image.


def test_an_image_is_a_function_of_seed_split_and_index():
    image, shapes = draw_image(SPEC, 'train', 5)
    again, shapes_again = draw_image(SPEC, 'train', 5)
    assert image.dtype == np.uint8
    assert image.shape == (96, 96, 3)
    np.testing.assert_array_equal(image, again)
    assert [shape.label for shape in shapes] == [shape.label for shape in shapes_again]
    for other in (
        draw_image(replace(SPEC, seed=4), 'train', 5),
        draw_image(SPEC, 'val', 5),
        draw_image(SPEC, 'train', 6),
    ):
        assert not np.array_equal(image, other[0])


def test_a_larger_set_begins_with_the_images_of_a_smaller_one():
    small, _ = draw_image(SPEC, 'train', 2)
    large, _ = draw_image(replace(SPEC, num_train=1000, num_val=77), 'train', 2)
    np.testing.assert_array_equal(small, large)


def test_the_box_is_tight_around_the_pixels():
    for index in range(8):
        for shape in draw_image(SPEC, 'train', index)[1]:
            window = drawing._window(shape.outline, SPEC.image_size)
            mask = np.zeros((SPEC.image_size,) * 2)
            mask[window] = drawing._mask(shape.outline, window)
            y, x = np.nonzero(mask > 0.5)  # what the shape covers for the most part
            x1, y1, width, height = drawing._annotation(shape, 0, SPEC.image_size)['bbox']
            # A half covered pixel reaches half a pixel over the outline, and cv2 fills what the outline touches
            # as well, a quarter more.
            assert x1 - 0.75 <= x.min()
            assert x.max() + 1 <= x1 + width + 0.75
            assert y1 - 0.75 <= y.min()
            assert y.max() + 1 <= y1 + height + 0.75
            # The tips of a star are thin, but no tip is cut off by more than a few pixels.
            assert x.max() + 1 - x.min() >= width - 6
            assert y.max() + 1 - y.min() >= height - 6


def test_the_box_of_an_upright_square():
    # Corners at 10 and 30: 20 pixels, all of them covered, and none outside.
    outline = np.array([[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0]])
    shape = drawing.Shape(SHAPES.index('square'), outline)
    annotation = drawing._annotation(shape, 7, 96)
    assert annotation['bbox'] == [10, 10, 20, 20]
    assert annotation['area'] == 400
    assert annotation['image_id'] == 7
    window = drawing._window(outline, 96)
    assert window == (slice(10, 30), slice(10, 30))
    np.testing.assert_array_equal(drawing._mask(outline, window), np.ones((20, 20)))


def test_what_leaves_the_image_is_clipped():
    outline = np.array([[-5.0, 10.0], [15.0, 10.0], [15.0, 30.0], [-5.0, 30.0]])
    annotation = drawing._annotation(drawing.Shape(0, outline), 0, 96)
    assert annotation['bbox'] == [0, 10, 15, 20]
    assert annotation['area'] == 300


def test_a_corner_outside_does_not_stretch_the_box():
    outline = np.array([[-20.0, 10.0], [20.0, 30.0], [20.0, 50.0], [-20.0, 30.0]])
    # Sides run from (-20, 10) to (20, 30) and from (20, 50) to (-20, 30), and cross x = 0 at y = 20 and y = 40.
    annotation = drawing._annotation(drawing.Shape(0, outline), 0, 96)
    assert annotation['bbox'] == [0, 20, 20, 30]
    assert annotation['area'] == 400


def test_a_shape_is_seen_where_it_is_said_to_be():
    spec = replace(SPEC, max_shapes=1, max_clutter=0)
    for index in range(6):
        image, (shape,) = draw_image(spec, 'train', index)
        x1, y1, width, height = drawing._annotation(shape, 0, 96)['bbox']
        outside = np.ones((96, 96), bool)
        outside[int(y1) : int(np.ceil(y1 + height)), int(x1) : int(np.ceil(x1 + width))] = False
        edges = cv2.Canny(cv2.GaussianBlur(image, (5, 5), 0), 60, 120) > 0
        inner = cv2.erode(outside.astype(np.uint8), np.ones((7, 7))) > 0
        assert edges[~inner].sum() >= edges[inner].sum()


def test_every_shape_stays_visible():
    for index in range(20):
        shapes = draw_image(SPEC, 'train', index)[1]
        masks = []
        for shape in shapes:
            window = drawing._window(shape.outline, SPEC.image_size)
            mask = np.zeros((SPEC.image_size,) * 2)
            mask[window] = drawing._mask(shape.outline, window)
            masks = [np.minimum(other, 1 - mask) for other in masks] + [mask]
        assert all(mask.sum() > 20 for mask in masks)


# The set on disk.


def test_pycocotools_reads_it(root):
    for split in SPLITS:
        coco = COCO(root / 'annotations' / f'{split}.json')
        assert len(coco.getImgIds()) == SPEC.num_images(split)
        assert [category['name'] for category in coco.loadCats(coco.getCatIds())] == list(SHAPES)
        for annotation in coco.anns.values():
            x, y, width, height = annotation['bbox']
            assert min(x, y) >= 0
            assert max(x + width, y + height) <= SPEC.image_size + 0.01
            assert min(width, height) > 3
            # The polygon is the shape that the box was made from.
            rows, columns = np.nonzero(coco.annToMask(annotation))
            assert columns.min() >= x - 1
            assert columns.max() <= x + width + 1
            assert rows.min() >= y - 1
            assert rows.max() <= y + height + 1


def test_stock_mmdet_reads_it(root):
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(root),
            ann_file='annotations/train.json',
            data_prefix=dict(img='images/train/'),
            metainfo=dict(classes=SHAPES),
            filter_cfg=dict(filter_empty_gt=False),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
                dict(type='PackDetInputs'),
            ],
        )
    )
    assert len(dataset) == SPEC.num_train
    for index in range(len(dataset)):
        image, shapes = draw_image(SPEC, 'train', index)
        item = dataset[index]
        np.testing.assert_array_equal(item['inputs'].permute(1, 2, 0).numpy(), image)
        instances = item['data_samples'].gt_instances
        assert instances.labels.tolist() == [shape.label for shape in shapes]
        picture = shapely.box(0, 0, SPEC.image_size, SPEC.image_size)
        boxes = [shapely.Polygon(shape.outline).intersection(picture).bounds for shape in shapes]
        np.testing.assert_allclose(instances.bboxes.tensor.numpy(), boxes, atol=0.02)


def test_every_class_is_there(root):
    labels = {annotation['category_id'] for annotation in read(root, 'train')['annotations']}
    assert labels == set(range(1, len(SHAPES) + 1))


def test_ids_are_unique_and_positive(root):
    for split in SPLITS:
        ids = [annotation['id'] for annotation in read(root, split)['annotations']]
        assert ids == list(range(1, len(ids) + 1))


def test_the_same_seed_draws_the_same_bytes(root, tmp_path):
    assert snapshot(draw_shapes(tmp_path / 'again', SPEC)) == snapshot(root)


def test_progress_counts_every_image(tmp_path):
    calls = []
    draw_shapes(tmp_path / 'set', replace(SPEC, num_train=2, num_val=1), lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


# Found again, or drawn anew.


def test_a_whole_set_is_found_again(root, monkeypatch):
    monkeypatch.setattr(drawing, 'draw_image', None)
    assert draw_shapes(root, SPEC) == root


def test_other_parameters_are_drawn_anew(tmp_path):
    small = replace(SPEC, num_train=3, num_val=1)
    root = draw_shapes(tmp_path / 'set', small)
    before = snapshot(root)
    assert not is_drawn(root, replace(small, seed=9))
    assert snapshot(draw_shapes(root, replace(small, seed=9))) != before


@pytest.mark.parametrize('lost', ['images/val/000000.png', 'annotations/train.json'])
def test_a_set_that_lost_a_file_is_drawn_anew(tmp_path, lost):
    small = replace(SPEC, num_train=3, num_val=1)
    root = draw_shapes(tmp_path / 'set', small)
    before = snapshot(root)
    (root / lost).unlink()
    assert snapshot(draw_shapes(root, small)) == before


def test_an_interrupted_drawing_leaves_no_set_and_is_started_again(tmp_path):
    small = replace(SPEC, num_train=3, num_val=1)
    root = tmp_path / 'set'

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_shapes(root, small, interrupt)
    assert not root.exists()
    draw_shapes(root, small)
    assert is_drawn(root, small)
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(FileExistsError, match='not a set of shapes'):
        draw_shapes(tmp_path, SPEC)
    assert (tmp_path / 'mine.txt').read_text() == 'precious'


def test_an_empty_folder_is_filled(tmp_path):
    small = replace(SPEC, num_train=2, num_val=1)
    assert is_drawn(draw_shapes(tmp_path, small), small)


def test_the_configs_name_the_same_classes():
    cfg = Config.fromfile(REPO / 'configs/demo/shapes_student.py')
    assert cfg.metainfo.classes == SHAPES
    assert cfg.model.roi_head.bbox_head.num_classes == len(SHAPES)

"""Shrinking a batch: as mmdet's own pipeline would have done it."""

import copy

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs, Resize
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import PixelData

from mmdet_kd.detectors.student_view import shrink

# Height and width of the loaded picture, and the scale.
CASES = [((160, 160), 0.5), ((688, 917), 344 / 688), ((101, 67), 0.37), ((33, 200), 0.8), ((64, 64), 1 / 3)]


def packed(shape, boxes, scale):
    """A picture with boxes and masks, resized and packed by mmdet; `scale` None leaves it as it is."""
    rng = np.random.default_rng(0)
    height, width = shape
    results = dict(
        img=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        img_shape=shape,
        ori_shape=shape,
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes)),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.array([False] * (len(boxes) - 1) + [True]),
        gt_masks=BitmapMasks(rng.integers(0, 2, (len(boxes), height, width), dtype=np.uint8), height, width),
    )
    size = (width, height) if scale is None else tuple(int(extent * scale + 0.5) for extent in (width, height))
    results = Resize(scale=size, keep_ratio=False)(results)
    return PackDetInputs(meta_keys=('ori_shape', 'img_shape', 'scale_factor'))(results)


def batch_of(*items):
    return {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}


def box_cases(shape):
    height, width = shape
    return [[1.0, 2.0, width / 2, height / 3], [width / 3, 5.5, width - 1.25, height - 2.0], [0.0, 0.0, 9.0, 9.0]]


@pytest.mark.parametrize(('shape', 'scale'), CASES)
def test_a_shrunken_picture_is_the_one_that_a_pipeline_makes(shape, scale):
    smaller, _ = shrink(batch_of(packed(shape, box_cases(shape), None)), scale)
    expected = packed(shape, box_cases(shape), scale)
    picture = smaller['inputs'][0]
    assert picture.shape == expected['inputs'].shape
    assert picture.dtype == torch.uint8
    # cv2 computes with 11 bits after the point: one grey level of 255 at most
    assert (picture.int() - expected['inputs'].int()).abs().max() <= 1

    sample, expected = smaller['data_samples'][0], expected['data_samples']
    for name in ('gt_instances', 'ignored_instances'):
        torch.testing.assert_close(sample.get(name).bboxes, expected.get(name).bboxes.tensor)
        assert torch.equal(sample.get(name).labels, expected.get(name).labels)
        assert np.array_equal(sample.get(name).masks.masks, expected.get(name).masks.masks)
    assert sample.img_shape == expected.img_shape
    assert sample.ori_shape == shape
    assert sample.scale_factor == pytest.approx(expected.scale_factor)


def test_the_given_batch_is_not_changed():
    batch = batch_of(packed((60, 90), box_cases((60, 90)), None))
    kept = copy.deepcopy(batch)
    shrink(batch, 0.5)
    assert torch.equal(batch['inputs'][0], kept['inputs'][0])
    sample, before = batch['data_samples'][0], kept['data_samples'][0]
    assert torch.equal(sample.gt_instances.bboxes.tensor, before.gt_instances.bboxes.tensor)
    assert sample.metainfo == before.metainfo


@pytest.mark.parametrize(('shape', 'scale'), CASES)
def test_boxes_return_to_their_pixels_by_the_ratios(shape, scale):
    batch = batch_of(packed(shape, box_cases(shape), None), packed((50, 80), box_cases((50, 80)), None))
    smaller, ratios = shrink(batch, scale)
    assert ratios.shape == (2, 2)
    for before, after, ratio in zip(batch['data_samples'], smaller['data_samples'], ratios, strict=True):
        torch.testing.assert_close(after.gt_instances.bboxes * ratio.repeat(2), before.gt_instances.bboxes.tensor)


def test_a_tiny_picture_keeps_a_pixel():
    smaller, ratios = shrink(batch_of(packed((3, 40), [[0.0, 0.0, 3.0, 3.0]], None)), 0.1)
    assert smaller['inputs'][0].shape == (3, 1, 4)
    assert ratios.tolist() == [[10.0, 3.0]]


def test_a_picture_of_floats_is_not_rounded():
    batch = batch_of(packed((8, 8), [[0.0, 0.0, 3.0, 3.0]], None))
    batch['inputs'] = [torch.arange(64.0).view(1, 8, 8).expand(3, 8, 8)]
    smaller, _ = shrink(batch, 0.5)
    # the mean of four neighbours: 0, 1, 8 and 9
    assert smaller['inputs'][0][0, 0, 0] == 4.5


def test_a_picture_of_bytes_is_rounded_to_the_nearest():
    batch = batch_of(packed((8, 8), [[0.0, 0.0, 3.0, 3.0]], None))
    batch['inputs'] = [torch.tensor([[0, 7], [8, 8]], dtype=torch.uint8).repeat(3, 4, 4)]
    smaller, _ = shrink(batch, 0.5)
    assert (smaller['inputs'][0] == 6).all()  # the mean of four neighbours is 5.75


def test_a_segmentation_is_refused():
    batch = batch_of(packed((8, 8), [[0.0, 0.0, 3.0, 3.0]], None))
    batch['data_samples'][0].gt_sem_seg = PixelData(sem_seg=torch.zeros(1, 8, 8))
    with pytest.raises(NotImplementedError, match='not a semantic segmentation'):
        shrink(batch, 0.5)

import pytest
import torch
from helpers.distil import build
from mmengine.config import Config

from mmdet_kd.compression import ForwardPass, measure_flops, shape_of_config
from mmdet_kd.compression.flops import count_positions


def test_the_number_of_rois_is_the_configs(student_cfg):
    """Of the tiny student: maps of 16 channels, 5 x 5 cells a RoI, two layers of 32, 3 classes."""
    flops = []
    for max_per_img in (32, 64):
        student_cfg.model.test_cfg.rpn.max_per_img = max_per_img
        flops.append(measure_flops(ForwardPass(build(student_cfg), (64, 64))))
    assert flops[1] - flops[0] == 32 * (16 * 25 * 32 + 32 * 32 + 32 * (3 + 1) + 32 * 4 * 3)


def test_they_do_not_depend_on_the_weights(student_cfg):
    detectors = [build(student_cfg, seed=seed) for seed in (0, 1)]
    torch.nn.init.constant_(detectors[1].rpn_head.rpn_cls.weight, 0)
    assert len({measure_flops(ForwardPass(detector, (64, 96))) for detector in detectors}) == 1


def test_positions_of_each_layer_over_all_its_calls(student_cfg):
    positions = count_positions(ForwardPass(build(student_cfg), (64, 128)))
    assert positions['backbone.conv1'] == (64 * 128, 32 * 64)
    assert positions['backbone.layer2.0.conv1'] == (16 * 32, 8 * 16)
    cells = 16 * 32 + 8 * 16 + 4 * 8 + 2 * 4 + 1 * 2  # five levels
    assert positions['rpn_head.rpn_conv'] == (cells, cells)
    assert positions['roi_head.bbox_head.shared_fcs.0'] == (32, 32)


def test_the_picture_is_padded_as_in_a_test(student_cfg):
    assert ForwardPass(build(student_cfg), (33, 64)).picture().shape == (1, 3, 64, 64)
    student_cfg.model.data_preprocessor.pad_size_divisor = 1
    assert ForwardPass(build(student_cfg), (33, 64)).picture().shape == (1, 3, 33, 64)


@pytest.mark.parametrize(
    ('dataset', 'shape'),
    [
        (dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(1000, 600))]), (600, 1000)),
        (dict(type='RepeatDataset', dataset=dict(pipeline=[dict(type='Resize', scale=(300, 200))])), (200, 300)),
        (dict(pipeline=[dict(type='Resize', scale_factor=0.5)]), (800, 1333)),
        (dict(), (800, 1333)),
    ],
)
def test_the_shape_is_the_one_tested_on(dataset, shape):
    assert shape_of_config(Config(dict(test_dataloader=dict(dataset=dataset)))) == shape

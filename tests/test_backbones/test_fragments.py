"""The config fragments of these networks: each teaches each, and each says what its weights were trained with."""

import warnings
from itertools import product

import pytest
from helpers.tiny import REPO
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.knowledge import on_meta

NETWORKS = ['alexnet', 'vgg-m', 'vgg16']
CLASSES = {'voc07': 20, 'coco': 80}
FRAGMENTS = REPO / 'configs/_base_'


def student(network):
    return Config.fromfile(FRAGMENTS / f'students/faster-rcnn_{network}.py').model


#: Each network learns and teaches once in each run; the other pairs are left to the sweeps.
QUICK = {('alexnet', 'vgg-m', 'voc07'), ('vgg-m', 'vgg16', 'coco'), ('vgg16', 'alexnet', 'voc07')}
PAIRS = [
    pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow)
    for pair in product(NETWORKS, NETWORKS, CLASSES)
]


@pytest.mark.parametrize(('learns', 'teaches', 'data'), PAIRS)
def test_each_teaches_each(learns, teaches, data):
    """Strides, anchors and classes fit; channels are what the published networks have."""
    model = student(learns)
    model.update(
        type='KnowledgeDistillationTwoStageDetector',
        teacher=Config.fromfile(FRAGMENTS / f'teachers/faster-rcnn_{teaches}_{data}.py').teacher,
        distillers=Config.fromfile(FRAGMENTS / 'distillers/chen2017-c4.py').distillers,
        num_classes=CLASSES[data],
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        detector = on_meta(lambda: MODELS.build(model))
    channels = {'alexnet': 256, 'vgg-m': 512, 'vgg16': 512}
    (adapter,) = detector.distillers['hint'].adapters
    assert adapter.conv.weight.shape[:2] == (channels[teaches], channels[learns])


@pytest.mark.parametrize('network', NETWORKS)
def test_the_detector_is_the_published_one(network):
    detector = on_meta(lambda: MODELS.build(student(network)))
    head = detector.roi_head.bbox_head
    fc6, fc7 = {
        'alexnet': ((4096, 256 * 6 * 6), (4096, 4096)),
        'vgg-m': ((4096, 512 * 6 * 6), (1024, 4096)),
        'vgg16': ((4096, 512 * 7 * 7), (4096, 4096)),
    }[network]
    assert [tuple(m.weight.shape) for m in head.classifier if hasattr(m, 'weight')] == [fc6, fc7]
    assert head.fc_cls.weight.shape == (81, fc7[0])
    assert head.fc_reg.weight.shape == (80 * 4, fc7[0])
    (layer,) = detector.roi_head.bbox_roi_extractor.roi_layers
    assert layer.output_size == ((7, 7) if network == 'vgg16' else (6, 6))
    assert layer.spatial_scale == 1 / 16
    assert detector.rpn_head.rpn_cls.weight.shape[0] == 9
    areas = [s * s for s in (128, 256, 512)]
    anchors = MODELS.build(student(network).rpn_head).prior_generator.base_anchors[0]
    assert sorted({round(float((x2 - x1) * (y2 - y1))) for x1, y1, x2, y2 in anchors}) == areas


@pytest.mark.parametrize('network', NETWORKS)
def test_both_parts_name_one_file_and_the_pictures_are_as_it_wants_them(network):
    model = student(network)
    assert model.backbone.init_cfg == model.roi_head.bbox_head.init_cfg
    preprocessor = model.data_preprocessor
    if model.backbone.init_cfg.checkpoint.startswith('https://download.pytorch.org/models/'):
        assert preprocessor.bgr_to_rgb
        assert preprocessor.mean == [123.675, 116.28, 103.53]
    else:
        assert not preprocessor.bgr_to_rgb
        assert preprocessor.mean == [103.939, 116.779, 123.68]
        assert preprocessor.std == [1, 1, 1]


@pytest.mark.parametrize(('network', 'data'), product(NETWORKS, CLASSES))
def test_the_baselines_clip_gradients_and_freeze_what_fast_rcnn_froze(network, data):
    schedule = {'voc07': '4e_voc07', 'coco': '1x_coco'}[data]
    cfg = Config.fromfile(REPO / f'configs/baselines/faster-rcnn_{network}_{schedule}.py')
    assert cfg.optim_wrapper.clip_grad.max_norm == 35
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert cfg.model.roi_head.bbox_head.num_classes == CLASSES[data]
    assert cfg.model.backbone.frozen_stages == (2 if network == 'vgg16' else 1)

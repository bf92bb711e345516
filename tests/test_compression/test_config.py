import copy

import pytest
from helpers.architectures import cascade
from helpers.distil import build
from mmengine.config import ConfigDict

from mmdet_kd.compression import decomposed_model, ranks_of_model
from mmdet_kd.compression.config import changes
from mmdet_kd.errors import DistillationError

LAYERS = {
    'backbone.layer1.0.conv1': (3, 4),
    'backbone.layer1.0.conv2': (2, 8),
    'neck.fpn_convs.0.conv': (3, 4),
    'rpn_head.rpn_conv': (5, 6),
}


def test_ranks_go_to_the_innermost_part_that_builds_a_module(student_cfg):
    layers = {**LAYERS, 'roi_head.bbox_head.shared_fcs.0': 7}
    before = copy.deepcopy(student_cfg.model)
    model = decomposed_model(student_cfg.model, build(student_cfg), layers)
    assert student_cfg.model == before
    assert model.backbone == {
        **before.backbone,
        'type': 'Decomposed',
        'of': 'ResNet',
        'layers': {'layer1.0.conv1': (3, 4), 'layer1.0.conv2': (2, 8)},
    }
    assert model.neck['layers'] == {'fpn_convs.0.conv': (3, 4)}
    assert model.roi_head.bbox_head['layers'] == {'shared_fcs.0': 7}
    assert model.roi_head.type == before.roi_head.type
    assert ranks_of_model(model) == layers
    assert ranks_of_model(before) == {}


def test_a_part_with_such_keys_of_its_own_is_refused(student_cfg):
    """They would be lost: `layers` may say how deep it is."""
    detector = build(student_cfg)
    student_cfg.model.backbone.layers = (3, 4, 6, 3)
    with pytest.raises(
        DistillationError, match=r"ResNet has a key 'layers' of its own, .* by --skip, such as backbone"
    ):
        decomposed_model(student_cfg.model, detector, {'backbone.conv1': (3, 4)})


def test_each_stage_of_a_cascade_has_its_own(student_cfg):
    cfg = cascade(student_cfg)
    layers = {f'roi_head.bbox_head.{stage}.shared_fcs.0': stage + 5 for stage in range(2)}
    model = decomposed_model(cfg.model, build(cfg), layers)
    assert [head.get('layers') for head in model.roi_head.bbox_head] == [{'shared_fcs.0': 5}, {'shared_fcs.0': 6}, None]
    assert ranks_of_model(model) == layers


def test_one_config_for_all_stages_leaves_them_to_the_part_around(student_cfg):
    cfg = cascade(student_cfg)
    cfg.model.roi_head.bbox_head = cfg.model.roi_head.bbox_head[0]
    layers = {'roi_head.bbox_head.1.shared_fcs.0': 5}
    model = decomposed_model(cfg.model, build(cfg), layers)
    assert (model.roi_head.type, model.roi_head['of']) == ('Decomposed', 'CascadeRoIHead')
    assert ranks_of_model(model) == layers
    cfg.model = model
    assert [type(head.shared_fcs[0]).__name__ for head in build(cfg).roi_head.bbox_head] == [
        'Linear',
        'LowRankLinear',
        'Linear',
    ]


def test_what_is_decomposed_already_keeps_its_ranks(student_cfg):
    first = dict(list(LAYERS.items())[:1])
    student_cfg.model = decomposed_model(student_cfg.model, build(student_cfg), first)
    model = decomposed_model(student_cfg.model, build(student_cfg), dict(list(LAYERS.items())[1:]))
    assert ranks_of_model(model) == LAYERS
    assert model.backbone['of'] == 'ResNet'


@pytest.mark.parametrize(
    ('after', 'said'),
    [
        ({'a': 1, 'b': {'c': 2, 'd': [3]}}, {}),
        ({'a': 5, 'b': {'c': 2, 'd': [3]}}, {'a': 5}),
        ({'a': 1, 'b': {'c': 2, 'd': [3, 4]}, 'e': {'f': 1}}, {'b': {'d': [3, 4]}, 'e': {'f': 1}}),
    ],
)
def test_changes_are_what_an_heir_must_say(after, said):
    before = ConfigDict({'a': 1, 'b': {'c': 2, 'd': [3]}})
    assert changes(before, after) == said

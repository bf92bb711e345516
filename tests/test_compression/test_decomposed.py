import copy
from typing import ClassVar

import pytest
import torch
from helpers.detr import detr
from helpers.distil import build, distilled_cfg, losses_of, raw_batch, total
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import nn

from mmdet_kd.compression import LowRankLinear, TuckerConv2d, replace_layers
from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config, student_state_dict

RESNET = dict(type='ResNet', depth=18, base_channels=8, norm_cfg=dict(type='BN'))
DECOMPOSED = {**RESNET, 'type': 'Decomposed', 'of': 'ResNet', 'layers': {'conv1': (3, 4), 'layer2.0.conv1': (3, 5)}}


def test_it_is_the_original_module_with_other_layers_under_the_same_names():
    plain, backbone = MODELS.build(RESNET), MODELS.build(ConfigDict(DECOMPOSED))
    assert type(backbone) is type(plain)
    assert isinstance(backbone.layer2[0].conv1, TuckerConv2d)
    plain_keys, keys = (set(module.state_dict()) for module in (plain, backbone))
    assert plain_keys - keys == {'conv1.weight', 'layer2.0.conv1.weight'}
    assert keys - plain_keys == {
        *('conv1.core.weight', 'conv1.last.weight'),
        *(f'layer2.0.conv1.{part}.weight' for part in ('first', 'core', 'last')),
    }
    x = torch.zeros(1, 3, 64, 64)
    assert [level.shape for level in backbone(x)] == [level.shape for level in plain(x)]


def test_frozen_stages_stay_frozen_before_and_after_training_starts():
    backbone = MODELS.build({**DECOMPOSED, 'frozen_stages': 1})
    for _ in range(2):
        assert not any(parameter.requires_grad for parameter in backbone.conv1.parameters())
        assert all(parameter.requires_grad for parameter in backbone.layer2.parameters())
        backbone.train()


def test_it_builds_without_memory():
    with torch.device('meta'):
        backbone = MODELS.build(DECOMPOSED)
    assert {parameter.device.type for parameter in backbone.parameters()} == {'meta'}


def test_a_whole_detector_trains_and_its_settings_are_where_they_were(student_cfg):
    model = student_cfg.model
    model.rpn_head.update(type='Decomposed', of='RPNHead', layers={'rpn_conv': [4, 6]})
    head = model.roi_head.bbox_head
    head.update(type='Decomposed', of='Shared2FCBBoxHead', layers={'shared_fcs.0': 7})
    head.num_classes = 5
    detector = build(student_cfg)
    assert detector.roi_head.bbox_head.fc_cls.out_features == 6
    assert detector.rpn_head.rpn_conv.core.in_channels == 4
    assert isinstance(detector.roi_head.bbox_head.shared_fcs[0], LowRankLinear)
    total(losses_of(detector, raw_batch())).backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize(
    ('name', 'ranks', 'message'),
    [
        ('layer9.conv1', (3, 4), r"there is no 'layer9.conv1'; did you mean 'layer\d.\d.conv1'"),
        ('zzz', (3, 4), "there is no 'zzz'. Remove it"),
        ('bn1', (3, 4), "'bn1' is a BatchNorm2d, neither a plain convolution nor a linear layer"),
        ('layer1.0.conv1', (9, 4), "'layer1.0.conv1' has input rank 9, more than its 8 channels: lower it"),
        ('layer1.0.conv1', (8, 9), "'layer1.0.conv1' has output rank 9, more than its 8 channels"),
        ('layer1.0.conv1', 4, r'is a convolution, its ranks are two positive numbers \(input, output\), not 4'),
        ('layer1.0.conv1', (0, 4), 'two positive numbers'),
        ('layer1.0.conv1', (1.5, 4), 'two positive numbers'),
    ],
)
def test_layers_that_do_not_fit_are_refused(name, ranks, message):
    with pytest.raises(DistillationError, match=message) as refused:
        MODELS.build({**DECOMPOSED, 'layers': {name: ranks}})
    assert str(refused.value).startswith('layers of the decomposed ResNet: ')


def test_all_that_does_not_fit_is_listed_and_nothing_is_replaced():
    module = nn.ModuleDict({'conv': nn.Conv2d(8, 8, 3, groups=2), 'fc': nn.Linear(4, 6), 'good': nn.Conv2d(8, 8, 3)})
    before = copy.deepcopy(module)
    with pytest.raises(DistillationError) as refused:
        replace_layers(module, {'conv': (5, 4), 'fc': 5, 'good': (2, 2), 'none': (1, 1)})
    assert len(refused.value.problems) == 3
    assert 'more than its 4 channels a group' in str(refused.value)
    assert "'fc' has rank 5, more than its 4 features" in str(refused.value)
    assert str(module) == str(before)
    with pytest.raises(
        DistillationError, match=r"'fc' is a linear layer, its rank is one positive number, not \(2, 2\)"
    ):
        replace_layers(module, {'fc': (2, 2)})
    with pytest.raises(DistillationError, match='must be a dict of names and ranks'):
        replace_layers(module, None)


class TestADetectorWhoseOwnLayersAreDecomposed:
    """The encoder of a DETR has no config of its own to hold its ranks, so the model has them."""

    LAYERS: ClassVar = {'encoder.layers.0.ffn.layers.1': 4}

    @pytest.fixture
    def distilled(self, student_cfg, teacher_cfg):
        """What a distillation says that has such a detector as its base, but for its class."""
        hint = dict(type='FeatureDistiller', source='memory', loss=dict(type='HintLoss'))
        cfg = distilled_cfg(detr(student_cfg), detr(teacher_cfg), None, hint=hint)
        cfg.model.layers = self.LAYERS
        return cfg

    def test_is_a_student(self, distilled):
        distilled.model.update(type='Decomposed', of='KnowledgeDistillationDetector', detector='DETR')
        detector = build(distilled)
        assert isinstance(detector.encoder.layers[0].ffn.layers[1], LowRankLinear)
        batch = detector.data_preprocessor(raw_batch((1, 1)), training=True)
        losses = detector(**batch, mode='loss')
        assert losses['hint.loss_feat'].item() > 0
        plain = build(plain_student_config(distilled))
        assert not hasattr(plain, 'distillers')
        plain.load_state_dict(student_state_dict(detector.state_dict()))

    @pytest.mark.parametrize(
        'said',
        [
            dict(type='KnowledgeDistillationDetector', detector='Decomposed'),
            dict(type='KnowledgeDistillationDetector', detector='DETR', of='DETR'),
        ],
    )
    def test_is_refused_with_the_line_to_write(self, distilled, said):
        distilled.model.update(said)
        line = r"write type='Decomposed', of='KnowledgeDistillationDetector', detector=_base_\.model\.of"
        with pytest.raises(DistillationError, match=line):
            build(distilled)

"""What the optimizer trains, on tiny detectors."""

import pytest
from helpers.detr import detr
from helpers.distil import HINT, ROI, RPN, build, distilled_cfg
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from mmdet_kd.checks.trained_parts import judge_training


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class StudentAlone:
    """A constructor, such as people write, that knows nothing of distillers."""

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.cfg = optim_wrapper_cfg

    def __call__(self, model):
        wanted = [p for name, p in model.named_parameters() if not name.startswith('distillers')]
        optimizer = dict(self.cfg.pop('optimizer'), params=wanted)
        from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS

        return OPTIM_WRAPPERS.build(dict(self.cfg, optimizer=OPTIMIZERS.build(optimizer)))


def judge(detector, multipliers=None, **optim_wrapper):
    """Verdicts by subject; ``multipliers`` of the learning rate, by part."""
    cfg = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
    if multipliers:  # without them mmengine gives the optimizer frozen parameters, too
        cfg['paramwise_cfg'] = dict(custom_keys={part: dict(lr_mult=factor) for part, factor in multipliers.items()})
    verdicts = judge_training(detector, build_optim_wrapper(detector, cfg | optim_wrapper))
    return {verdict.subject: verdict for verdict in verdicts}


def failed(verdicts):
    return {subject: verdict.cure for subject, verdict in verdicts.items() if not verdict.passed}


@pytest.fixture
def hinted(student_cfg, teacher_cfg):
    return build(distilled_cfg(student_cfg, teacher_cfg.to_dict(), None, hint=HINT), init=False)


def test_an_ordinary_optimizer_trains_all(hinted):
    verdicts = judge(hinted)
    assert failed(verdicts) == {}
    assert verdicts['adapters'].found == '10 of 10 parameters of the distillers are trained'
    assert verdicts['student'].found == 'trained of it: backbone 100 %, neck 100 %, rpn_head 100 %, roi_head 100 %'


def test_a_frozen_neck_is_found(hinted):
    cure = 'nothing of its neck is trained, which would learn from the teacher'
    (found,) = failed(judge(hinted, {'neck': 0.0})).values()
    assert found.startswith(cure)
    hinted.neck.requires_grad_(False)
    (found,) = failed(judge(hinted)).values()
    assert found.startswith(cure)
    assert 'neck 0 %' in judge(hinted)['student'].found


def test_a_neck_that_is_trained_in_part_is_none_of_our_business(hinted):
    verdicts = judge(hinted, {'neck.lateral_convs': 0.0})
    assert failed(verdicts) == {}
    assert 'neck 8' in verdicts['student'].found  # 3x3 convolutions beside 1x1


def test_what_nobody_compares_may_be_frozen(student_cfg, teacher_cfg, hinted):
    assert failed(judge(hinted, {'backbone': 0.0, 'rpn_head': 0.0, 'roi_head': 0.0})) == {}
    taught = build(distilled_cfg(student_cfg, teacher_cfg.to_dict(), None, rpn=RPN, roi=ROI), init=False)
    assert failed(judge(taught, {'backbone': 0.0})) == {}
    for part in ('neck', 'rpn_head', 'roi_head'):
        (cure,) = failed(judge(taught, {part: 0.0})).values()
        assert cure.startswith(f'nothing of its {part} is trained')


@pytest.mark.parametrize(
    ('multipliers', 'optim_wrapper'), [({'distillers': 0.0}, {}), ({}, dict(constructor='StudentAlone'))]
)
def test_adapters_that_the_optimizer_does_not_have_are_found(hinted, multipliers, optim_wrapper):
    verdicts = judge(hinted, multipliers, **optim_wrapper)
    assert verdicts['adapters'].found == '0 of 10 parameters of the distillers are trained'
    (cure,) = failed(verdicts).values()
    assert cure.startswith('nobody trains hint.adapters.0.conv.weight, hint.adapters.0.conv.bias, ')
    assert ' and 7 more of model.distillers: let the optimizer have them' in cure


def test_one_adapter_of_several_is_missed(hinted):
    (cure,) = failed(judge(hinted, {'distillers.hint.adapters.3.conv.bias': 0.0})).values()
    assert cure.startswith('nobody trains hint.adapters.3.conv.bias of model.distillers')


def test_several_optimizers_train_together(hinted):
    def wrapper(part):
        return build_optim_wrapper(part, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)))

    both = OptimWrapperDict(student=wrapper(hinted.backbone), rest=wrapper(hinted.neck))
    verdicts = {verdict.subject: verdict for verdict in judge_training(hinted, both)}
    assert verdicts['student'].found == 'trained of it: backbone 100 %, neck 100 %, rpn_head 0 %, roi_head 0 %'
    assert list(failed(verdicts)) == ['adapters']


@pytest.mark.slow
def test_a_frozen_encoder_is_found_where_its_memory_is_compared(student_cfg):
    cfg, compared = detr(student_cfg), dict(HINT, source='memory')
    detector = build(distilled_cfg(cfg, cfg.to_dict(), None, hint=compared), init=False)
    assert failed(judge(detector)) == {}
    (found,) = failed(judge(detector, {'encoder': 0.0})).values()
    assert found.startswith('nothing of its encoder is trained, which would learn from the teacher')

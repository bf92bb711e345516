import math
import warnings

import pytest
import torch
from helpers.detr import detr
from helpers.distil import distilled_cfg
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config, types_of_this_package, unwritable_numbers


@pytest.fixture
def cfg(student_cfg):
    return distilled_cfg(student_cfg, 'teacher.py', 'teacher.pth')


def test_it_is_the_students_config_again(cfg, student_cfg):
    plain = plain_student_config(cfg)
    student_cfg.model.type = 'TwoStageDetector'
    assert plain.to_dict() == student_cfg.to_dict()


def test_a_student_of_a_class_of_its_own_has_that_again(student_cfg):
    cfg = distilled_cfg(detr(student_cfg), 'teacher.py', 'teacher.pth')
    assert plain_student_config(cfg).to_dict() == detr(student_cfg).to_dict()
    del cfg.model['detector']
    with pytest.raises(DistillationError, match='KnowledgeDistillationDetector needs detector='):
        plain_student_config(cfg)


def test_a_decomposed_student_stays_decomposed(student_cfg):
    """The encoder of a DETR has no config of its own to hold its ranks, so the model has them."""
    ranks = dict(type='Decomposed', layers={'encoder.layers.0.ffn.layers.1': 4})
    cfg = distilled_cfg(detr(student_cfg), 'teacher.py', 'teacher.pth')
    cfg.model.update(ranks, of=cfg.model.type)
    plain = plain_student_config(cfg)
    assert plain.model.to_dict() == {**detr(student_cfg).model.to_dict(), **ranks, 'of': 'DETR'}
    assert plain.custom_imports.imports == ['mmdet_kd']  # which has what is decomposed


def test_numbers_that_no_file_can_say_are_named(cfg):
    assert unwritable_numbers(cfg) == []
    cfg.optim_wrapper.clip_grad = dict(max_norm=math.inf)
    (problem,) = unwritable_numbers(cfg)
    assert problem.startswith('optim_wrapper.clip_grad.max_norm=inf has no name in a config file: write a large number')


def test_the_config_given_is_not_changed(cfg):
    before = cfg.to_dict()
    plain_student_config(cfg)
    assert cfg.to_dict() == before


def test_a_plain_config_comes_back_unchanged(student_cfg):
    student_cfg.custom_imports = {'imports': ['json'], 'allow_failed_imports': False}
    student_cfg.custom_hooks = [{'type': 'NumClassCheckHook'}]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert plain_student_config(student_cfg).to_dict() == student_cfg.to_dict()


def test_our_hooks_go_and_others_stay(cfg):
    ramp = {'type': 'LossWeightRampHook', 'path': 'distillers.roi.mu', 'start': 0, 'stop': 1, 'begin': 0, 'end': 1}
    cfg.custom_hooks = [ramp, {'type': 'mmdet.NumClassCheckHook'}]
    cfg.default_hooks.exact_resume = {'type': 'ExactResumeHook'}
    cfg.default_hooks.checkpoint = {'type': 'WholeCheckpointHook', 'interval': 3, 'save_best': 'auto'}
    plain = plain_student_config(cfg)
    assert plain.custom_hooks == [{'type': 'mmdet.NumClassCheckHook'}]
    assert 'exact_resume' not in plain.default_hooks
    assert plain.default_hooks.checkpoint == {'type': 'CheckpointHook', 'interval': 3, 'save_best': 'auto'}


@pytest.mark.parametrize('imports', ['mmdet_kd', ['mmdet_kd'], ['mmdet_kd.hooks', 'mmdet_kd']])
def test_only_our_import_goes(cfg, imports):
    cfg.custom_imports.imports = imports
    assert 'custom_imports' not in plain_student_config(cfg)
    cfg.custom_imports.imports = ['json', *([imports] if isinstance(imports, str) else imports), 'mmdet_kdx']
    assert plain_student_config(cfg).custom_imports.imports == ['json', 'mmdet_kdx']


def test_a_student_made_of_ours_keeps_the_import(cfg):
    assert types_of_this_package(plain_student_config(cfg)) == []
    cfg.model.backbone = {'type': 'AlexNet'}
    plain = plain_student_config(cfg)
    assert types_of_this_package(plain) == ['AlexNet']
    assert plain.custom_imports.imports == ['mmdet_kd']
    assert 'teacher' not in plain.model


def test_what_is_dumped_builds_the_same_student(cfg, student_cfg, tmp_path):
    plain_student_config(cfg).dump(tmp_path / 'plain.py')
    loaded = MODELS.build(Config.fromfile(tmp_path / 'plain.py').model)
    original = MODELS.build(student_cfg.model)
    assert {k: v.shape for k, v in loaded.state_dict().items()} == {
        k: v.shape for k, v in original.state_dict().items()
    }
    loaded.load_state_dict(original.state_dict())
    assert torch.equal(next(loaded.parameters()), next(original.parameters()))


def test_the_number_of_classes_reaches_every_head(student_cfg, teacher_cfg):
    """`num_classes` on the detector serves each stage of a cascade and its masks, in the training and after it."""
    from helpers.architectures import cascade, mask
    from helpers.distil import build, distilled_cfg
    from mmdet.registry import MODELS

    from mmdet_kd.knowledge import box_heads

    teacher_cfg.model.roi_head.bbox_head.num_classes = 5
    for architecture, stages in ((cascade, 3), (mask, 1)):
        cfg = distilled_cfg(architecture(student_cfg), teacher_cfg, None)
        cfg.model.num_classes = 5
        detector = build(cfg, init=False)
        assert [head.num_classes for head in box_heads(detector.roi_head)] == [5] * stages
        if architecture is mask:
            assert detector.roi_head.mask_head.num_classes == 5
        plain = plain_student_config(cfg)
        assert 'num_classes' not in plain.model
        exported = MODELS.build(plain.model)
        exported.load_state_dict({k: v for k, v in detector.state_dict().items() if not k.startswith('distillers.')})


@pytest.mark.parametrize('key', ['module', 'detector'])
def test_a_distilled_detector_inside_another_model_becomes_plain_too(cfg, student_cfg, key):
    """Test-time augmentation holds a module, semi-supervision a detector."""
    cfg.model = {'type': 'SemiBaseDetector', key: cfg.model}
    plain = plain_student_config(cfg)
    assert plain.model.pop('type') == 'SemiBaseDetector'
    student_cfg.model.type = 'TwoStageDetector'
    assert plain.model.to_dict() == {key: student_cfg.model.to_dict()}
    assert types_of_this_package(plain) == []

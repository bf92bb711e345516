"""The frozen detector: strictly loaded, in eval mode for good, part of nothing that trains."""

import copy
import hashlib

import pytest
import torch
from helpers.architectures import cascade, mask
from helpers.distil import save_teacher
from mmdet.registry import MODELS

from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import DetectorTeacher

CPU = torch.device('cpu')


def loaded(cfg, checkpoint):
    teacher = DetectorTeacher(cfg, checkpoint)
    teacher.load(CPU)
    return teacher


def digest(module):
    sha = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return sha.hexdigest()


def test_it_holds_the_weights_of_the_file(teacher_cfg, teacher_checkpoint):
    teacher = DetectorTeacher(teacher_cfg, teacher_checkpoint, fold_batch_norm=False)
    teacher.load(CPU)
    expected = torch.load(teacher_checkpoint, weights_only=True)['state_dict']
    found = teacher.detector.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_registered_with_mmdet(teacher_cfg):
    teacher = MODELS.build(dict(type='DetectorTeacher', config=teacher_cfg.to_dict(), checkpoint=None))
    assert isinstance(teacher, DetectorTeacher)


def test_it_is_frozen_and_stays_in_eval_mode(teacher_cfg, teacher_checkpoint):
    teacher = loaded(teacher_cfg, teacher_checkpoint)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert teacher.train() is teacher
    assert teacher.train(True) is teacher
    assert not any(module.training for module in teacher.modules())


def test_looking_changes_nothing(teacher_cfg, teacher_checkpoint):
    """BatchNorm keeps its statistics, also after train() was called."""
    teacher = loaded(teacher_cfg, teacher_checkpoint)
    before = digest(teacher)
    knowledge = teacher.train().knowledge_of(torch.randn(2, 3, 64, 64))
    assert len(knowledge.rpn.cls_scores) == 5
    assert digest(teacher) == before


def test_a_deep_copy_shares_its_memory(teacher_cfg, teacher_checkpoint):
    teacher = loaded(teacher_cfg, teacher_checkpoint)
    twins = copy.deepcopy({'a': [teacher, teacher]})['a']
    assert twins[0] is twins[1] is not teacher
    assert places(twins[0]) == places(teacher)
    assert not any(p.requires_grad for p in twins[0].parameters())
    assert not any(module.training for module in twins[0].train().modules())
    images = torch.randn(1, 3, 64, 64)
    maps = [each.knowledge_of(images).features('neck') for each in (teacher, twins[0])]
    assert all(torch.equal(*level) for level in zip(*maps, strict=True))


def places(module):
    """Where the numbers of a module lie."""
    return {
        name: tensor.data_ptr()
        for tensors in (module.named_parameters(), module.named_buffers())
        for name, tensor in tensors
    }


@pytest.mark.parametrize('untrained', [False, True])
def test_loading_draws_no_random_number(untrained, teacher_cfg, teacher_checkpoint):
    before = torch.get_rng_state()
    teacher = loaded(teacher_cfg, None if untrained else teacher_checkpoint)
    teacher.build_shape()
    assert torch.equal(torch.get_rng_state(), before)


def test_building_reads_no_weights(teacher_cfg, tmp_path):
    """The shapes are enough until init_weights(); a missing checkpoint does not matter to a test run."""
    teacher = DetectorTeacher(teacher_cfg, tmp_path / 'none.pth')
    assert teacher.detector is None
    assert {p.device.type for p in teacher.build_shape().parameters()} == {'meta'}
    assert list(teacher.state_dict()) == []
    with pytest.raises(RuntimeError, match='init_weights'):
        teacher.knowledge_of(torch.zeros(1, 3, 64, 64))


def test_a_checkpoint_must_be_named(teacher_cfg):
    with pytest.raises(DistillationError, match=r'teacher\.checkpoint is not given.*checkpoint=None'):
        DetectorTeacher(teacher_cfg)


def test_none_written_out_gives_an_untrained_teacher_and_warns(teacher_cfg, warned):
    teacher = DetectorTeacher(teacher_cfg, None)
    teacher.load(CPU)
    assert warned == ['The teacher is untrained (teacher.checkpoint=None): it teaches noise. Give it a checkpoint']
    assert not teacher.detector.rpn_head.rpn_cls.bias.any(), 'initialised as mmdet does, by zeros; torch draws biases'


def test_misfits_are_listed_all_at_once(teacher_cfg, teacher_checkpoint):
    checkpoint = torch.load(teacher_checkpoint, weights_only=True)
    weights = checkpoint['state_dict']
    missing, shaped = 'neck.fpn_convs.0.conv.bias', 'rpn_head.rpn_cls.weight'
    del weights[missing]
    weights[shaped] = weights[shaped][:1]
    weights['neck.surplus'] = torch.ones(1)
    torch.save(checkpoint, teacher_checkpoint)
    with pytest.raises(DistillationError, match="do not fit the teacher's config") as caught:
        loaded(teacher_cfg, teacher_checkpoint)
    for name in (missing, shaped, 'neck.surplus', str(teacher_checkpoint)):
        assert name in str(caught.value)


@pytest.mark.parametrize('other', [cascade, mask])
def test_weights_of_another_architecture(other, teacher_cfg, teacher_checkpoint):
    with pytest.raises(DistillationError, match='missing from the checkpoint'):
        loaded(other(teacher_cfg), teacher_checkpoint)


def test_a_misfit_leaves_no_half_loaded_teacher(teacher_cfg, student_cfg, teacher_checkpoint):
    teacher = DetectorTeacher(student_cfg, teacher_checkpoint)
    with pytest.raises(DistillationError, match='of another shape'):
        teacher.load(CPU)
    assert teacher.detector is None


def test_classes_come_from_the_checkpoint_before_the_config(teacher_cfg, tmp_path):
    silent = save_teacher(teacher_cfg, tmp_path / 'silent.pth')
    telling = save_teacher(teacher_cfg, tmp_path / 'telling.pth', dataset_meta={'classes': ('x', 'y', 'z')})
    assert loaded(teacher_cfg, silent).classes == ('circle', 'square', 'triangle')
    assert loaded(teacher_cfg, telling).classes == ('x', 'y', 'z')
    assert loaded(teacher_cfg.model, silent).classes is None


@pytest.mark.parametrize(
    'init_cfg',
    [
        dict(type='Pretrained', checkpoint='/no/such/file.pth'),
        [dict(type='Pretrained', checkpoint='/no/such/file.pth')],
    ],
)
@pytest.mark.parametrize('untrained', [False, True])
def test_pretrained_parts_are_not_fetched(init_cfg, untrained, teacher_cfg, teacher_checkpoint):
    """Its own weights come next, or none were wanted; the config that was given stays as it was."""
    teacher_cfg.model.backbone.init_cfg = init_cfg
    teacher = loaded(teacher_cfg, None if untrained else teacher_checkpoint)
    assert teacher.detector is not None
    assert teacher_cfg.model.backbone.init_cfg == init_cfg


def test_its_own_preprocessing(teacher_cfg, teacher_checkpoint):
    teacher_cfg.model.data_preprocessor.update(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)
    seen = loaded(teacher_cfg, teacher_checkpoint).preprocess([torch.full((3, 8, 8), 10, dtype=torch.uint8)])
    assert seen[0, :, 0, 0].tolist() == [9.0, 8.0, 7.0]
    assert seen.shape == (1, 3, 32, 32)

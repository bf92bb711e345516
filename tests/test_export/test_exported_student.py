import copy

import pytest
import torch
from helpers.detr import detr
from helpers.distil import distilled_cfg
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import export_student


def test_an_export_says_that_its_student_needs_this_package(student_cfg, tmp_path):
    student_cfg.model.backbone = {'type': 'AlexNet'}
    student_cfg.model.neck.in_channels = [256]
    student_cfg.custom_imports = {'imports': ['mmdet_kd'], 'allow_failed_imports': False}
    torch.save({'state_dict': MODELS.build(student_cfg.model).state_dict()}, tmp_path / 'trained.pth')
    with pytest.warns(UserWarning, match='the student itself uses AlexNet of mmdet_kd'):
        config, _ = export_student(student_cfg, tmp_path / 'trained.pth', tmp_path / 'out')
    assert "'mmdet_kd'" in config.read_text()


def test_the_config_is_that_which_was_given_though_a_head_writes_into_its_own(student_cfg, tmp_path):
    """DETR's head puts a tensor in the place of `class_weight`."""
    plain = detr(student_cfg)
    torch.save({'state_dict': MODELS.build(copy.deepcopy(plain.model)).state_dict()}, tmp_path / 'trained.pth')
    cfg = distilled_cfg(plain, 'teacher.py', 'teacher.pth')
    config, _ = export_student(cfg, tmp_path / 'trained.pth', tmp_path / 'out')
    assert Config.fromfile(config).model == plain.model


def test_an_export_replaces_an_earlier_one_and_no_other_student(student_cfg, tmp_path):
    torch.save({'state_dict': MODELS.build(copy.deepcopy(student_cfg.model)).state_dict()}, tmp_path / 'trained.pth')
    config, _ = export_student(student_cfg, tmp_path / 'trained.pth', tmp_path)
    assert export_student(student_cfg, tmp_path / 'trained.pth', tmp_path)[0] == config
    config.write_text("_base_ = 'mine.py'\n")  # as tools/distill.py names the config of a student
    with pytest.raises(DistillationError, match=r'student\.py is no exported one, so it is not replaced'):
        export_student(student_cfg, tmp_path / 'trained.pth', tmp_path)
    assert config.read_text() == "_base_ = 'mine.py'\n"


def test_no_checkpoint_is_replaced(student_cfg, tmp_path):
    """That of a training may be called student.pth too, and has more than weights."""
    content = {'state_dict': MODELS.build(copy.deepcopy(student_cfg.model)).state_dict(), 'optimizer': {}}
    torch.save(content, tmp_path / 'student.pth')
    for source in ('student.pth', 'trained.pth'):
        torch.save(content, tmp_path / source)
        with pytest.raises(DistillationError, match=r'student\.pth is no exported one, so it is not replaced'):
            export_student(student_cfg, tmp_path / source, tmp_path)
    assert 'optimizer' in torch.load(tmp_path / 'student.pth', weights_only=False)
    assert not (tmp_path / 'student.py').exists()


def test_a_number_that_no_file_can_say_is_refused(student_cfg, tmp_path):
    """The file would not be read: `inf` is no name in a config."""
    torch.save({'state_dict': MODELS.build(copy.deepcopy(student_cfg.model)).state_dict()}, tmp_path / 'trained.pth')
    student_cfg.optim_wrapper.clip_grad = dict(max_norm=float('inf'))
    with pytest.raises(DistillationError, match=r'clip_grad\.max_norm=inf has no name in a config file'):
        export_student(student_cfg, tmp_path / 'trained.pth', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_classes_in_another_order_are_refused(student_cfg, tmp_path):
    """The weights fit all the same, and every label would mean something else."""
    weights = {'state_dict': MODELS.build(copy.deepcopy(student_cfg.model)).state_dict()}
    classes = student_cfg.train_dataloader.dataset.metainfo.classes
    for trained, is_refused in ((classes, False), (classes[::-1], True), (('one', 'two', 'three'), False)):
        torch.save({**weights, 'meta': dict(dataset_meta=dict(classes=trained))}, tmp_path / 'trained.pth')
        if is_refused:
            with pytest.raises(DistillationError, match=r'trained\.pth was trained on the classes .* in another order'):
                export_student(student_cfg, tmp_path / 'trained.pth', tmp_path / 'out')
        else:
            export_student(student_cfg, tmp_path / 'trained.pth', tmp_path / 'out')

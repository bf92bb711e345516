import pytest
import torch
from mmdet.registry import MODELS

from mmdet_kd.export import export_student


def test_an_export_says_that_its_student_needs_this_package(student_cfg, tmp_path):
    student_cfg.model.backbone = {'type': 'AlexNet'}
    student_cfg.model.neck.in_channels = [256]
    student_cfg.custom_imports = {'imports': ['mmdet_kd'], 'allow_failed_imports': False}
    torch.save({'state_dict': MODELS.build(student_cfg.model).state_dict()}, tmp_path / 'trained.pth')
    with pytest.warns(UserWarning, match='the student itself uses AlexNet of mmdet_kd'):
        config, _ = export_student(student_cfg, tmp_path / 'trained.pth', tmp_path / 'out')
    assert "'mmdet_kd'" in config.read_text()

"""A classifier of crops that trains on the tiny set in seconds."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from .tiny import tiny_student_cfg

MODEL = dict(
    type='CropClassifier',
    num_classes=3,
    crop_size=32,
    backbone=dict(type='ResNet', depth=18, base_channels=8, out_indices=(3,), norm_eval=False),
    losses=dict(softmax=dict(type='CrossEntropyLoss'), sigmoid=dict(type='CrossEntropyLoss', use_sigmoid=True)),
)


def tiny_classifier_cfg(data_root: str | Path, work_dir: str | Path) -> Config:
    """A complete config, with the data and the normalisation of the tiny student."""
    cfg = tiny_student_cfg(data_root, work_dir)
    cfg.custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)
    cfg.model = {**MODEL, 'data_preprocessor': cfg.model.data_preprocessor}
    cfg.val_evaluator = cfg.test_evaluator = dict(type='CropAccuracy', topk=(1, 2))
    cfg.custom_hooks = [dict(type='CropSetCheckHook')]
    return cfg

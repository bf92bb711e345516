"""A classifier of crops that trains on the tiny set in seconds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .distil import distilled_cfg
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
    for loader in (cfg.val_dataloader, cfg.test_dataloader):  # the boxes are those of the picture that is seen
        load, resize, boxes, pack = loader.dataset.pipeline
        loader.dataset.pipeline = [load, boxes, resize, pack]
    cfg.val_evaluator = cfg.test_evaluator = dict(type='CropAccuracy', topk=(1, 2))
    cfg.custom_hooks = [dict(type='CropSetCheckHook')]
    return cfg


def kd_cls(use_sigmoid: bool = False) -> dict:
    """KD-cls with the paper's weights."""
    loss = dict(type='SoftenedKLLoss', temperature=2.0, loss_weight=0.4, use_sigmoid=use_sigmoid)
    return dict(type='ClassifierClsDistiller', loss_cls=loss)


KD_LOC = dict(
    type='ClassifierLocDistiller',
    layers=[dict(name='pixels', size=4, weight=57.0), dict(name='backbone.maxpool', size=8)],
    loss_loc=dict(type='L1Loss', loss_weight=0.15),
)


def classifier_of(student: Config, **changes: Any) -> dict:
    """The config of a classifier that sees a student's pictures as that one does."""
    return dict(model={**MODEL, 'data_preprocessor': student.model.data_preprocessor.to_dict(), **changes})


def taught_by_classifier(student: Config, classifier: dict | None = None, **distillers: dict) -> Config:
    """A student's config with an untrained classifier as its teacher; KD-loc alone unless ``distillers`` are given."""
    cfg = distilled_cfg(student, None, None, **copy.deepcopy(distillers or dict(kd_loc=KD_LOC)))
    config = classifier or classifier_of(student)
    cfg.model.teacher = dict(type='ClassifierTeacher', config=config, checkpoint=None)
    return cfg

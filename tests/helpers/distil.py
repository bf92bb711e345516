"""Real tiny teachers and students, put together as a user's config would."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

import mmdet_kd  # noqa: F401  (registers what the configs name)
from mmdet_kd.class_names import classes_of_config
from mmdet_kd.knowledge import Step, head_classes
from mmdet_kd.teachers import Batch

SOFT = {'type': 'ClassWeightedSoftCrossEntropyLoss'}
BOUNDED = {'type': 'TeacherBoundedL2Loss'}
HINT = {'type': 'FeatureDistiller', 'adapter': {'type': 'ConvAdapter'}, 'loss': {'type': 'HintLoss'}}
RPN = {'type': 'RPNDistiller', 'loss_cls': SOFT, 'loss_bbox': BOUNDED}
ROI = {'type': 'RoIDistiller', 'loss_cls': SOFT, 'loss_bbox': BOUNDED}
#: A teacher that is run as it would be alone, to the bit.
AS_ALONE = {'fold_batch_norm': False, 'channels_last': False}
#: Of a one-stage detector that scores by sigmoids.
DENSE = {'type': 'DenseHeadDistiller', 'loss_cls': {'type': 'SoftenedKLLoss', 'use_sigmoid': True}}
#: Classes of the two families with code of their own, which a config has to name.
OWN_CODE = ('RTMDet', 'RPN', 'TridentFasterRCNN', 'PanopticFPN', 'MaskFormer', 'Mask2Former')
#: The whole of Chen et al.
METHOD = {'hint': HINT, 'rpn': RPN, 'roi': ROI}
#: What the encoder of a DETR makes of the maps.
DETR_METHOD = {'hint': {**HINT, 'source': 'memory'}}
#: Maps and scores, for a one-stage detector.
ONE_STAGE_METHOD = {'hint': HINT, 'dense': DENSE}


def save_teacher(cfg: Config, path: Path, **meta: Any) -> Path:
    """Initialise a detector from its config and save it as mmengine would, with `meta` beside the weights."""
    torch.manual_seed(1)
    detector = MODELS.build(copy.deepcopy(cfg.model))
    detector.init_weights()
    torch.save({'state_dict': detector.state_dict(), 'meta': meta}, path)
    return path


def distilled_cfg(student: Config, teacher: Any, checkpoint: str | Path | None, **distillers: Any) -> Config:
    """A student's config with a teacher; the whole method of its family unless `distillers` are given."""
    cfg = copy.deepcopy(student)
    cfg.custom_imports = {'imports': ['mmdet_kd'], 'allow_failed_imports': False}
    cfg.default_hooks.training_classes = {'type': 'TrainingClassesHook'}
    families = {'roi_head': METHOD, 'encoder': DETR_METHOD, 'bbox_head': ONE_STAGE_METHOD}
    method = next(method for part, method in families.items() if part in cfg.model)
    cfg.model.update(student_type(cfg.model.type))
    cfg.model.teacher = {'config': teacher, 'checkpoint': checkpoint and str(checkpoint)}
    cfg.model.distillers = copy.deepcopy(distillers or method)
    return cfg


def student_type(plain: str) -> dict[str, str]:
    """What a config says to make a student of a detector class of mmdet."""
    for family, base in (('TwoStage', TwoStageDetector), ('OneStage', SingleStageDetector)):
        if issubclass(MODELS.get(plain), base):
            named = {'detector': plain} if plain in OWN_CODE else {}
            return {'type': f'KnowledgeDistillation{family}Detector', **named}
    return {'type': 'KnowledgeDistillationDetector', 'detector': plain}


def build(cfg: Config, seed: int = 0, init: bool = True) -> nn.Module:
    """Build a detector in training mode, and initialise it as the Runner does.

    It is told the classes of its config's training set or, if its heads know another number, as many invented ones.
    """
    torch.manual_seed(seed)
    detector = MODELS.build(copy.deepcopy(cfg.model))
    if hasattr(detector, 'set_classes'):
        names, counts = classes_of_config(cfg) or (), head_classes(detector).values()
        detector.set_classes(names if len(names) in counts else [f'class {label}' for label in range(max(counts))])
    if init:
        detector.init_weights()
    return detector.train()


def raw_batch(boxes_per_image: tuple[int, ...] = (3, 2), size: int = 64, classes: int = 3, seed: int = 0) -> dict:
    """Uint8 noise pictures with random boxes, as a data loader would hand them over."""
    generator = torch.Generator().manual_seed(seed)
    pictures, samples = [], []
    for count in boxes_per_image:
        pictures.append(torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator))
        corner = torch.rand(count, 2, generator=generator) * size * 0.5
        extent = torch.rand(count, 2, generator=generator) * size * 0.3 + size * 0.15
        labels = torch.randint(0, classes, (count,), generator=generator)
        sample = DetDataSample(metainfo={'img_shape': (size, size), 'ori_shape': (size, size), 'scale_factor': (1, 1)})
        sample.gt_instances = InstanceData(bboxes=torch.cat([corner, corner + extent], dim=1), labels=labels)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return {'inputs': pictures, 'data_samples': samples}


def losses_of(detector: nn.Module, batch: dict, seed: int = 0) -> dict[str, Any]:
    """One forward pass in training, its sampling seeded."""
    torch.manual_seed(seed)
    return detector(**detector.data_preprocessor(copy.deepcopy(batch), training=True), mode='loss')


def total(losses: dict[str, Any]) -> Tensor:
    """The sum that the optimizer sees."""
    return sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if 'loss' in k)


def soft_part(losses: dict[str, Any]) -> dict[str, Tensor]:
    """The losses of the distillers alone."""
    return {k: v for k, v in losses.items() if '.loss_' in k and not re.match(r'[sd]\d+\.', k)}


def step_of(batch: dict[str, Any], knowledge: Any) -> Step:
    """What a detector tells its distillers of a batch that the student has preprocessed."""
    return Batch.of(batch['inputs'], batch['data_samples'], None).step(knowledge.canvas, knowledge.ratios)


def taught(detector: nn.Module, batch: dict[str, Any]) -> Any:
    """What the only teacher makes of a batch that the student has just preprocessed."""
    loaded = None if detector._views is None else detector._views.take()
    return detector.teacher.observe(Batch.of(batch['inputs'], batch['data_samples'], loaded))

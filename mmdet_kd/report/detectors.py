"""The trained detectors themselves: students without their teachers, the teachers, and how large each is."""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ..checks.detections import plain_detector
from ..class_names import classes_of_config, find_classes, same_classes
from ..comparison import Training
from ..compression import ForwardPass, measure_flops, shape_of_config
from ..detectors.teachers_by_name import build_teachers
from ..errors import DistillationError
from ..export import load_with_misfits, plain_student_config, require_fit, student_state_dict
from ..runtime.checkpoints import find_weights, read_checkpoint
from ..runtime.run_record import distilled_parts
from ..teachers import BaseTeacher, DetectorTeacher, find_teacher_files, read_weights
from .findings import Model


@dataclass
class Detector:
    """A model that is looked at.

    Args:
        model: in eval mode.
        cfg: that says which pictures it sees.
        labels: label of the data for each label of the model, -1 for none (C,); None where they are the same.
        teaches: of one that taught and is not compared, the checkpoint from which it was loaded.
    """

    model: nn.Module
    cfg: Config
    labels: Tensor | None = None
    teaches: str | None = None


def detector_of(training: Training) -> Detector:
    """The student of a finished training, without its teachers.

    Raises:
        DistillationError: its last checkpoint does not open, or holds other weights.
    """
    cfg = plain_student_config(training.recipe.read())
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model_cfg = copy.deepcopy(cfg.model)  # heads of mmdet write into their configs
    if 'data_preprocessor' in cfg:  # as mmengine's Runner does
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    model, content = MODELS.build(model_cfg), read_checkpoint(training.checkpoint)
    require_fit(model, content, training.checkpoint)
    load_with_misfits(model, student_state_dict(find_weights(content, training.checkpoint)))
    return Detector(model.eval().to(_device()), cfg)


def teachers_of(training: Training, known: Collection[str]) -> tuple[dict[str, Detector], list[str]]:
    """The detectors that taught a training, by their names; and why others are left out, a sentence each.

    Args:
        training: of a student; one that nobody taught has none.
        known: checkpoints of teachers that are known, and left out without a word.
    """
    cfg, found, missing = training.recipe.read(), {}, []
    names = classes_of_config(cfg)
    pictures = ('val_dataloader', 'val_evaluator', 'test_dataloader')
    shown = {key: cfg[key] for key in pictures if key in cfg}  # a teacher is shown the student's
    for part in distilled_parts(cfg.model):
        try:
            find_teacher_files(cfg)
            teachers = build_teachers(part.get('teacher'), part.get('teachers'))
        except DistillationError as error:
            missing += [f'The teacher of {training.title} is left out: {problem}.' for problem in error.problems]
            continue
        for name, teacher in teachers.items():
            if str(teacher.checkpoint) in known:
                continue
            title = name if name == 'teacher' else f'teacher {name}'
            try:
                model, labels = _plain(teacher, names)
            except DistillationError as error:
                missing += [f'The {title} of {training.title} is left out: {problem}.' for problem in error.problems]
                continue
            plain = Config(dict(teacher.cfg.to_dict(), **shown), format_python_code=False)
            found[title] = Detector(model, plain, labels, str(teacher.checkpoint))
    return found, missing


def _plain(teacher: BaseTeacher, names: Sequence[str] | None) -> tuple[nn.Module, Tensor | None]:
    """A teacher as a detector, and what its labels mean in the data; see :class:`Detector`."""
    if not isinstance(teacher, DetectorTeacher):
        raise DistillationError([f'it is a {type(teacher).__name__}, which detects nothing'])
    if teacher.checkpoint is None:
        raise DistillationError(['it is untrained'])
    own, labels = read_weights(teacher.checkpoint).classes or teacher.classes, None
    if names is None or own is None:
        raise DistillationError(['the names of its classes, or of those of the data, are not known'])
    if teacher.classes_by_name:
        labels = torch.full((len(own),), -1)
        labels[find_classes(names, own)] = torch.arange(len(names))
    elif not same_classes(names, own):
        raise DistillationError(['its classes are not those of the data'])
    return plain_detector(teacher).to(_device()), labels


def size_of(detector: Detector) -> Model:
    """How large a detector is, and what a forward pass on a picture of the size of its tests computes.

    Any detector class may come here, and the counter, which traces it, fails in many ways: what it cannot count is left
    out.
    """
    parameters = sum(parameter.numel() for parameter in detector.model.parameters())
    shape = shape_of_config(detector.cfg)
    try:
        return Model(parameters, measure_flops(ForwardPass(detector.model, shape)), shape)
    except Exception:
        return Model(parameters)


def _device() -> str:
    return 'cuda' if torch.cuda.is_available() else 'cpu'

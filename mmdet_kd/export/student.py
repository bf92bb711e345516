"""Exporting a student: its config and its weights."""

import warnings
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..errors import DistillationError
from ..files import written_whole
from ..runtime.checkpoints import find_weights, read_checkpoint
from .checkpoint import save_student, student_state_dict
from .plain_config import plain_student_config, types_of_this_package

# Settings of the training run that a student in use must not inherit.
_LISTED = 20  # weights that an error names
_RUN_SETTINGS = ('work_dir', 'launcher', 'load_from', 'resume', 'model_wrapper_cfg')


def export_student(cfg: Config, checkpoint: str | Path, out_dir: str | Path) -> tuple[Path, Path]:
    """Write `student.py` and `student.pth`, which MMDetection alone can train on, test and run.

    Args:
        cfg: the distillation config.
        checkpoint: a checkpoint that was trained with it.
        out_dir: folder for the two files, made if missing.

    Returns:
        The paths of the config and of the weights.

    Raises:
        DistillationError: the checkpoint does not open, or its weights are not those of the config's student.
    """
    content = read_checkpoint(checkpoint)
    plain = plain_student_config(cfg)
    for key in _RUN_SETTINGS:
        plain.pop(key, None)
    _check_fit(plain, content, checkpoint)
    ours = types_of_this_package(plain)
    if ours:
        warnings.warn(
            f'the student itself uses {", ".join(ours)} of mmdet_kd: its config keeps importing this package, which '
            'must be installed wherever the student is used',
            stacklevel=2,
        )
    out_dir = Path(out_dir)
    weights, config = out_dir / 'student.pth', out_dir / 'student.py'
    save_student(content, weights, config_text=plain.pretty_text)
    with written_whole(config) as draft:
        plain.dump(draft)
    return config, weights


def _check_fit(plain: Config, checkpoint: object, source: str | Path) -> None:
    """The weights must be exactly those of the student that the config builds."""
    state_dict = find_weights(checkpoint, source)
    init_default_scope(plain.get('default_scope', 'mmdet'))
    with torch.device('meta'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        student = MODELS.build(plain.model)
    shapes_model = {key: tuple(value.shape) for key, value in student.state_dict().items()}
    shapes_file = {key: tuple(value.shape) for key, value in student_state_dict(state_dict).items()}
    problems = [f'missing: {key}' for key in shapes_model if key not in shapes_file]
    problems += [f'unexpected: {key}' for key in shapes_file if key not in shapes_model]
    problems += [
        f'{key}: {shapes_file[key]} in the checkpoint, {shape} in the config'
        for key, shape in shapes_model.items()
        if key in shapes_file and shapes_file[key] != shape
    ]
    if problems:
        listed = '\n  '.join(problems[:_LISTED])
        listed += f'\n  and {len(problems) - _LISTED} more' if len(problems) > _LISTED else ''
        raise DistillationError(
            [f'the weights in {source} are not those of the student in the config; name a pair of one run.\n  {listed}']
        )

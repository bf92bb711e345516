"""Exporting a student: its config and its weights."""

import copy
import logging
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ..class_names import classes_of_config, comparable_names
from ..errors import DistillationError, raise_if_any
from ..files import written_whole
from ..runtime.checkpoints import classes_of_checkpoint, find_weights, read_checkpoint
from ..unknown_names import some
from .checkpoint import DISTILLERS_PREFIX, save_student, student_state_dict
from .misfits import COUNTER, Misfits, load_with_misfits, no_weights
from .plain_config import plain_student_config, types_of_this_package, unwritable_numbers

_FIRST_LINE = '# A student that tools/export_student.py wrote.'
# Settings of the training run that a student in use must not inherit.
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
        DistillationError: the checkpoint does not open, its weights are not those of the config's student, there is a
            `student.py` or a `student.pth` that was not exported, the config has a number that no file can say, or its
            classes are those of the checkpoint in another order.
    """
    out_dir = Path(out_dir)
    weights, config = out_dir / 'student.pth', out_dir / 'student.py'
    is_exported = config.is_file() and config.read_text().startswith(_FIRST_LINE)
    for file in (config, weights):
        if file.exists() and (not is_exported or file.resolve() == Path(checkpoint).resolve()):
            raise DistillationError([f'{file} is no exported one, so it is not replaced: name another folder by --out'])
    content = read_checkpoint(checkpoint)
    require_class_order(cfg, content, checkpoint)
    plain = plain_student_config(cfg)
    for key in _RUN_SETTINGS:
        plain.pop(key, None)
    raise_if_any(unwritable_numbers(plain))
    _check_fit(plain, content, checkpoint)
    ours = types_of_this_package(plain)
    if ours:
        warnings.warn(
            f'the student itself uses {", ".join(ours)} of mmdet_kd: its config keeps importing this package, which '
            'must be installed wherever the student is used',
            stacklevel=2,
        )
    with written_whole(config) as draft:  # first: it says whose the weights are
        draft.write_text(f'{_FIRST_LINE}\n{plain.pretty_text}')
    save_student(content, weights, config_text=plain.pretty_text)
    return config, weights


def _check_fit(plain: Config, checkpoint: object, source: str | Path) -> None:
    """The weights must be exactly those of the student that the config builds."""
    init_default_scope(plain.get('default_scope', 'mmdet'))
    with torch.device('meta'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        student = MODELS.build(copy.deepcopy(plain.model))  # heads of mmdet write into their configs
        student.to('meta')  # torch.Tensor(...), as in the DETR family, makes real memory all the same
    misfits = load_with_misfits(student, _on_meta(student_state_dict(find_weights(checkpoint, source))))
    if any(misfits):
        _refuse(misfits, source, 'student')


def require_class_order(cfg: Config, checkpoint: object, source: str | Path, loader: str = 'train_dataloader') -> None:
    """Refuse weights that were trained on a config's classes in another order: their labels mean something else.

    Other names pass: a set may call its classes otherwise. So does what is not known.

    Args:
        cfg: the config.
        checkpoint: its content; tensors on the meta device will do.
        source: its path, for the error.
        loader: that of the set whose classes count.

    Raises:
        DistillationError: the order is another one.
    """
    classes, trained = classes_of_config(cfg, loader=loader) or (), classes_of_checkpoint(checkpoint, source) or ()
    names, theirs = comparable_names(classes, trained)
    if names != theirs and sorted(names) == sorted(theirs):
        raise DistillationError(
            [
                f'{source} was trained on the classes {", ".join(trained)}, and the config has them in another order, '
                f'{", ".join(classes)}, so that its labels mean something else. Take the config that it was trained '
                f'with, or write metainfo=dict(classes={trained!r}) for its data set'
            ]
        )


def require_fit(detector: nn.Module, checkpoint: object, source: str | Path) -> None:
    """Refuse a checkpoint that does not hold every weight of a detector, before mmengine loads what fits of it.

    A checkpoint may hold more: the weights of distillers, those of a branch that the config leaves out.

    Args:
        detector: that is to be tested; not changed.
        checkpoint: its content; tensors on the meta device will do.
        source: its path, for the error.

    Raises:
        DistillationError: weights are missing or of another shape.
    """
    weights = _weights_of(checkpoint, source)
    misfits = _misfits_of(detector, weights)
    if misfits.missing or misfits.shaped:
        _refuse(misfits._replace(unknown=[]), source, 'detector')
    if misfits.unknown:
        print_log(
            f'Of {source}, these are not in the detector of the config, and play no part: {some(misfits.unknown)}',
            logger='current',
            level=logging.WARNING,
        )


def require_start(detector: nn.Module, checkpoint: object, source: str | Path) -> None:
    """Refuse to start a training from the weights of another network; mmengine loads what fits of them.

    Less than half of these fit. Where more fit but not all, as of a detector that was trained on other classes, a line
    of the log names some that do not. The weights of distillers count on neither side: a training may begin with them
    or without.

    Args:
        detector: that is to be trained; not changed.
        checkpoint: its content; tensors on the meta device will do.
        source: its path, for messages.

    Raises:
        DistillationError: less than half of the weights in the checkpoint fit.
    """
    weights = student_state_dict(_weights_of(checkpoint, source))
    misfits = _misfits_of(detector, weights)
    misfits = misfits._replace(missing=[key for key in misfits.missing if not key.startswith(DISTILLERS_PREFIX)])
    count = sum(not key.endswith(COUNTER) for key in weights)
    fitting = count - sum(not key.endswith(COUNTER) for key in misfits.unknown) - len(misfits.shaped)
    if misfits.other or 2 * fitting < count:
        raise DistillationError(
            [
                f'the weights in {source} are those of another network: {fitting} of {count} fit the detector '
                f'in the config. Correct load_from, or the config.{misfits}'
            ]
        )
    if any(misfits):
        print_log(
            f'Of the {count} weights in {source}, {fitting} fit the detector, which starts with these.{misfits}',
            logger='current',
            level=logging.WARNING,
        )


def _weights_of(checkpoint: object, source: str | Path) -> Mapping[str, Tensor]:
    return find_weights(checkpoint, source, bare=not (isinstance(checkpoint, dict) and 'state_dict' in checkpoint))


def _misfits_of(detector: nn.Module, weights: Mapping[str, Tensor]) -> Misfits:
    """What of these weights would not fit a detector, which is not changed."""
    shapes = _on_meta(weights)
    normalisation, averaged = no_weights(shapes, detector.state_dict())
    with warnings.catch_warnings():  # that on the meta device there is nothing to copy
        warnings.filterwarnings('ignore', message='.*copying from a non-meta parameter')
        misfits = load_with_misfits(copy.deepcopy(detector).to('meta'), shapes)
    unknown = [key for key in misfits.unknown if key not in (*normalisation, *averaged)]
    return misfits._replace(unknown=[key for key in unknown if not key.startswith(DISTILLERS_PREFIX)])


def _on_meta(state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """The same weights under the names by which mmengine loads them, without their numbers.

    The versions by which modules convert old weights stay.
    """
    shapes = OrderedDict((key.removeprefix('module.'), value.to('meta')) for key, value in state_dict.items())
    if hasattr(state_dict, '_metadata'):
        shapes._metadata = state_dict._metadata  # type: ignore[attr-defined]
    return shapes


def _refuse(misfits: Misfits, source: str | Path, whose: str) -> None:
    raise DistillationError(
        [f'the weights in {source} are not those of the {whose} in the config: name a pair of one run.{misfits}']
    )

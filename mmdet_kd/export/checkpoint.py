"""The student's weights, in a file that stock mmdet opens."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import DistillationError
from ..files import written_whole
from ..version import __version__

#: Prefix of the keys that a distillation adds to its student's checkpoint.
DISTILLERS_PREFIX = 'distillers.'
#: What mmdet registers once more in the first training step, so that it is in no model that has just been built: the
#: decoder of DDQ-DETR holds branches of the head -> where they are first.
_HELD_TWICE = {'decoder.aux_reg_branches.': 'bbox_head.aux_reg_branches.'}
_META_KEYS = ('epoch', 'iter', 'time', 'seed', 'experiment_name', 'mmengine_version')


def student_state_dict(state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Leave out what belongs to the distillers, and second names of the same weights.

    Every other key is the student's, as mmdet names it.

    Source: ``DDQDETR.pre_decoder`` of mmdet, for the second names.
    """
    student = OrderedDict(
        (key, value)
        for key, value in state_dict.items()
        if not key.startswith(DISTILLERS_PREFIX) and not _is_second_name(key, state_dict)
    )
    # Modules convert old weights by the versions that torch keeps beside a state dict.
    versions = getattr(state_dict, '_metadata', None)
    if versions is not None:
        own = DISTILLERS_PREFIX.rstrip('.')
        student._metadata = OrderedDict(  # type: ignore[attr-defined]
            (name, value) for name, value in versions.items() if name.partition('.')[0] != own
        )
    return student


def _is_second_name(key: str, state_dict: Mapping[str, Tensor]) -> bool:
    for second, first in _HELD_TWICE.items():
        if key.startswith(second):
            original = state_dict.get(first + key.removeprefix(second))
            return original is not None and torch.equal(original, state_dict[key])
    return False


def save_student(checkpoint: Mapping[str, Any], path: str | Path, config_text: str | None = None) -> None:
    """Write the student of a training checkpoint: weights on the CPU, and meta data of plain types.

    No optimizer, no log history, no numpy: torch opens the file with weights only, whatever is installed. The file
    appears under its name when it is complete.

    Args:
        checkpoint: as `read_checkpoint` returns it.
        path: of the new file.
        config_text: the plain config, kept in the file so that mmdet's inferencers need no other.

    Raises:
        DistillationError: the checkpoint holds no weights.
    """
    state_dict = checkpoint.get('state_dict') if isinstance(checkpoint, Mapping) else None
    if not isinstance(state_dict, Mapping) or not state_dict:
        raise DistillationError(
            ["the checkpoint holds no weights: it has no 'state_dict'. Name one that training saved"]
        )
    old_meta = checkpoint.get('meta')
    old_meta = old_meta if isinstance(old_meta, Mapping) else {}
    meta = {key: _plain(old_meta[key]) for key in _META_KEYS if key in old_meta}
    meta['mmdet_kd_version'] = __version__
    if old_meta.get('dataset_meta'):
        meta['dataset_meta'] = _plain(old_meta['dataset_meta'])
    if config_text is not None:
        meta['cfg'] = config_text
    # A clone, because a view would take its whole storage along.
    weights = student_state_dict(state_dict)
    for key, value in weights.items():
        weights[key] = value.detach().cpu().clone()
    # Into an open file: torch, given a name, does not say that a disk is full.
    with written_whole(path) as draft, draft.open('wb') as file:
        torch.save({'meta': meta, 'state_dict': weights}, file)


def _plain(value: Any) -> Any:
    """The same value in Python's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, (list, set)):
        return [_plain(item) for item in value]
    if hasattr(value, 'tolist'):  # numpy and torch
        return value.tolist()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)

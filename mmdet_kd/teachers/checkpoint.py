"""Reading a teacher's checkpoint: as data, never as code."""

import re
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..errors import DistillationError
from ..export import student_state_dict
from ..runtime import downloaded, find_weights, kept_at, read_checkpoint
from ..runtime.checkpoints import classes_of_checkpoint
from .paths import candidates


class Weights(NamedTuple):
    """A detector's weights, and the classes it was trained on if the checkpoint says so."""

    state_dict: dict[str, Tensor]
    classes: tuple[str, ...] | None


def read_weights(source: str | Path) -> Weights:
    """Read the weights of a detector from a file or a URL.

    The checkpoint of a distilled student serves too: what belongs to its own distillers is left out.

    Args:
        source: a path, or an http(s) URL, which is downloaded once to torch's hub folder.

    Raises:
        DistillationError: the file is missing, truncated or corrupt, would run code when opened, or holds no weights.
    """
    path = _local_file(str(source))
    try:
        checkpoint = read_checkpoint(path, 'teacher checkpoint')
    except DistillationError:
        if str(source).startswith(('http://', 'https://')):
            path.unlink(missing_ok=True)  # the next attempt downloads it again
        raise
    state_dict = find_weights(checkpoint, source, 'teacher checkpoint', bare=True)
    plain = OrderedDict((re.sub(r'^module\.', '', key), value) for key, value in state_dict.items())
    if hasattr(state_dict, '_metadata'):  # the versions by which modules convert old weights
        plain._metadata = {re.sub(r'^module(\.|$)', '', k): v for k, v in state_dict._metadata.items()}
    return Weights(student_state_dict(plain), classes_of_checkpoint(checkpoint, source))


def extraction(prefix: str, source: str | Path) -> str:
    """The command that saves the weights under a prefix alone, with the classes beside them."""
    remote = str(source).startswith(('http://', 'https://'))
    load = 'torch.hub.load_state_dict_from_url' if remote else 'torch.load'
    return (
        f"python -c \"import torch, mmdet_kd; c = {load}('{source}', map_location='cpu', weights_only=True); "
        f"s = {{k[{len(prefix)}:]: v for k, v in c['state_dict'].items() if k.startswith('{prefix}')}}; "
        "torch.save({'state_dict': s, 'meta': c.get('meta')}, 'teacher.pth')\""
    )


def file_at_hand(source: str | Path) -> Path | None:
    """The file of a checkpoint, if it is on this machine; nothing is downloaded."""
    source = str(source)
    places = [kept_at(source)] if source.startswith(('http://', 'https://')) else candidates(source)
    return next((place for place in places if place.is_file()), None)


def _local_file(source: str) -> Path:
    if source.startswith(('http://', 'https://')):
        return downloaded(source, 'teacher checkpoint')
    places = candidates(source)
    for place in places:
        if place.is_file():
            return place
    raise DistillationError(
        [
            f'there is no teacher checkpoint {source!r} (looked at: {", ".join(map(str, places))}). Train the teacher '
            'first, correct the path, or write checkpoint=None for an untrained teacher'
        ]
    )

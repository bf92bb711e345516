"""Reading a teacher's checkpoint: as data, never as code."""

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import DistillationError
from ..export import student_state_dict
from ..runtime import downloaded, find_weights, kept_at, read_checkpoint
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
    return Weights(student_state_dict(plain), _find_classes(checkpoint, source))


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


def _find_classes(checkpoint: Any, source: str | Path) -> tuple[str, ...] | None:
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict):
        return None
    dataset_meta = meta.get('dataset_meta')
    dataset_meta = dataset_meta if isinstance(dataset_meta, dict) else {}
    # mmdet 2.x: meta['CLASSES']; early 3.x: dataset_meta['CLASSES']
    for holder, key in ((dataset_meta, 'classes'), (dataset_meta, 'CLASSES'), (meta, 'CLASSES')):
        classes = holder.get(key)
        if classes:
            if isinstance(classes, str):
                raise DistillationError(
                    [
                        f'the checkpoint {source} names its classes by one string, {classes!r}, most likely a tuple '
                        f'without its comma. Save it with meta[...][{key!r}] = ({classes!r},), or with all its '
                        'names'
                    ]
                )
            if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
                raise DistillationError(
                    [f'the checkpoint {source} names its classes by something else than strings: {classes!r:.200}']
                )
            return tuple(classes)
    return None

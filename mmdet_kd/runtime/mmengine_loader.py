"""The one reader of checkpoints, for all that mmengine loads: `load_from`, `resume`, `test` and `init_cfg`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from ..errors import DistillationError
from .checkpoints import find_weights, read_checkpoint

_MESSAGES = ('log_scalars', 'runtime_info', 'resumed_keys')


def register_reader() -> None:
    """Tell mmengine's registry of loaders to load local files through :func:`load_from_file`."""
    CheckpointLoader.register_scheme('', load_from_file, force=True)


def load_from_file(filename: str | Path, map_location: str | Callable | None = None) -> dict[str, Any]:
    """Load a local checkpoint.

    The text of a config in `meta` is left out. `Runner.resume` would run it as Python, to compare numbers of GPUs
    that no config of mmengine holds any longer.

    Args:
        filename: its path.
        map_location: as in :func:`torch.load`; None is the CPU, `meta` reads the structure alone.

    Raises:
        DistillationError: the file cannot be opened as data, or holds no weights.
    """
    checkpoint = read_checkpoint(filename, map_location='cpu' if map_location is None else map_location)
    if not _holds_parts_of_others(checkpoint):
        find_weights(checkpoint, filename, bare=not (isinstance(checkpoint, dict) and 'state_dict' in checkpoint))
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def check_resumable(filename: str | Path) -> dict[str, Any]:
    """Check that a training can go on from a checkpoint, without reading its weights.

    Returns:
        Its content, with the tensors on the meta device.

    Raises:
        DistillationError: it cannot be opened as data, or what a training saves is not in it; says what.
    """
    checkpoint = load_from_file(filename, map_location='meta')
    require_resumable(checkpoint, filename)
    return checkpoint


def require_resumable(checkpoint: dict[str, Any], filename: str | Path) -> None:
    """Check that an opened checkpoint has what a training saves.

    Raises:
        DistillationError: something is not in it; says what.
    """
    find_weights(checkpoint, filename)
    meta, messages = checkpoint.get('meta'), checkpoint.get('message_hub')
    lacking = [
        f"a whole number 0 or more as meta['{key}']"
        for key in ('epoch', 'iter')
        if not isinstance(meta, dict) or type(meta.get(key)) is not int or not 0 <= meta[key] < 2**40
    ]
    if not isinstance(messages, dict) or not all(isinstance(messages.get(key), dict) for key in _MESSAGES):
        lacking.append("the log of the run ('message_hub')")
    if not isinstance(checkpoint.get('optimizer'), dict):
        lacking.append("the state of the optimizer ('optimizer')")
    if not isinstance(checkpoint.get('param_schedulers', []), (list, dict)):
        lacking.append("the state of the schedules ('param_schedulers')")
    if lacking:
        raise DistillationError(
            [
                f'no training can go on from the checkpoint {filename}: it lacks {", ".join(lacking)}. Name one that '
                f"a training saved; or leave --resume out and start from its weights with load_from='{filename}'"
            ]
        )


def _holds_parts_of_others(checkpoint: Any) -> bool:
    """Whether weights lie under a name that only the code of a backbone may know."""
    if not isinstance(checkpoint, dict) or 'state_dict' in checkpoint or 'model' in checkpoint:
        return False
    return not any(isinstance(value, Tensor) for value in checkpoint.values()) and any(
        isinstance(value, dict) and any(isinstance(each, Tensor) for each in value.values())
        for value in checkpoint.values()
    )

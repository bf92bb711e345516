"""Weights that are not those of a model: which, in a few words."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from ..unknown_names import some

#: What versions of mmdet saved beside the weights: how pictures were normalised.
NORMALISATION = ('data_preprocessor.mean', 'data_preprocessor.std')
#: The last part of the name of a count that nothing depends on.
COUNTER = 'num_batches_tracked'
_MOST_OTHER = 300  # characters of what torch says


class Misfits(NamedTuple):
    """What does not fit, by name; empty where all does."""

    missing: list[str]
    unknown: list[str]
    shaped: list[str]
    other: list[str]

    def __str__(self) -> str:
        what = ('missing from the checkpoint', 'unknown to the config', 'of another shape', 'refused')
        return ''.join(f'\n    {sort}: {some(keys)}' for sort, keys in zip(what, self, strict=True) if keys)


def load_with_misfits(model: nn.Module, state_dict: dict[str, Tensor]) -> Misfits:
    """Load what fits, and say what does not.

    Modules convert what older versions of them saved, so only torch can tell.

    Args:
        model: it is changed. On the meta device nothing is copied.
        state_dict: its weights, perhaps.
    """
    try:
        missing, unknown = model.load_state_dict(state_dict, strict=False)
        shaped: dict[str, str] = {}
    except RuntimeError as error:
        own = model.state_dict()
        shaped = {
            key: f'{key} {tuple(value.shape)}, in the config {tuple(own[key].shape)}'
            for key, value in state_dict.items()
            if key in own and own[key].shape != value.shape
        }
        if not shaped:
            return Misfits([], [], [], [' '.join(str(error).split())[:_MOST_OTHER]])
        missing, unknown = model.load_state_dict(without(state_dict, set(shaped)), strict=False)
    missing = [key for key in missing if key not in shaped and not key.endswith(COUNTER)]
    return Misfits(missing, unknown, list(shaped.values()), [])


def no_weights(state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[list[str], set[str]]:
    """The names in a checkpoint that are known to be no weights of a model.

    Args:
        state_dict: of the checkpoint.
        own: the model's.

    Returns:
        Mean and std of the pictures, and the ``ema_*`` of mmdet 2.x (YOLOX): beside each weight ``a.b`` a buffer
        ``ema_a_b`` of the same shape. Its EMA hook exchanges the two before a checkpoint is saved at the end of an
        epoch ("the original model parameters are actually saved in ema field after train"), so the average lies under
        the plain name.
    """
    shapes = {f'ema_{key.replace(".", "_")}': value.shape for key, value in own.items()}
    averaged = {key for key, value in state_dict.items() if key not in own and shapes.get(key) == value.shape}
    return [key for key in NORMALISATION if key in state_dict and key not in own], averaged


def without(state_dict: dict[str, Tensor], keys: Iterable[str]) -> dict[str, Tensor]:
    """The same weights without some; the versions beside them stay."""
    kept = state_dict.copy()
    if hasattr(state_dict, '_metadata'):
        kept._metadata = state_dict._metadata
    for key in keys:
        del kept[key]
    return kept

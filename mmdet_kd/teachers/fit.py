"""Putting a checkpoint's weights into a teacher: strictly, but for what is known to be no weight of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import DistillationError, raise_if_any
from ..export import COUNTER, Misfits, load_with_misfits, no_weights, without
from ..unknown_names import some
from .checkpoint import Weights, extraction

#: Relative. A normalisation that was averaged along with the weights is off by rounding; two that are in use differ by
#: 4e-3 at least (a std of 57.12 and of 57.375).
_SAME_NORMALISATION = 1e-3


def load_strictly(model: nn.Module, weights: Weights, cfg: Config, source: str | Path) -> None:
    """Load all weights of a checkpoint into a model; one log line says what was left out.

    Left out are the mean and std of the pictures, which have to be the config's own, and mmdet 2.x's ``ema_*``, which
    are the weights of the last step beside their average. A missing count of batches is no weight either.

    Args:
        model: built from ``cfg``; it is changed.
        weights: of the checkpoint.
        cfg: the teacher's config.
        source: path or URL of the checkpoint, for errors.

    Raises:
        DistillationError: a weight is missing, left over or of another shape, or the checkpoint was trained with
            another normalisation; the message says which, and what would fit.

    Source: ``load_state_dict`` of mmengine, which warns where this refuses.
    """
    own = model.state_dict()
    normalisation, averaged = no_weights(weights.state_dict, own)
    raise_if_any(_normalisation_problems(model, weights.state_dict, normalisation, source))
    state_dict = without(weights.state_dict, {*normalisation, *averaged})
    raise_if_any(_kind_problems(state_dict, own, source))
    misfits = load_with_misfits(model, state_dict)
    if any(misfits):
        cure = _cure(misfits, weights._replace(state_dict=state_dict), own, cfg, source)
        raise DistillationError([f"the weights in {source} do not fit the teacher's config.{misfits}\n    {cure}"])
    said = [f'{", ".join(normalisation)} (the same as in its config)'] if normalisation else []
    said += [f'{len(averaged)} ema_* (the last step of a training whose average is taught with)'] if averaged else []
    left_out = f' Left out, since they are no weights of the detector: {"; ".join(said)}.' if said else ''
    print_log(f'The teacher holds all {len(state_dict)} tensors of {source}.{left_out}', logger='current')


def _kind_problems(state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str | Path) -> list[str]:
    """Whole numbers, or true and false, where the model has real ones: torch would convert them without a word."""
    odd = [
        f'{key} is {value.dtype}, in the model {own[key].dtype}'
        for key, value in state_dict.items()
        if key in own and value.is_floating_point() != own[key].is_floating_point()
    ]
    return [f'the weights in {source} are of another kind of number: {some(odd)}. Save them as floats'] if odd else []


def _normalisation_problems(
    model: nn.Module, state_dict: Mapping[str, Tensor], keys: Iterable[str], source: str | Path
) -> list[str]:
    """Compare the mean and std that a checkpoint of mmdet 3.0's first versions holds with the config's."""
    problems = []
    for key in keys:
        name = key.rpartition('.')[2]
        trained = state_dict[key].detach().flatten().float()
        own = getattr(getattr(model, 'data_preprocessor', None), name, None)
        own = None if own is None else own.flatten().float()
        if own is None or own.shape != trained.shape or not torch.allclose(trained, own, rtol=_SAME_NORMALISATION):
            configured = 'none' if own is None else [round(value, 3) for value in own.tolist()]
            problems.append(
                f'the checkpoint {source} was trained on pictures with the {name} '
                f"{[round(value, 3) for value in trained.tolist()]}, and the {name} in the teacher's config is "
                f'{configured}: write the former into its data_preprocessor, or give the config of that training'
            )
    return problems


def _cure(misfits: Misfits, weights: Weights, own: Mapping[str, Tensor], cfg: Config, source: str | Path) -> str:
    """What to do about weights that do not fit."""
    prefixes = _prefixes(weights.state_dict, own)
    if misfits.missing and prefixes:
        return (
            f'The weights of this detector lie under {" and ".join(map(repr, prefixes))}. Save one of these alone, '
            f'{extraction(prefixes[0], source)}, and name that file'
        )
    backbone = [key.removeprefix('backbone.') for key in own if key.startswith('backbone.')]
    if backbone and all(key in weights.state_dict for key in backbone if not key.endswith(COUNTER)):
        return (
            'These are the weights of a backbone alone, which knows nothing of detection: give the checkpoint of a '
            'detector'
        )
    numbers = sorted(set(_numbers_of_classes(cfg.model)))
    if misfits.shaped and weights.classes is not None and numbers and len(weights.classes) not in numbers:
        return (
            f'The checkpoint knows {len(weights.classes)} classes, and num_classes in the config is '
            f'{" and ".join(map(str, numbers))}: set num_classes={len(weights.classes)} in its heads, or give the '
            'checkpoint that was trained with it'
        )
    if misfits.unknown and not (misfits.missing or misfits.shaped):
        return (
            'All weights of this detector are there, and these besides, which it does not have. Save its weights alone,'
            f' {_without_command(misfits.unknown, source)}, and name that file; or give the config that has them'
        )
    if misfits.missing and not misfits.unknown and not misfits.shaped:
        return (
            'The checkpoint holds a part of the detector only: give one that was saved with this config, or the config '
            'of the smaller detector that it is of'
        )
    return 'They are those of another detector: give the config that this checkpoint was trained with'


def _without_command(keys: list[str], source: str | Path) -> str:
    """The command that saves a checkpoint without some keys."""
    return (
        f"python -c \"import torch, mmdet_kd; c = torch.load('{source}', map_location='cpu', weights_only=True); "
        f"s = c.get('state_dict', c); [s.pop(k) for k in {keys}]; "
        "torch.save({'state_dict': s, 'meta': c.get('meta')}, 'teacher.pth')\""
    )


def _prefixes(state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Under which prefixes a checkpoint holds every weight of a model; that of a SoftTeacher's teacher first."""
    wanted = [key for key in own if not key.endswith(COUNTER)]
    found = {key[: -len(wanted[0])] for key in state_dict if key.endswith(f'.{wanted[0]}')} if wanted else set()
    whole = [prefix for prefix in found if all(prefix + key in state_dict for key in wanted)]
    return sorted(whole, key=lambda prefix: (prefix != 'teacher.', prefix))


def _numbers_of_classes(cfg: object) -> list[int]:
    """Every ``num_classes`` of a model's config, at any depth."""
    values = cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, (list, tuple)) else ()
    found = [number for value in values for number in _numbers_of_classes(value)]
    own = cfg.get('num_classes') if isinstance(cfg, dict) else None
    return [own, *found] if isinstance(own, int) else found

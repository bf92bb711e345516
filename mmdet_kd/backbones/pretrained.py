"""Pretrained weights that arrive whole, or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.model import BaseModule, PretrainedInit
from torch import Tensor, nn

from ..errors import DistillationError
from ..runtime import read_checkpoint

_TOOL = 'tools/model_converters/caffe_to_mmdet_kd.py'


@contextmanager
def whole_weights(module: BaseModule, part: str) -> Iterator[None]:
    """Refuse, for the length of a ``with`` block, a checkpoint that does not hold all of a part of a module.

    mmengine loads what ``init_cfg=dict(type='Pretrained', ...)`` names as far as it fits and goes on, so that a network
    with one layer of noise would train without a word.

    Args:
        module: whose ``init_weights`` runs in the block.
        part: its child, of which every tensor must come from the checkpoint, in the right shape.

    Raises:
        DistillationError: the file cannot be read, or lacks some of the part; lists what it lacks.
    """
    source = _checkpoint(module.init_cfg)
    if source is not None and '://' not in source:  # the others are downloads, which are mmengine's
        read_checkpoint(source, f'file of pretrained weights ({_TOOL} makes some)', map_location='meta')
    wanted = {key: value.shape for key, value in module.state_dict().items() if key.startswith(f'{part}.')}

    def check(_: nn.Module, state_dict: Mapping[str, Tensor], *unused: Any) -> None:
        problems = [
            f'{key} is missing'
            if key not in state_dict
            else f'{key} is {tuple(state_dict[key].shape)} there, {tuple(shape)} here'
            for key, shape in wanted.items()
            if key not in state_dict or state_dict[key].shape != shape
        ]
        if problems:
            raise DistillationError(
                [
                    f'{source} does not hold the weights of this {type(module).__name__}: {"; ".join(problems)}. Name '
                    f"the network's own file in init_cfg; {_TOOL} makes one of Caffe's"
                ]
            )

    handle = module.register_load_state_dict_pre_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _checkpoint(init_cfg: dict | list[dict] | None) -> str | None:
    """What an ``init_cfg`` loads, if anything."""
    for cfg in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg or {}]:
        if cfg.get('type') in ('Pretrained', PretrainedInit):
            return cfg['checkpoint']
    return None

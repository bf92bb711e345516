"""Whether the learning rate of a student is for the batches that it will be trained on."""

import math
import re
from typing import NamedTuple

from mmengine.config import Config

from ..errors import DistillationError, raise_if_any


class Batches(NamedTuple):
    """What a step learns from."""

    ranks: int  # processes that train together
    size: int  # pictures of each
    accumulated: int  # batches whose gradients are summed

    def __str__(self) -> str:
        factors = [factor for factor in self if factor > 1]
        return f'{" x ".join(map(str, factors))} = {self.pictures}' if len(factors) > 1 else str(self.pictures)

    @property
    def pictures(self) -> int:
        """How many there are in all."""
        return math.prod(self)


def rate_notes(cfg: Config, name: str, scales_lr: bool, ranks: int) -> list[str]:
    """What a person should know of the learning rate, where it is for other batches than theirs.

    Args:
        cfg: of the student.
        name: of its file, of which mmdet's say `8xb32`: 8 processes with batches of 32.
        scales_lr: whether the training will scale the rate.
        ranks: processes that will train together.

    Raises:
        DistillationError: the rate is to be scaled, and from which batches is not known.
    """
    scaling, wrapper = cfg.get('auto_scale_lr') or {}, cfg.get('optim_wrapper') or {}
    base = scaling.get('base_batch_size')
    if scales_lr and base is None:
        raise DistillationError(
            [
                '--auto-scale-lr: the student does not say for which batches its learning rate is: write '
                'auto_scale_lr=dict(base_batch_size=...) into its config, or leave the option out'
            ]
        )
    size, rate = (cfg.get('train_dataloader') or {}).get('batch_size'), (wrapper.get('optimizer') or {}).get('lr')
    if None in (base, size, rate):
        return []
    yours = Batches(ranks, size, wrapper.get('accumulative_counts') or 1)
    contradiction = _contradiction(name, base, rate)
    if contradiction is not None:
        meant, said = contradiction
        raise_if_any([f'--auto-scale-lr: {said}'] if scales_lr else [])
        return [] if yours.pictures == meant else [f'ATTENTION: yours have {yours}; {said}, and add --auto-scale-lr']
    if scales_lr or scaling.get('enable') or yours.pictures == base:
        return []
    cure = 'add --auto-scale-lr'
    if yours.accumulated > 1:
        cure = 'set lr for them, since --auto-scale-lr does not count accumulation'
    return [f'ATTENTION: lr={rate} is for batches of {base}; yours have {yours}: {cure}']


def _contradiction(name: str, base: int, rate: float) -> tuple[int, str] | None:
    """The batches that a name says where the config says others, as RTMDet's, whose schedule is that of another."""
    named = re.search(r'(\d+)xb(\d+)', name)
    meant = math.prod(map(int, named.groups())) if named else base
    if meant == base:
        return None
    return meant, (
        f"the student's name says {named[0]}, so lr={rate} is for batches of {meant}, and its auto_scale_lr says "
        f'{base}: write auto_scale_lr=dict(base_batch_size={meant}) into its config'
    )

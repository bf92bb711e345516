"""How many places a softmax takes."""

import torch
from torch import Tensor


def places_taken(shares: Tensor) -> Tensor:
    r"""Over how many places a softmax spreads: the exponential of its entropy, :math:`\exp(-\sum_m p_m \log p_m)`.

    It is 1 where one place takes all, and M where all M places take the same.

    Args:
        shares: p (..., M), which sum to 1.

    Returns:
        (...), each in [1, M].
    """
    return torch.special.entr(shares).sum(dim=-1).exp()

"""How many places a softmax takes."""

import torch.nn.functional as F
from torch import Tensor


def places_taken(logits: Tensor) -> Tensor:
    r"""Over how many places a softmax spreads: the exponential of its entropy, :math:`\exp(-\sum_m p_m \log p_m)`.

    It is 1 where one place takes all, and M where all M places take the same.

    Args:
        logits: (..., M), divided by the temperature.

    Returns:
        (...), each in [1, M].
    """
    log_p = F.log_softmax(logits, dim=-1)
    return (-(log_p.exp() * log_p).sum(dim=-1)).exp()

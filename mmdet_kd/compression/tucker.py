"""Decomposing the weights of a layer."""

from types import ModuleType

import torch
from torch import Tensor, nn

from ..errors import DistillationError
from .evbmf import evbmf_rank
from .layers import LowRankLinear, Ranks, TuckerConv2d, layer_like


def low_rank(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best approximation of a matrix by a product.

    A projection onto the leading singular vectors of the shorter side, so that at full rank the product is the matrix
    up to rounding, however accurate the vectors are.

    Args:
        matrix: (T, S).
        rank: at most min(T, S).

    Returns:
        (T, rank) and (rank, S), in float64.

    Source: Eckart and Young, 1936.
    """
    matrix = matrix.detach().double()
    if matrix.shape[0] > matrix.shape[1]:
        last, first = low_rank(matrix.T, rank)
        return first.T, last.T
    vectors = torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -rank:].flip(1)
    return vectors, vectors.T @ matrix


def tucker2(kernel: Tensor, ranks: tuple[int, int]) -> tuple[Tensor | None, Tensor, Tensor | None]:
    r"""Tucker decomposition of the two channel modes of a kernel.

    .. math:: K_{tsij} \approx \sum_{a,b} L_{tb} C_{baij} F_{as}

    Args:
        kernel: (T, S, D, D), without groups.
        ranks: R3 of the input and R4 of the output. A full rank needs no factor.

    Returns:
        F (R3, S) or None, C (R4, R3, D, D), L (T, R4) or None, in float64.

    Raises:
        DistillationError: both sides are to be decomposed, and tensorly is not installed.

    Source: Kim et al., ICLR 2016, section 3.1. Orthogonal iteration; with one factor, the optimum.
    """
    kernel = kernel.detach().double()
    (inputs, outputs), (rank_in, rank_out) = (kernel.shape[1], kernel.shape[0]), ranks
    if rank_in == inputs and rank_out == outputs:
        return None, kernel, None
    if rank_in == inputs:
        rank = min(rank_out, kernel[0].numel())
        last, core = low_rank(kernel.flatten(1), rank)
        missing = rank_out - rank  # more rank than the unfolding has: the rest is zeros
        last, core = nn.functional.pad(last, (0, missing)), nn.functional.pad(core, (0, 0, 0, missing))
        return None, core.reshape(rank_out, *kernel.shape[1:]), last
    if rank_out == outputs:
        first, core, _ = tucker2(kernel.transpose(0, 1), (outputs, rank_in))[::-1]
        return first.T, core.transpose(0, 1), None
    with _tensorly().backend_context('pytorch', local_threadsafe=True):
        from tensorly.decomposition import partial_tucker

        (core, (last, first)), _ = partial_tucker(kernel, [rank_out, rank_in], modes=[0, 1], random_state=0)
    return first.T, core, last


def decompose(module: nn.Conv2d | nn.Linear, ranks: Ranks) -> TuckerConv2d | LowRankLinear:
    """The layer of these ranks that comes nearest to a trained one.

    Raises:
        DistillationError: tensorly is needed and not installed.
    """
    layer = layer_like(module, ranks)
    if isinstance(module, nn.Linear):
        last, first = low_rank(module.weight, ranks)
        factors: list[Tensor | None] = [first, None, last]
    else:
        groups = [tucker2(kernel, ranks) for kernel in module.weight.chunk(module.groups)]
        factors = [None if of_all[0] is None else torch.cat(of_all) for of_all in zip(*groups, strict=True)]
    with torch.no_grad():
        for name, factor in zip(('first', 'core', 'last'), factors, strict=True):
            if factor is not None:
                weight = layer.get_submodule(name).weight
                weight.copy_(factor.reshape(weight.shape))
        if module.bias is not None:
            list(layer)[-1].bias.copy_(module.bias)
    return layer.to(module.weight)


def composed_weight(layer: TuckerConv2d | LowRankLinear) -> Tensor:
    """The weight of the one layer that a decomposed layer amounts to, in float64."""
    parts = {name: part.weight.detach().double() for name, part in layer.named_children()}
    if isinstance(layer, LowRankLinear):
        return parts['last'] @ parts['first']
    kernels = []
    for group in range(layer.core.groups):
        of_group = {name: weight.chunk(layer.core.groups)[group] for name, weight in parts.items()}
        kernel = of_group['core']
        if 'first' in of_group:
            kernel = torch.einsum('baij,as->bsij', kernel, of_group['first'].flatten(1))
        if 'last' in of_group:
            kernel = torch.einsum('tb,bsij->tsij', of_group['last'].flatten(1), kernel)
        kernels.append(kernel)
    return torch.cat(kernels)


def relative_error(module: nn.Conv2d | nn.Linear, layer: TuckerConv2d | LowRankLinear) -> float:
    """Frobenius norm of what a decomposition loses of a layer's weight, as a share of the weight's."""
    weight = module.weight.detach().double()
    return float((weight - composed_weight(layer)).norm() / weight.norm().clamp(min=torch.finfo(weight.dtype).tiny))


def evbmf_ranks(module: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """EVBMF's ranks of the input and the output channels of a layer, 1 at least; of several groups the largest."""
    groups = module.weight.chunk(getattr(module, 'groups', 1))
    by_output = max(evbmf_rank(weight.flatten(1)) for weight in groups)
    if groups[0][0, 0].numel() == 1:  # a matrix: both unfoldings are the same
        return max(by_output, 1), max(by_output, 1)
    by_input = max(evbmf_rank(weight.transpose(0, 1).flatten(1)) for weight in groups)
    return max(by_input, 1), max(by_output, 1)


def _tensorly() -> ModuleType:
    try:
        import tensorly
    except ImportError as error:
        raise DistillationError(
            ['decomposing a convolution needs tensorly, which is not installed: pip install tensorly']
        ) from error
    return tensorly

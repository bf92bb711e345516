"""What a decomposed convolution or linear layer becomes. Shapes and ranks alone build it."""

from collections import OrderedDict
from collections.abc import Mapping

from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import DistillationError

#: Ranks as a config writes them: of a convolution (of its input channels, of its output channels), for each group; of
#: a linear layer one number.
Ranks = tuple[int, int] | int
_Pair = int | tuple[int, int]


class _Decomposed(nn.Sequential):
    """A chain of layers that refuses weights of another network, which a load that is not strict would pass over."""

    def __init__(self, parts: 'OrderedDict[str, nn.Module]') -> None:
        super().__init__(parts)
        self.register_load_state_dict_pre_hook(_check_whole)


def _check_whole(layer: nn.Module, weights: Mapping[str, Tensor], prefix: str, *unused: object) -> None:
    shapes = {f'{prefix}{name}': value.shape for name, value in layer.state_dict().items()}
    wrong = [name for name, shape in shapes.items() if name not in weights or weights[name].shape != shape]
    if wrong:
        raise DistillationError(
            [
                f'these weights are not of a network with the same ranks: {", ".join(wrong)} are missing or of another '
                'shape. Decompose the trained network with --ranks CONFIG for this config (tools/tucker_decompose.py)'
            ]
        )


@MODELS.register_module()
class TuckerConv2d(_Decomposed):
    """A convolution as up to three: 1x1 ``first``, DxD ``core``, 1x1 ``last``, with nothing between.

    The core has the stride, the padding and the dilation. A side whose rank is full needs no 1x1: it is left out. So
    a 1x1 convolution of ranks (in_channels / groups, r) is two 1x1. Of a grouped convolution all of them are grouped.

    Args:
        in_channels: S.
        out_channels: T.
        kernel_size: D.
        ranks: (R3, R4) for each group: at most S / groups and T / groups.
        stride: as of :class:`torch.nn.Conv2d`, and so are the rest.
        padding: zero padding commutes with ``first``, which has no bias; other padding modes do too.
        dilation: of the core.
        groups: of all.
        bias: of the last one that there is.
        padding_mode: of the core.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Pair,
        ranks: tuple[int, int],
        stride: _Pair = 1,
        padding: _Pair | str = 0,
        dilation: _Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = 'zeros',
    ) -> None:
        inner_in, inner_out = groups * ranks[0], groups * ranks[1]
        has_last = inner_out < out_channels
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if inner_in < in_channels:
            parts['first'] = nn.Conv2d(in_channels, inner_in, 1, groups=groups, bias=False)
        parts['core'] = nn.Conv2d(
            inner_in,
            inner_out,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias and not has_last,
            padding_mode=padding_mode,
        )
        if has_last:
            parts['last'] = nn.Conv2d(inner_out, out_channels, 1, groups=groups, bias=bias)
        super().__init__(parts)


@MODELS.register_module()
class LowRankLinear(_Decomposed):
    """A linear layer as two, ``first`` and ``last``, with nothing between.

    Args:
        in_features: S.
        out_features: T.
        rank: of the product of the two.
        bias: of the second one.
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__(
            OrderedDict(
                first=nn.Linear(in_features, rank, bias=False),
                last=nn.Linear(rank, out_features, bias=bias),
            )
        )


def layer_like(module: nn.Conv2d | nn.Linear, ranks: Ranks) -> TuckerConv2d | LowRankLinear:
    """An untrained layer of these ranks that takes and gives what ``module`` does, and is frozen if that is."""
    if isinstance(module, nn.Conv2d):
        layer: nn.Module = TuckerConv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            ranks,
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            groups=module.groups,
            bias=module.bias is not None,
            padding_mode=module.padding_mode,
        )
    else:
        layer = LowRankLinear(module.in_features, module.out_features, ranks, bias=module.bias is not None)
    return layer.requires_grad_(module.weight.requires_grad)

"""Which layers of a detector can be decomposed, and what each of them costs."""

import copy
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from torch import nn

from ..errors import DistillationError
from .decomposed import CONVOLUTIONS, LINEARS, channels, replace_layers
from .flops import ForwardPass, count_positions, measure_flops
from .layers import LowRankLinear, Ranks, TuckerConv2d

#: Names of layers that predict: what they give is the result, and few of them cost much. The lines after the first are
#: those of RepPoints; SSD and the DETR family, in whose branches the layers before the last are taken along; CenterNet.
FINAL_PREDICTORS = '|'.join(
    [
        r'(^|\.)(\w+_)?(cls|reg|logits|centerness|preds?|obj|mask_iou)(\.\d+)?$',
        r'_(cls|pts_init|pts_refine)_out$',
        r'(^|\.)(cls|reg)_(convs|branches)\.\d+(\.\d+)?$',
        r'(^|\.)(cls|mask)_embed(\.\d+)?$',
        r'(^|\.)(heatmap|wh|offset)_head\.\d+$',
    ]
)
# The paper decomposes the output of a first convolution only: a picture has three channels.
_PICTURE_CHANNELS = 3


@dataclass(frozen=True)
class SurveyedLayer:
    """A layer that can be decomposed, and its work in one forward pass.

    Args:
        name: in the detector.
        module: a plain convolution or linear layer.
        inputs: cells of its input, over all its calls.
        outputs: cells of its output.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    inputs: int
    outputs: int

    @property
    def full(self) -> tuple[int, int]:
        """Input and output channels of each group."""
        return channels(self.module)

    @property
    def kernel_cells(self) -> int:
        """D x D."""
        return self.module.weight[0, 0].numel()

    @property
    def one_sided(self) -> bool:
        """Whether only the rank of the output is free: a matrix has one rank."""
        return self.kernel_cells == 1 or self.full[0] <= _PICTURE_CHANNELS

    def flops(self, ranks: tuple[int, int]) -> int:
        """Multiply-adds at these ranks of both sides; at full ranks, of the layer as it is."""
        return self._work(ranks, self.inputs, self.outputs)

    def parameters(self, ranks: tuple[int, int]) -> int:
        """Weights at these ranks, and the bias."""
        bias = self.module.bias
        return self._work(ranks, 1, 1) + (0 if bias is None else bias.numel())

    def best(self, ranks: tuple[int, int]) -> tuple[int, int]:
        """The cheapest ranks that approximate at least as well as ``ranks``.

        With a high rank on a side it is cheaper to leave that side's 1x1 out, and nothing is lost on it. Where neither
        side gains, these are the full ranks: the layer stays as it is.
        """
        sides = [(full, min(rank, full)) for rank, full in zip(ranks, self.full, strict=True)]
        options = itertools.product(sides[0][:1] if self.one_sided else sides[0], sides[1])
        return min(options, key=self.flops)  # of equals the first, which is the fuller one

    def written(self, ranks: tuple[int, int]) -> Ranks:
        """Ranks as a config has them."""
        return ranks if isinstance(self.module, nn.Conv2d) else ranks[1]

    def _work(self, ranks: tuple[int, int], inputs: int, outputs: int) -> int:
        groups = getattr(self.module, 'groups', 1)
        (rank_in, rank_out), (full_in, full_out) = ranks, self.full
        work = outputs * rank_in * rank_out * self.kernel_cells
        if rank_in < full_in:
            work += inputs * full_in * rank_in
        if rank_out < full_out:
            work += outputs * rank_out * full_out
        return groups * work


@dataclass(frozen=True)
class Survey:
    """What is known of a detector before it is decomposed.

    Args:
        layers: what can be decomposed.
        skipped: name of a layer -> why it cannot.
        flops: of the whole detector, measured.
        shape: of the picture that they were measured on, height and width.
    """

    layers: tuple[SurveyedLayer, ...]
    skipped: dict[str, str]
    flops: int
    shape: tuple[int, int]

    def flops_at(self, ranks: dict[str, tuple[int, int]]) -> int:
        """Of the whole detector with some layers decomposed: mmengine's count of these layers is known exactly."""
        saved = sum(layer.flops(layer.full) - layer.flops(ranks.get(layer.name, layer.full)) for layer in self.layers)
        return self.flops - saved


def survey(detector: nn.Module, shape: tuple[int, int], skip: str = FINAL_PREDICTORS) -> Survey:
    """Run a detector once, and say which of its layers can be decomposed.

    Args:
        detector: any detector of mmdet, with an ``init_cfg`` that loads nothing; it is put into eval mode.
        shape: height and width of the picture.
        skip: regular expression, searched in the names of the layers; what it finds is left as it is. Empty: nothing.

    Raises:
        DistillationError: the detector cannot look at a picture of this shape.
    """
    forward_pass = ForwardPass(detector, shape)
    try:
        positions = count_positions(forward_pass)
    except RuntimeError as error:
        height, width = forward_pass.shape
        raise DistillationError(
            [f'the detector fails on a picture of {height} x {width} ({error}). Give a --shape that it is made for']
        ) from error
    users = Counter(id(weight) for _, weight in detector.named_parameters(remove_duplicate=False))
    layers, skipped = [], {}
    for name, module in detector.named_modules():
        weight = module._parameters.get('weight')
        if weight is None or weight.dim() < 2:
            continue
        reason = _reason_to_skip(name, module, detector, positions, skip, users[id(weight)] > 1)
        if reason:
            skipped[name] = reason
        else:
            layers.append(SurveyedLayer(name, module, *positions[name]))
    read = _find_read_attributes(detector, shape, layers)
    skipped |= {name: f'other code reads its {attribute}' for name, attribute in read.items()}
    layers = [layer for layer in layers if layer.name not in read]
    return Survey(tuple(layers), skipped, measure_flops(forward_pass), forward_pass.shape)


def _reason_to_skip(
    name: str, module: nn.Module, detector: nn.Module, positions: dict, skip: str, is_shared: bool
) -> str | None:
    parent = detector.get_submodule(name.rpartition('.')[0])
    if isinstance(parent, (TuckerConv2d, LowRankLinear)):
        return 'part of a decomposed layer'
    if type(module) not in (*CONVOLUTIONS, *LINEARS):
        return f'a {type(module).__name__}'
    if skip and re.search(skip, name):
        return 'by name'
    if is_shared:
        return 'shared by several places'
    if name not in positions:
        return 'the forward pass does not call it'
    return None


def _find_read_attributes(detector: nn.Module, shape: tuple[int, int], layers: list[SurveyedLayer]) -> dict[str, str]:
    """Name of a layer -> an attribute of it that other code reads, and that a decomposed layer lacks.

    Found by trying: a copy with everything decomposed is initialised and run.
    """
    ranks = {layer.name: layer.written((layer.full[0] if layer.one_sided else 1, 1)) for layer in layers}
    read: dict[str, str] = {}
    while True:
        trial = copy.deepcopy(detector)
        try:
            _try(trial, {name: value for name, value in ranks.items() if name not in read}, shape)
        except AttributeError as error:
            name = next((name for name, module in trial.named_modules() if module is error.obj), None)
            if name not in ranks:
                raise
            read[name] = error.name
        else:
            return read


def _try(detector: nn.Module, ranks: dict[str, Ranks], shape: tuple[int, int]) -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad(), quiet_initialisation():
        replace_layers(detector, ranks)
        for module in detector.modules():
            if isinstance(module, BaseModule):
                module.is_init = False
        detector.init_weights()
        forward_pass = ForwardPass(detector, shape)
        forward_pass(forward_pass.picture())


@contextmanager
def quiet_initialisation() -> Iterator[None]:
    """Keep mmengine from listing every parameter that it initialises."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        yield
    finally:
        logger.setLevel(level)

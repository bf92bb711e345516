"""What a detector computes in one forward pass, as mmengine counts it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..backbones import picture_channels

_DEFAULT_SHAPE = (800, 1333)
_ROI_SIZE = 64.0  # pixels


class ForwardPass(nn.Module):
    """A detector's forward pass on one picture, with a number of RoIs that depends on its config alone.

    As mmdet's ``forward(mode='tensor')``. Only the RoIs of a two-stage detector with an RPN are not those that its RPN
    proposes, which would vary with the weights, but as many as it may propose in a test (``test_cfg.rpn.max_per_img``).

    Args:
        detector: any detector of mmdet; it is put into eval mode.
        shape: height and width of the picture, which is padded to ``data_preprocessor.pad_size_divisor``.
    """

    def __init__(self, detector: nn.Module, shape: tuple[int, int]) -> None:
        super().__init__()
        self.detector = detector.eval()
        divisor = getattr(detector.data_preprocessor, 'pad_size_divisor', 1)
        self.shape = tuple(-(-size // divisor) * divisor for size in shape)

    def picture(self) -> Tensor:
        """An input of the right size."""
        return torch.zeros(
            1, picture_channels(self.detector.backbone), *self.shape, device=next(self.detector.parameters()).device
        )

    def forward(self, picture: Tensor) -> Any:
        """See the class."""
        shape = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape'), self.shape)
        nothing = InstanceData(bboxes=picture.new_zeros(0, 4), labels=picture.new_zeros(0, dtype=torch.long))
        samples = [DetDataSample(metainfo=dict(shape, scale_factor=(1.0, 1.0)), gt_instances=nothing)]
        test_cfg = getattr(self.detector, 'test_cfg', None) or {}
        num_rois = (test_cfg.get('rpn') or {}).get('max_per_img')
        if not getattr(self.detector, 'with_rpn', False) or num_rois is None:
            return self.detector(picture, samples, mode='tensor')
        maps = self.detector.extract_feat(picture)
        self.detector.rpn_head.predict(maps, samples, rescale=False)
        rois = picture.new_tensor([0.0, 0.0, _ROI_SIZE, _ROI_SIZE]).repeat(num_rois, 1)
        return self.detector.roi_head(maps, [InstanceData(bboxes=rois)], samples)


def measure_flops(forward_pass: ForwardPass) -> int:
    """Multiply-adds of a forward pass by :class:`mmengine.analysis.FlopAnalyzer`.

    It counts convolutions, linear layers, matrix products, normalisation and interpolation. It does not count RoIAlign,
    deformable convolutions, activations, pooling, NMS.
    """
    analyzer = FlopAnalyzer(forward_pass, forward_pass.picture())
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        return int(analyzer.total())


def count_positions(forward_pass: ForwardPass) -> dict[str, tuple[int, int]]:
    """At how many places a forward pass computes each convolution and each linear layer.

    Returns:
        Name in the detector -> cells of its input and of its output, over all its calls; layers that are called only.
    """
    positions: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    with _record(forward_pass.detector, positions), torch.no_grad():
        forward_pass(forward_pass.picture())
    return dict(positions)


@contextmanager
def _record(detector: nn.Module, positions: dict[str, tuple[int, int]]) -> Iterator[None]:
    def hook_for(name: str) -> Any:
        def hook(module: nn.Module, arguments: tuple, output: Tensor) -> None:
            before = positions[name]
            sizes = (tensor.numel() // tensor.shape[channel_dim] for tensor in (arguments[0], output))
            positions[name] = tuple(old + new for old, new in zip(before, sizes, strict=True))

        channel_dim = 1 if isinstance(detector.get_submodule(name), nn.Conv2d) else -1
        return hook

    layers = [(name, module) for name, module in detector.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    handles = [module.register_forward_hook(hook_for(name)) for name, module in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shape_of_config(cfg: Config) -> tuple[int, int]:
    """Height and width of the pictures that a config tests on: the scale of the first resize, else 800 x 1333."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    for transform in dataset.get('pipeline') or cfg.get('test_pipeline') or []:
        scale = transform.get('scale')
        if isinstance(scale, (tuple, list)) and len(scale) == 2 and all(isinstance(size, int) for size in scale):
            return scale[1], scale[0]
    return _DEFAULT_SHAPE

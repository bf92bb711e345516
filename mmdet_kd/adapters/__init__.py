"""Small trainable modules that bring what the student makes into the teacher's space."""

from .channel_adapter import ChannelAdapter
from .conv3x3_adapter import Conv3x3Adapter
from .conv_adapter import ConvAdapter, PointwiseConv
from .grid import to_grid
from .linear_adapter import LinearAdapter
from .norm_adapter import NormAdapter, NormConvAdapter

__all__ = [
    'ChannelAdapter',
    'Conv3x3Adapter',
    'ConvAdapter',
    'LinearAdapter',
    'NormAdapter',
    'NormConvAdapter',
    'PointwiseConv',
    'to_grid',
]

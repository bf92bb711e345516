"""Small trainable modules that bring what the student makes into the teacher's space."""

from .channel_adapter import ChannelAdapter
from .conv_adapter import ConvAdapter, PointwiseConv
from .grid import to_grid
from .linear_adapter import LinearAdapter

__all__ = ['ChannelAdapter', 'ConvAdapter', 'LinearAdapter', 'PointwiseConv', 'to_grid']

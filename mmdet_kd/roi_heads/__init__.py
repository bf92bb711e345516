"""Box heads that mmdet lacks: the fully connected layers of the networks in :mod:`mmdet_kd.backbones`.

They are a room of their own, under the name that mmdet has for it, because a config names them in ``roi_head`` and they
are used with any backbone, and without a teacher.
"""

from .bbox_heads import AlexNetBBoxHead, VGGBBoxHead

__all__ = ['AlexNetBBoxHead', 'VGGBBoxHead']

"""The networks of Chen et al. (NIPS 2017), each as a backbone with one map of stride 16.

Their fully connected layers are the box heads of :mod:`mmdet_kd.roi_heads`. :mod:`.caffe` and :mod:`.caffemodel` bring
weights that were trained with Caffe.
"""

from .alexnet import AlexNet
from .branches import maps_of_a_picture
from .channels import picture_channels, shapes_only
from .conv_stack import Conv, ConvStack
from .lrn import LocalResponseNorm
from .pretrained import whole_weights
from .vgg import VGG16, VGGM

__all__ = [
    'VGG16',
    'VGGM',
    'AlexNet',
    'Conv',
    'ConvStack',
    'LocalResponseNorm',
    'maps_of_a_picture',
    'picture_channels',
    'shapes_only',
    'whole_weights',
]

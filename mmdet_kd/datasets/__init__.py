"""Data sets that are drawn, converted or checked."""

from .coco import check_coco
from .ilsvrc_det import ILSVRC_DET_CLASSES, convert_ilsvrc_det
from .kitti import KITTI_CLASSES, convert_kitti
from .own import convert_own
from .shapes import SHAPES, SPLITS, Shape, ShapesSpec, draw_image, draw_shapes, is_drawn
from .voc import check_voc

__all__ = [
    'ILSVRC_DET_CLASSES',
    'KITTI_CLASSES',
    'SHAPES',
    'SPLITS',
    'Shape',
    'ShapesSpec',
    'check_coco',
    'check_voc',
    'convert_ilsvrc_det',
    'convert_kitti',
    'convert_own',
    'draw_image',
    'draw_shapes',
    'is_drawn',
]

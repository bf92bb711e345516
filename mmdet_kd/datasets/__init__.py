"""Data sets that are drawn or read."""

from .shapes import SHAPES, SPLITS, Shape, ShapesSpec, draw_image, draw_shapes, is_drawn

__all__ = ['SHAPES', 'SPLITS', 'Shape', 'ShapesSpec', 'draw_image', 'draw_shapes', 'is_drawn']

"""What the student learned, as pictures."""

from .curves import Curve, draw_curves
from .detections import TRUTH, draw_detections, picture_with_boxes

__all__ = ['TRUTH', 'Curve', 'draw_curves', 'draw_detections', 'picture_with_boxes']

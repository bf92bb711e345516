"""Heads that do not score a known grid of priors: why each says nothing that a dense head is asked."""

from mmdet.models import dense_heads as heads
from torch import nn

from .base import register_view
from .dense import DenseView

_SETS = 'it predicts a set of boxes from queries, which have no place on a map'
_MASKS_OF_QUERIES = 'it predicts a set of masks from queries, which have no place on a map'
_CORNERS = 'it finds corners and groups them in pairs; no prior has a box'
_MASKS_OF_CELLS = 'its cells have masks; no prior has a box'

#: Class of a head -> why it has no answer.
REASONS: dict[type[nn.Module], str] = {
    heads.CenterNetHead: 'it does not know how many pixels a cell of its map spans',
    heads.CornerHead: _CORNERS,
    heads.CentripetalHead: _CORNERS,
    heads.DETRHead: _SETS,
    heads.ConditionalDETRHead: _SETS,
    heads.DABDETRHead: _SETS,
    heads.DeformableDETRHead: _SETS,
    heads.DINOHead: _SETS,
    heads.DDQDETRHead: _SETS,
    heads.GroundingDINOHead: _SETS,
    heads.MaskFormerHead: _MASKS_OF_QUERIES,
    heads.Mask2FormerHead: _MASKS_OF_QUERIES,
    heads.SOLOHead: _MASKS_OF_CELLS,
    heads.DecoupledSOLOHead: _MASKS_OF_CELLS,
    heads.DecoupledSOLOLightHead: _MASKS_OF_CELLS,
    heads.SOLOV2Head: _MASKS_OF_CELLS,
    heads.EmbeddingRPNHead: 'it learns boxes that are the same for all pictures, and scores none',
}


@register_view(*REASONS)
class ViewWithoutGrid(DenseView):
    """Answers no question."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        reason = next(REASONS[base] for base in type(head).__mro__ if base in REASONS)
        self._why_not = dict.fromkeys(self.questions, reason)

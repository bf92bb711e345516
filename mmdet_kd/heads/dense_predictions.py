"""What a dense head predicts, in the forms in which distillers compare it."""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from .dense import DenseMaps, DenseView, Priors
from .maps import fit, rows_of, sizes_of, which_fit


class DensePredictions:
    """What a dense head predicts for its priors. Each piece is computed when it is first asked for.

    It has its gradient whoever asks first: it is computed with gradients enabled, since all who ask share it.

    Args:
        view: of the head.
        maps: what it gave.
        map_scores: brings its scores (N, M, K) to other classes; None leaves them.
    """

    def __init__(self, view: DenseView, maps: DenseMaps, map_scores: Callable[[Tensor], Tensor] | None = None) -> None:
        self.view = view
        self.maps = maps
        self._map_scores = map_scores

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the levels' grids."""
        return sizes_of(self.maps.scores)

    @property
    def counts(self) -> list[int]:
        """Priors of each level; they add up to M."""
        return [level[0].numel() // self.view.score_channels for level in self.maps.scores]

    def on_grids(self, sizes: Sequence[tuple[int, int]]) -> tuple['DensePredictions', Tensor | None]:
        """The predictions for the priors of other grids of the same strides.

        Cells count from the upper left corner. What lies beyond these grids is left out; where they have cells that are
        not here, at the lower right, nothing is predicted.

        Returns:
            The predictions; and which of their priors (N, M) are predicted for, as 0 and 1, or None where all are.
        """
        if list(sizes) == self.sizes:
            return self, None
        fitted = DenseMaps(*(maps and fit(maps, sizes) for maps in self.maps))
        valid = which_fit(self.maps.scores, sizes, self.view.score_channels)
        return DensePredictions(self.view, fitted, self._map_scores), valid

    @cached_property
    @torch.enable_grad()
    def score_maps(self) -> list[Tensor]:
        """Logits (N, A * K, H, W) of each level."""
        if self._map_scores is None:
            return self.maps.scores
        rows = [level.unflatten(1, (-1, self.view.score_channels)).movedim(2, -1) for level in self.maps.scores]
        return [self._map_scores(level).movedim(-1, 2).flatten(1, 2) for level in rows]

    @cached_property
    @torch.enable_grad()
    def scores(self) -> Tensor:
        """Logits (N, M, K)."""
        scores = rows_of(self.maps.scores, self.view.score_channels)
        return scores if self._map_scores is None else self._map_scores(scores)

    @cached_property
    @torch.enable_grad()
    def regressed(self) -> Tensor:
        """What is regressed, (N, M, R)."""
        return rows_of(self.maps.regressed, self.view.box_channels)

    @cached_property
    @torch.enable_grad()
    def quality(self) -> Tensor:
        """Logits (N, M)."""
        return rows_of(self.maps.quality, 1)[..., 0]

    @cached_property
    @torch.enable_grad()
    def class_probabilities(self) -> Tensor:
        """Of each prior for each class, (N, M, C), in single precision. A background is left out.

        Where class scores are conditional, it is the probability that there is an object, and that it is of the class.
        """
        scores = self.scores.float()
        of_classes = scores.sigmoid() if self.view.use_sigmoid else scores.softmax(dim=-1)[..., :-1]
        return of_classes * self.quality.float().sigmoid()[..., None] if self.view.conditional else of_classes

    @cached_property
    def priors(self) -> Priors:
        """The M priors, the same for all pictures."""
        return self.view.priors(self.sizes, self.maps.scores[0].device)

    def distributions_of(self, images: Tensor, places: Tensor) -> Tensor:
        """Logits (K, 4, bins) of the sides of the boxes of these priors."""
        return self.view.distributions(self.regressed[images, places])

    def boxes_of(self, images: Tensor, places: Tensor) -> Tensor:
        """The boxes (K, 4) of these priors, xyxy, pixels, single precision, with a gradient to what was regressed."""
        return self._decode(self.regressed[images, places], Priors(*(each[places] for each in self.priors)))

    @cached_property
    @torch.enable_grad()
    def boxes(self) -> Tensor:
        """The boxes of all priors, (N, M, 4), in single precision."""
        images = len(self.regressed)
        priors = Priors(*(each.repeat(images, 1) for each in self.priors))
        return self._decode(self.regressed.flatten(0, 1), priors).view(images, -1, 4)

    def _decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """In single precision: GFL sums its bins by a matrix product, which autocast would round."""
        with torch.autocast(regressed.device.type, enabled=False):
            return self.view.decode(regressed.float(), priors)

r"""How labels and teachers share a classification loss.

Of the n active distillers that teach what one of the student's own losses teaches,

.. math:: L = \frac{1}{n} \sum_i \mu_i L_{hard} + \frac{1}{n} \sum_i (1 - \mu_i) L_{soft, i}

so that all factors add up to 1. A weight w of a distiller may be a fraction while it is ramped. Then its part of the
loss is w over the sum of all weights instead of 1 over n. Within its part it mixes as it would alone: 1 - w (1 - mu)
for the labels, w (1 - mu) for its teacher. So no factor jumps when a weight comes to 0.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A distiller's claim to a part of one of the student's own losses.

    Args:
        own_loss: pattern of the name that the student's ``loss()`` gives it; in a cascade, of those of all stages.
        part: of the distiller's loss, which teaches the same.
        mu: share of the own loss if there were no other claim, in [0, 1].
        weight: of the distiller, in (0, 1].
    """

    own_loss: str
    part: str
    mu: float
    weight: float


class Shares:
    """The factors of all losses.

    Args:
        claims: name of a distiller -> its claim; None where it is not active, or claims nothing.
    """

    def __init__(self, claims: Mapping[str, Claim | None]) -> None:
        claims = {name: claim for name, claim in claims.items() if claim is not None}
        self._hard: dict[str, float] = {}
        self._soft: dict[tuple[str, str], float] = {}
        total: dict[str, float] = {}
        for claim in claims.values():
            total[claim.own_loss] = total.get(claim.own_loss, 0.0) + claim.weight
        for name, claim in claims.items():
            fraction = claim.weight / total[claim.own_loss]
            hard = claim.weight * claim.mu + (1 - claim.weight)
            self._hard[claim.own_loss] = self._hard.get(claim.own_loss, 0.0) + fraction * hard
            self._soft[name, claim.part] = fraction * (1 - claim.mu)

    def check(self, own_losses: Collection[str]) -> None:
        """Refuse a claim to a loss that the student does not have: the soft loss would be added to it, not mixed.

        Args:
            own_losses: names of all of the student's own losses.

        Raises:
            RuntimeError: there is such a claim; the message names it.
        """
        for pattern in self._hard:
            if not any(re.fullmatch(pattern, name) for name in own_losses):
                raise RuntimeError(
                    f'a distiller with a loss_cls shares the loss {pattern} with the labels, and the student has only '
                    f'{", ".join(own_losses)}: leave loss_cls out for this student'
                )

    def hard(self, own_loss: str) -> float:
        """The factor of one of the student's own losses.

        Args:
            own_loss: as the student's ``loss()`` names it, e.g. ``loss_cls`` or ``s0.loss_cls``.

        Raises:
            ValueError: distillers claim it by different patterns, so that what is left of it is not decided.
        """
        patterns = [pattern for pattern in self._hard if re.fullmatch(pattern, own_loss)]
        if len(patterns) > 1:
            raise ValueError(f'{own_loss} is claimed as {" and as ".join(patterns)}; distillers must claim it alike')
        return self._hard[patterns[0]] if patterns else 1.0

    def soft(self, distiller: str, part: str) -> float:
        """The factor of a part of a distiller's loss, beside the distiller's weight; 1 where it claims nothing."""
        return self._soft.get((distiller, part), 1.0)

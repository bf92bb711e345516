"""Stopping at a distillation loss that is no longer finite."""

from collections.abc import Mapping

import torch
from torch import Tensor


class FiniteLossGuard:
    """Raises when a loss is not finite, without ever making the host wait for the device.

    On the CPU it raises at once. On a GPU the verdict travels back behind the computation, and is read in the first
    later step that finds it there.
    """

    def __init__(self) -> None:
        self._pending: tuple[list[str], Tensor, torch.cuda.Event] | None = None

    def watch(self, losses: Mapping[str, Tensor]) -> None:
        """Check this step's losses.

        Args:
            losses: name -> scalar.

        Raises:
            FloatingPointError: one of them, or of an earlier step's, is not finite; the message names it.
        """
        if not losses:
            return
        finite = torch.stack([loss.detach().isfinite() for loss in losses.values()])
        if not finite.is_cuda:
            self._judge(list(losses), finite)
            return
        if self._pending is not None and self._pending[2].query():
            self._judge(*self._pending[:2])
            self._pending = None
        if self._pending is None:
            verdict = torch.empty(finite.shape, dtype=finite.dtype, pin_memory=True).copy_(finite, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._pending = (list(losses), verdict, event)

    @staticmethod
    def _judge(names: list[str], finite: Tensor) -> None:
        bad = [name for name, ok in zip(names, finite.tolist(), strict=True) if not ok]
        if bad:
            raise FloatingPointError(
                f'the distillation loss {", ".join(bad)} is not finite. Lower its loss_weight or the learning rate, '
                'clip the gradients (optim_wrapper.clip_grad), or under AMP look whether the teacher overflows; then '
                'continue from the last checkpoint with --resume'
            )

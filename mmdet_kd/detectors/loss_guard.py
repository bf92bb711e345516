"""Stopping at a distillation loss that is no longer finite."""

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import NotFiniteError


class FiniteLossGuard:
    """Raises when a loss is not finite, without making a step wait for the device.

    On the CPU it raises at once. On a GPU the verdicts travel back behind the computation, and are read in later steps
    as they arrive; before anything is saved, all of them are.
    """

    def __init__(self) -> None:
        self._pending: deque[tuple[list[str], Tensor, torch.cuda.Event]] = deque()

    def watch(self, losses: Mapping[str, Tensor]) -> None:
        """Check this step's losses, and those of earlier steps whose verdict has arrived.

        Args:
            losses: name -> scalar.

        Raises:
            NotFiniteError: one of them is not finite; the message names it.
        """
        while self._pending and self._pending[0][2].query():
            self._judge(*self._pending.popleft()[:2])
        if not losses:
            return
        finite = torch.stack([loss.detach().isfinite() for loss in losses.values()])
        if not finite.is_cuda:
            self._judge(list(losses), finite)
            return
        verdict = torch.empty(finite.shape, dtype=finite.dtype, pin_memory=True).copy_(finite, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._pending.append((list(losses), verdict, event))

    def drain(self) -> None:
        """Wait for every verdict.

        Raises:
            NotFiniteError: a loss was not finite.
        """
        while self._pending:
            names, verdict, event = self._pending.popleft()
            event.synchronize()
            self._judge(names, verdict)

    def __deepcopy__(self, memo: dict[int, object]) -> 'FiniteLossGuard':
        return FiniteLossGuard()  # a copy of the model has computed nothing yet; CUDA events cannot be copied

    @staticmethod
    def _judge(names: list[str], finite: Tensor) -> None:
        bad = [name for name, ok in zip(names, finite.tolist(), strict=True) if not ok]
        if bad:
            raise NotFiniteError(
                f'the distillation loss {", ".join(bad)} is not finite. Lower its loss_weight or the learning rate, '
                'clip the gradients (optim_wrapper.clip_grad), or under AMP look whether the teacher overflows; then '
                'continue from the last checkpoint with --resume --resume-changed'
            )

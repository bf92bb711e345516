"""Checkpoints that are whole and finite, and old ones that stay until the new one is there."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import Runner
from torch import Tensor

from ..errors import NotFiniteError
from ..files import sweep_drafts, written_whole

_BACKEND = 'whole_file'
# What a resumed run, a test or an export computes with.
_WEIGHTS = ('state_dict', 'ema_state_dict', 'optimizer')


class WholeFileBackend(LocalBackend):
    """Local files that appear under their names when they are whole."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes beside the file, then rename."""
        with written_whole(filepath) as draft:
            draft.write_bytes(obj)


register_backend(_BACKEND, WholeFileBackend)


class LateRemovals:
    """A file backend that only notes what it is told to remove.

    Args:
        backend: everything else is done by it.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.noted: list[tuple[Callable[[str], None], str]] = []

    def remove(self, path: str) -> None:
        """Note a file."""
        self.noted.append((self.backend.remove, path))

    def rmtree(self, path: str) -> None:
        """Note a folder."""
        self.noted.append((self.backend.rmtree, path))

    def carry_out(self, keep: set[str | None]) -> None:
        """Remove what was noted, but for `keep`: paths that were written anew since."""
        for remove, path in self.noted:
            if path not in keep:
                remove(path)
        self.noted.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's hook, with all its options, for machines that stop at any moment.

    mmengine removes the oldest checkpoint before it writes the new one, and writes that under its final name. Here the
    new one is written beside and renamed, and the old one goes afterwards: with ``max_keep_ckpts=1`` there is always a
    whole one. A process that is killed between the two leaves one more than ``max_keep_ckpts``.

    Paths that a checkpoint remembers, of the best and of the last one, are looked for in the folder of this run, so
    that a copied work dir never touches the one that it was copied from.

    Files elsewhere than on a local disk, or with ``backend_args``, are written as mmengine writes them. The files of
    ``published_keys`` are too.
    """

    _removals: LateRemovals | None = None

    @classmethod
    def like(cls, hook: CheckpointHook) -> 'WholeCheckpointHook':
        """A hook with the options of another one."""
        made = cls()
        vars(made).update(vars(hook))
        return made

    def before_train(self, runner: Runner) -> None:
        """Choose where and how files are written, and find this run's own."""
        is_local = '://' not in str(self.out_dir or runner.work_dir)
        if is_local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = {'backend': _BACKEND}
        super().before_train(runner)
        if is_local and is_main_process():
            sweep_drafts(self.out_dir)
        self.file_backend = self._removals = LateRemovals(self.file_backend)
        self._find_own(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None, outputs: Any = None
    ) -> None:
        """Save if it is time; then remove what is too old."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._remove_old()

    def after_train_epoch(self, runner: Runner) -> None:
        """Save if it is time; then remove what is too old."""
        super().after_train_epoch(runner)
        self._remove_old()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the best; then remove the best until now."""
        super().after_val_epoch(runner, metrics)
        self._remove_old()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save what is not finite: nothing could go on from it.

        Raises:
            NotFiniteError: a weight, its average or a state of the optimizer is not finite; the message names the
                first ones.
        """
        bad = [
            name for part in _WEIGHTS for name, value in _tensors(checkpoint.get(part), part) if not _is_finite(value)
        ]
        if bad:
            raise NotFiniteError(
                f'{", ".join(bad[:3])}{f" and {len(bad) - 3} more" if len(bad) > 3 else ""}: not finite, so this '
                'checkpoint is not saved. Lower the learning rate or clip the gradients (optim_wrapper.clip_grad); '
                'then continue from the last checkpoint with --resume --resume-changed'
            )

    def _remove_old(self) -> None:
        if self._removals is None:  # no training has begun
            return
        best = getattr(self, 'best_ckpt_path_dict', None) or {'': getattr(self, 'best_ckpt_path', None)}
        self._removals.carry_out(keep={self.last_ckpt, *best.values()})

    def _find_own(self, runner: Runner) -> None:
        """Bring remembered paths into this run's folder. The last checkpoint is known only where it lies there."""
        if getattr(self, 'best_ckpt_path', None):
            self.best_ckpt_path = self._own(self.best_ckpt_path)
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = path and self._own(path)
        last = runner.message_hub.runtime_info.get('last_ckpt') if runner.iter > 0 else None
        if last and self.file_backend.isfile(self._own(last)):
            self.last_ckpt = self._own(last)  # so that a validation that is made up can note its result in it

    def _own(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, os.path.basename(path))


def _tensors(part: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested dicts and lists, with its dotted name."""
    if isinstance(part, Tensor):
        yield name, part
    elif isinstance(part, (Mapping, list, tuple)):
        for key, value in part.items() if isinstance(part, Mapping) else enumerate(part):
            yield from _tensors(value, f'{name}.{key}')


def _is_finite(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex()) or bool(torch.isfinite(value).all())

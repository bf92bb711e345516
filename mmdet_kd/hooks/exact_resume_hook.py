"""Resume continues exactly: the same data order, the same augmentation, the same next loss."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

# The streams of random numbers: a step and a sample of the same number must not share one.
_STEP, _SAMPLE = 0, 1


class SeededFetch:
    """Fetches samples whose augmentation depends on (seed, epoch, index) alone.

    Set as a data set's `__getitems__`, which torch's fetcher asks for a whole batch, in the main process and in
    workers alike. Which worker gets a sample, and what it did before, no longer matters.

    Args:
        dataset: the outermost data set of a loader, so that the parts of a mixture have different indices.
        seed: of the run.
        endless: every batch counts as an epoch of its own, where a loader has none; in the main process only.
    """

    def __init__(self, dataset: Any, seed: int, endless: bool = False) -> None:
        self.dataset = dataset
        self.seed = seed
        self.endless = endless
        # In shared memory: workers that live through all epochs see it change.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's samples are fetched from now on, in this process and in every worker."""
        self._epoch.fill_(epoch)

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Fetch the samples of one batch."""
        batch_fetch = getattr(type(self.dataset), '__getitems__', None)
        epoch = int(self._epoch)
        samples = []
        for index in indices:
            _seed_host(_words(self.seed, _SAMPLE, epoch, index))
            samples.append(self.dataset[index] if batch_fetch is None else batch_fetch(self.dataset, [index])[0])
        if self.endless:
            self.set_epoch(epoch + 1)
        return samples


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Makes random numbers a function of the position in the training, so that a resumed run repeats none of them.

    mmengine resumes weights, optimizer, schedules and position, but no random state, and its workers are seeded when
    they start. Here each step is seeded from (seed, rank, iteration), each sample from (seed, epoch, index). Nothing
    needs to be saved, so a run that was killed continues as exactly as one that was stopped.

    Exact from the checkpoint of an epoch in an `EpochBasedTrainLoop`. An `IterBasedTrainLoop` fetches again, on
    resume, all that it had fetched: exact too, but with data workers only if the config sets `randomness.seed`.

    Not covered, because they remember what nobody saves: transforms with a cache (`CachedMosaic`, `CachedMixUp`) or a
    generator of their own, `BatchSyncRandomResize` between two of its draws, and gradients that are accumulated across
    the end of an epoch.
    """

    # Before any hook that may draw a random number.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._fetch: SeededFetch | None = None
        self._seed = 0

    def before_train(self, runner: Runner) -> None:
        """Take the seed, which a checkpoint may have changed, and see to the loader."""
        randomness = runner.cfg.get('randomness') or {}
        self._seed = runner.seed - (runner.rank if randomness.get('diff_rank_seed') else 0)
        loop = runner.train_loop
        self._warn_if_inexact(runner)
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        if by_epoch or loop.dataloader.num_workers == 0:  # otherwise workers are at work already
            self._seed_sampler(runner, loop.dataloader)
            self._fetch = SeededFetch(loop.dataloader.dataset, self._seed, endless=not by_epoch)
            loop.dataloader.dataset.__getitems__ = self._fetch

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers the epoch, before any of its samples is asked for."""
        if self._fetch is not None and not self._fetch.endless:
            self._fetch.set_epoch(runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None) -> None:
        """Seed the step: proposal and RoI sampling, dropout, multi-scale draws."""
        words = _words(self._seed, _STEP, runner.rank, runner.iter)
        _seed_host(words)
        torch.manual_seed(words[0])  # of the accelerators too; queued, so without waiting for the device

    def _seed_sampler(self, runner: Runner, loader: DataLoader) -> None:
        """Give the sampler the run's seed: it was built before a checkpoint could change that."""
        cfg = runner.cfg.get('train_dataloader') or {}
        if (cfg.get('sampler') or {}).get('seed') is not None:
            return  # the config's own choice, the same in every run
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if hasattr(sampler, 'seed'):
            sampler.seed = self._seed

    def _warn_if_inexact(self, runner: Runner) -> None:
        loop = runner.train_loop
        if loop.iter == 0:
            return
        if not isinstance(loop, EpochBasedTrainLoop):
            if loop.dataloader.num_workers > 0 and (runner.cfg.get('randomness') or {}).get('seed') is None:
                runner.logger.warning(
                    'This run is resumed in an iteration-based loop with data workers and without `randomness.seed`: '
                    'its data come in another order than before. Set randomness=dict(seed=...) to make that exact.'
                )
        elif loop.iter != loop.epoch * len(loop.dataloader):
            runner.logger.warning(
                f'The checkpoint is from iteration {loop.iter}, which is not the end of an epoch of '
                f'{len(loop.dataloader)} iterations: epoch {loop.epoch + 1} starts again from its first batch. '
                'Resume from the checkpoint of an epoch, with the same batch size and number of ranks, to be exact.'
            )


def _words(*key: int) -> tuple[int, int, int]:
    """Three well-mixed numbers of 64, 32 and 32 bits from a tuple of integers."""
    state = np.random.SeedSequence([number % 2**63 for number in key]).generate_state(4)
    low, high, numpy_word, python_word = (int(word) for word in state)
    return low | high << 32, numpy_word, python_word


def _seed_host(words: tuple[int, int, int]) -> None:
    # torch.manual_seed would reach for CUDA, which a forked worker must not and a sample does not need.
    torch.default_generator.manual_seed(words[0])
    np.random.seed(words[1])
    random.seed(words[2])

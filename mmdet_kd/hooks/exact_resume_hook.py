"""Resume continues exactly: the same data order, the same augmentation, the same next loss."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.datasets.transforms import CachedMixUp, CachedMosaic
from mmdet.models.data_preprocessors import BatchSyncRandomResize
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from ..runtime.cpu_ranks import sum_gradients_one_by_one

# The streams of random numbers: a step, a sample and an epoch of the same number must not share one.
_STEP, _SAMPLE, _EPOCH = 0, 1, 2


class PlacedBatch(list):
    """The indices of one batch, and the place of the batch in the training.

    Args:
        indices: of the samples.
        epoch: in which they are drawn, from 0.
        number: of the batch in that epoch, from 0.
    """

    def __init__(self, indices: Sequence[Any] = (), epoch: int = 0, number: int = 0) -> None:
        super().__init__(indices)
        self.place = (epoch, number)


class PlacedBatches:
    """A batch sampler whose batches know their place.

    Only the process that draws the batches sees all of them in order. A worker sees its own share, and prefetches; so
    the place travels to the worker with the indices.

    Args:
        batches: the batch sampler, of any sort. Its attributes can be read here as well.
        seed: of the run, for a sampler that draws from the generators of the process.
        rank: of this process.
    """

    def __init__(self, batches: Any, seed: int, rank: int = 0) -> None:
        self.batches = batches
        self.seed = seed
        self.rank = rank
        self.epoch = 0

    def __iter__(self) -> Iterator[PlacedBatch]:
        _seed_host(_words(self.seed, _EPOCH, self.rank, self.epoch))
        for number, indices in enumerate(self.batches):
            yield PlacedBatch(indices, self.epoch, number)

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)


class SeededFetch:
    """Fetches samples whose augmentation depends on (seed, rank, place in the training) alone.

    Set as a data set's `__getitems__`, which torch's fetcher asks for a whole batch, in the main process and in
    workers alike. Which worker gets a batch, and what it did before, does not matter. A picture that a sampler draws
    twice in an epoch has two places, so it is augmented in two ways.

    Args:
        dataset: the outermost data set of a loader.
        seed: of the run.
        rank: of this process.
        endless: the batches are counted here, since their loader has no epochs; in the main process only. Otherwise
            they come from :class:`PlacedBatches`; batches of anybody else are fetched as they would be without this.
    """

    def __init__(self, dataset: Any, seed: int, rank: int = 0, endless: bool = False) -> None:
        self.dataset = dataset
        self.seed = seed
        self.rank = rank
        self.endless = endless
        self._fetched = 0

    def __call__(self, indices: Sequence[Any]) -> list[Any]:
        """Fetch the samples of one batch."""
        batch_fetch = getattr(type(self.dataset), '__getitems__', None)
        place = self._place_of(indices)
        samples = []
        for nth, index in enumerate(indices):
            if place is not None:
                _seed_host(_words(self.seed, _SAMPLE, self.rank, *place, nth))
            samples.append(self.dataset[index] if batch_fetch is None else batch_fetch(self.dataset, [index])[0])
        return samples

    def _place_of(self, indices: Sequence[Any]) -> tuple[int, int] | None:
        if self.endless:
            self._fetched += 1
            return 0, self._fetched - 1
        return indices.place if isinstance(indices, PlacedBatch) else None


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Makes random numbers a function of the position in the training, so that a resumed run repeats none of them.

    mmengine resumes weights, optimizer, schedules and position, but no random state, and its workers are seeded when
    they start. Here each step is seeded from (seed, rank, iteration); each sample from (seed, rank, epoch, number of
    the batch, place in the batch); each epoch of a sampler from (seed, rank, epoch). Nothing needs to be saved, so a
    run that was killed continues as exactly as one that was stopped.

    Exact from the checkpoint of an epoch in an `EpochBasedTrainLoop`. An `IterBasedTrainLoop` fetches again, on
    resume, all that it had fetched: exact too, but with data workers only if the config sets `randomness.seed`.

    Exact to the bit on a CPU, on any number of ranks. On GPUs the same up to rounding: DDP may sum otherwise in the
    first step of a process, and some operators of CUDA sum in no fixed order.

    The size that `BatchSyncRandomResize` has drawn for the next batches is saved in each checkpoint.

    Not covered, because they remember what nobody saves: transforms with a cache (`CachedMosaic`, `CachedMixUp`), of
    which the log warns when the training begins, or a generator of their own, and gradients that are accumulated across
    the end of an epoch.
    """

    # Before any hook that may draw a random number.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._batches: PlacedBatches | None = None
        self._seed = 0
        self._sizes: list[tuple[int, int] | None] = []

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the sizes that batches are resized to until others are drawn."""
        sizes = [resize._input_size for resize in _resizes(runner.model)]
        if sizes:
            checkpoint['meta']['drawn_sizes'] = sizes

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep these sizes for a run that is resumed."""
        self._sizes = checkpoint.get('meta', {}).get('drawn_sizes', [])

    def before_train(self, runner: Runner) -> None:
        """Take the seed, which a checkpoint may have changed, and see to the loader and to the ranks."""
        sum_gradients_one_by_one(runner.model)
        randomness = runner.cfg.get('randomness') or {}
        self._seed = runner.seed - (runner.rank if randomness.get('diff_rank_seed') else 0)
        loop = runner.train_loop
        self._warn_if_inexact(runner)
        for resize, size in zip(_resizes(runner.model), self._sizes, strict=False) if loop.iter > 0 else ():
            resize._input_size = size
        loader, by_epoch = loop.dataloader, isinstance(loop, EpochBasedTrainLoop)
        if by_epoch or loader.num_workers == 0:  # otherwise workers are at work already
            self._seed_sampler(runner, loader)
            loader.dataset.__getitems__ = SeededFetch(loader.dataset, self._seed, runner.rank, endless=not by_epoch)
        if by_epoch and loader.batch_sampler is not None:
            self._batches = PlacedBatches(loader.batch_sampler, self._seed, runner.rank)
            # DataLoader refuses this assignment, because its `sampler` and `batch_size` belong to the batch sampler;
            # they still do, since the batches are the same.
            loader.__dict__['batch_sampler'] = self._batches

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the batches their epoch, before any of them is drawn."""
        if self._batches is not None:
            self._batches.epoch = runner.epoch

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
        caching = sorted({type(each).__name__ for each in _transforms(loop.dataloader.dataset) if _caches(each)})
        if caching:
            runner.logger.warning(
                f'{" and ".join(caching)}: a cache of pictures that no checkpoint holds, so a run that is resumed sees '
                'other pictures than one that was not interrupted. Mosaic and MixUp, in a MultiImageMixDataset, make '
                'that exact.'
            )
        if isinstance(loop, EpochBasedTrainLoop) and loop.dataloader.batch_sampler is None:
            runner.logger.warning(
                'The loader of the training has no batches of its own (batch_size=None): its samples are augmented '
                'otherwise when the run is resumed. Give train_dataloader a batch_size to make that exact.'
            )
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


def _resizes(model: nn.Module) -> list[nn.Module]:
    """What resizes whole batches. Its size is a private attribute of mmdet's, which this file alone names."""
    return [module for module in model.modules() if isinstance(module, BatchSyncRandomResize)]


def _transforms(dataset: Any) -> Iterator[Any]:
    """The transforms of a data set and of those inside it."""
    pipeline = getattr(dataset, 'pipeline', None)
    transforms = getattr(pipeline, 'transforms', pipeline)
    yield from transforms if isinstance(transforms, (list, tuple)) else ()
    for part in (*getattr(dataset, 'datasets', []), *([dataset.dataset] if hasattr(dataset, 'dataset') else [])):
        yield from _transforms(part)


def _caches(transform: Any) -> bool:
    return isinstance(transform, (CachedMosaic, CachedMixUp))


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

"""Law 8: resume continues exactly. The same through the command line, killed and over ranks, is in tests/test_tools."""

import copy
import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.detr import detr
from helpers.training import assert_same_weights, distilled_run, train
from mmdet.models.data_preprocessors import BatchSyncRandomResize
from mmdet.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop
from mmengine.structures import InstanceData
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from mmdet_kd.hooks.exact_resume_hook import ExactResumeHook, PlacedBatch, PlacedBatches, SeededFetch

WITHOUT_SEED = {'randomness': {'seed': None}}
RANK_SEEDS = {'randomness': {'seed': 3, 'diff_rank_seed': True}}


def after_epoch(steps: dict, epoch: int, length: int = 4) -> dict:
    return {iteration: losses for iteration, losses in steps.items() if iteration >= epoch * length}


class Pictures(Hook):
    """Collects, by epoch, each step's pictures and their files."""

    def __init__(self):
        self.epochs = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for picture, sample in zip(data_batch['inputs'], data_batch['data_samples'], strict=True):
            self.epochs.setdefault(runner.epoch, []).append((sample.img_path, picture.clone()))


@pytest.fixture(scope='module')
def whole(tiny_set, tmp_path_factory):
    """An uninterrupted training that loads in its main process: its folder, its losses by step, its pictures."""
    folder, pictures = tmp_path_factory.mktemp('whole'), Pictures()
    losses = train(distilled_run(folder, tiny_set), hooks=[pictures])
    return SimpleNamespace(folder=folder, losses=losses, pictures=pictures.epochs)


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 2])
def test_resumed_training_repeats_the_uninterrupted_one(tmp_path, tiny_set, whole, workers):
    """By a hook of the config; whatever loads the pictures, here persistent workers."""
    assert sorted(whole.losses) == list(range(8))
    hook = {'exact_resume': {'type': 'ExactResumeHook'}}
    cfg = distilled_run(tmp_path, tiny_set, workers, default_hooks=hook)
    resumed = train(cfg, resume=whole.folder / 'run' / 'epoch_1.pth', exact=False)
    assert resumed == after_epoch(whole.losses, 1)
    assert_same_weights(tmp_path / 'run' / 'epoch_2.pth', whole.folder / 'run' / 'epoch_2.pth')


@pytest.mark.slow
@pytest.mark.parametrize('overrides', [WITHOUT_SEED, RANK_SEEDS], ids=['no seed in the config', 'seeds by rank'])
def test_a_run_resumes_exactly_whatever_its_seed(tmp_path, tiny_set, overrides):
    cfg = distilled_run(tmp_path, tiny_set, **overrides)
    losses = train(cfg)
    assert train(cfg, resume=tmp_path / 'run' / 'epoch_1.pth') == after_epoch(losses, 1)


@pytest.mark.slow
def test_a_detr_resumes_exactly_with_its_averages(tmp_path, tiny_set):
    cfg = distilled_run(tmp_path, tiny_set, family=detr, custom_hooks=[{'type': 'EMAHook', 'momentum': 0.1}])
    losses = train(cfg)
    whole = torch.load(tmp_path / 'run' / 'epoch_2.pth', weights_only=False)
    assert not any('teacher' in key for part in ('state_dict', 'ema_state_dict') for key in whole[part])
    (tmp_path / 'run' / 'epoch_2.pth').rename(tmp_path / 'whole.pth')
    assert train(cfg, resume=tmp_path / 'run' / 'epoch_1.pth') == after_epoch(losses, 1)
    assert_same_weights(tmp_path / 'run' / 'epoch_2.pth', tmp_path / 'whole.pth')


@pytest.mark.slow
def test_without_the_hook_it_does_not(tmp_path, tiny_set):
    """Or the tests above would say nothing."""
    cfg = distilled_run(tmp_path, tiny_set)
    losses = train(cfg, exact=False)
    resumed = train(cfg, resume=tmp_path / 'run' / 'epoch_1.pth', exact=False)
    assert resumed != after_epoch(losses, 1)


@pytest.mark.slow
def test_two_runs_of_one_seed_are_the_same_and_of_two_seeds_are_not(tmp_path, tiny_set):
    cfg = distilled_run(tmp_path, tiny_set, **{'train_cfg.max_epochs': 1})
    first = train(cfg)
    assert train(cfg) == first
    cfg.randomness.seed = 1
    assert train(cfg) != first


@pytest.mark.parametrize(('workers', 'seed'), [(1, 0), pytest.param(0, None, marks=pytest.mark.slow)])
def test_iteration_based_training_resumes_exactly(tmp_path, tiny_set, workers, seed):
    overrides = {
        'train_cfg': {'_delete_': True, 'type': 'IterBasedTrainLoop', 'max_iters': 4, 'val_interval': 4},
        'default_hooks.checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 2},
        'log_processor.by_epoch': False,
    }
    cfg = distilled_run(tmp_path, tiny_set, workers)
    cfg.merge_from_dict(overrides)
    cfg.train_cfg.pop('_delete_', None)
    cfg.train_cfg.pop('max_epochs', None)
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.randomness.seed = seed
    losses = train(cfg)
    assert train(cfg, resume=tmp_path / 'run' / 'iter_2.pth') == after_epoch(losses, 1, length=2)


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_each_epoch_augments_anew(tmp_path, tiny_set, whole, workers):
    epochs = whole.pictures
    if workers:
        pictures = Pictures()
        train(distilled_run(tmp_path, tiny_set, workers), hooks=[pictures])
        epochs = pictures.epochs
    first, second = dict(epochs[0]), dict(epochs[1])
    assert len(first) == 8
    assert first.keys() == second.keys()
    assert not any(torch.equal(first[path], second[path]) for path in first)


def test_a_checkpoint_from_mid_epoch_is_announced():
    said = []
    runner = SimpleNamespace(
        seed=0, rank=0, epoch=0, model=torch.nn.Identity(), cfg={}, logger=SimpleNamespace(warning=said.append)
    )
    runner.train_loop = EpochBasedTrainLoop(runner, DataLoader(Draws(), batch_size=2), max_epochs=2)
    runner.train_loop._iter = 3  # as mmengine sets it from a checkpoint; the end of an epoch of three batches
    runner.train_loop._epoch = 1
    ExactResumeHook().before_train(runner)
    assert not said
    runner.train_loop._iter, runner.train_loop._epoch = 2, 0
    ExactResumeHook().before_train(runner)
    assert len(said) == 1
    assert 'not the end of an epoch of 3 iterations: epoch 1 starts again from its first batch' in said[0]


class Draws(Dataset):
    """Each sample: its index, and a number from each generator that augmentation draws from."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return index, np.random.rand(), random.random(), torch.rand(()).item()


ORDER = [0, 1, 0, 2, 3, 0]  # draws a sample three times, once in a batch with itself


def numbers(epochs, seed=0, rank=0, order=ORDER, **options):
    """What each epoch draws, batch after batch."""
    dataset = Draws()
    dataset.__getitems__ = SeededFetch(dataset, seed, rank)
    batches = PlacedBatches(BatchSampler(order, batch_size=2, drop_last=False), seed)
    loader = DataLoader(dataset, batch_sampler=batches, collate_fn=list, **options)
    drawn = {}
    for epoch in epochs:
        batches.epoch = epoch
        drawn[epoch] = [sample for batch in loader for sample in batch]
    return drawn


LOADERS = pytest.mark.parametrize(
    'loader', [{}, {'num_workers': 2}, {'num_workers': 2, 'persistent_workers': True}], ids=['main', 'fork', 'persist']
)


@LOADERS
def test_samples_depend_on_seed_rank_and_place_alone(loader):
    drawn = numbers(range(3), **loader)
    assert [[index for index, *_ in epoch] for epoch in drawn.values()] == [ORDER] * 3
    assert numbers(range(3)) == drawn  # however they are loaded
    assert numbers([2], **loader)[2] == drawn[2]  # whatever came before
    everything = [number for epoch in drawn.values() for sample in epoch for number in sample[1:]]
    assert len(set(everything)) == len(everything) == 3 * len(ORDER) * 3  # also where one index is drawn again
    for others in ({'seed': 1}, {'rank': 1}):
        assert not set(everything) & {number for sample in numbers([2], **others, **loader)[2] for number in sample[1:]}


@pytest.mark.slow
def test_spawned_workers_are_told_the_place_too():
    options = {'num_workers': 1, 'persistent_workers': True, 'multiprocessing_context': 'spawn'}
    assert numbers([0, 1], **options) == numbers([0, 1])


def test_placed_batches_are_the_batches_themselves():
    plain = BatchSampler(ORDER, batch_size=4, drop_last=False)
    placed = PlacedBatches(plain, seed=0)
    assert list(placed) == list(plain)
    assert len(placed) == len(plain)
    assert (placed.batch_size, placed.sampler) == (4, ORDER)  # what mmengine reads from them


def test_a_sampler_of_the_process_draws_anew_in_each_epoch_and_rank():
    """And the same again for the same place, whatever was drawn before."""

    def order(rank, epoch):
        sampler = RandomSampler(range(100), replacement=True)
        placed = PlacedBatches(BatchSampler(sampler, batch_size=10, drop_last=False), seed=0, rank=rank)
        placed.epoch = epoch
        return tuple(index for batch in placed for index in batch)

    places = list(itertools.product(range(2), range(3)))
    drawn = {place: order(*place) for place in places}
    assert len(set(drawn.values())) == len(places)
    assert {place: order(*place) for place in reversed(places)} == drawn


@pytest.mark.parametrize(
    ('randomness', 'own_seed', 'expected'),
    [({'diff_rank_seed': True}, None, 3), ({}, None, 5), ({'diff_rank_seed': True}, 7, 7)],
    ids=['seeds by rank', 'one seed', 'a seed of the config'],
)
def test_a_sampler_gets_the_seed_that_all_ranks_share(randomness, own_seed, expected):
    """mmengine adds the rank to the seed of a run where each rank is to have its own."""
    dataset = Draws()
    sampler = DefaultSampler(dataset, seed=7)
    runner = SimpleNamespace(seed=5, rank=2, epoch=0, model=torch.nn.Identity(), cfg={'randomness': randomness})
    runner.cfg['train_dataloader'] = {'sampler': {'type': 'DefaultSampler', 'seed': own_seed}}
    runner.train_loop = EpochBasedTrainLoop(runner, DataLoader(dataset, batch_size=2, sampler=sampler), max_epochs=1)
    ExactResumeHook().before_train(runner)
    assert sampler.seed == expected


@DATA_SAMPLERS.register_module()
class WithReplacement(RandomSampler):
    """torch's own sampler, which draws from the generator of the process."""

    def __init__(self, dataset, seed):
        super().__init__(dataset, replacement=True)
        self.dataset = dataset


@pytest.mark.slow
@pytest.mark.parametrize(
    ('sampler', 'batches', 'workers'),
    [
        ('ClassAwareSampler', None, 0),
        pytest.param('WithReplacement', 'AspectRatioBatchSampler', 2, marks=pytest.mark.slow),
    ],
)
def test_a_picture_that_is_drawn_twice_is_augmented_in_two_ways(tmp_path, tiny_set, sampler, batches, workers):
    """And in the same two ways by a run that is resumed between the epochs."""
    cfg = distilled_run(tmp_path, tiny_set, workers)
    cfg.train_dataloader.sampler = {'type': sampler}
    cfg.train_dataloader.batch_sampler = batches and {'type': batches}

    def pictures(**options):
        hook = Pictures()
        train(cfg, hooks=[hook], **options)
        return hook.epochs

    def same(first, second):
        return len(first) == len(second) and all(
            a == b and torch.equal(x, y) for (a, x), (b, y) in zip(first, second, strict=True)
        )

    uninterrupted = pictures()
    for drawn in uninterrupted.values():
        copies = [(x, y) for (a, x), (b, y) in itertools.combinations(drawn, 2) if a == b]
        assert copies, 'the sampler was to draw a picture twice'
        assert not any(torch.equal(x, y) for x, y in copies)
    resumed = pictures(resume=tmp_path / 'run' / 'epoch_1.pth')
    assert list(resumed) == [1]
    assert same(resumed[1], uninterrupted[1])


def test_mixtures_and_wrappers_are_seeded_from_outside(tiny_set):
    """A mosaic finds the same partners, whatever was fetched before."""
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
    mosaic = [{'type': 'Mosaic', 'img_scale': (64, 64)}, {'type': 'RandomFlip', 'prob': 0.5}, {'type': 'PackDetInputs'}]
    leaf = {
        'type': 'CocoDataset',
        'data_root': str(tiny_set),
        'ann_file': 'train.json',
        'data_prefix': {'img': 'train/'},
        'metainfo': {'classes': ('circle', 'square', 'triangle')},
        'pipeline': load,
    }
    mixed = {'type': 'MultiImageMixDataset', 'dataset': leaf, 'pipeline': mosaic}
    repeated = [{'type': 'RepeatDataset', 'dataset': mixed, 'times': times} for times in (2, 1)]

    def build():
        dataset = DATASETS.build({'type': 'ConcatDataset', 'datasets': copy.deepcopy(repeated)})
        dataset.full_init()
        return dataset

    one, other = build(), build()
    fetches = [SeededFetch(dataset, seed=0) for dataset in (one, other)]
    batches = {number: PlacedBatch([2 * number, 2 * number + 1], 0, number) for number in (0, 4, 11)}
    pictures = {number: [sample['inputs'] for sample in fetches[0](batch)] for number, batch in batches.items()}
    for number in reversed(batches):
        fetched = [sample['inputs'] for sample in fetches[1](batches[number])]
        assert all(map(torch.equal, fetched, pictures[number]))
    assert not torch.equal(pictures[0][1], pictures[4][1])  # the same image, repeated
    assert not torch.equal(fetches[0](PlacedBatch([0, 1], 1, 0))[1]['inputs'], pictures[0][1])


def test_where_there_are_no_epochs_each_batch_draws_anew_and_repeats_from_the_start():
    dataset = Draws()
    fetch = SeededFetch(dataset, seed=0, endless=True)
    drawn = [sample for _ in range(3) for sample in fetch([3, 3])]
    assert len(set(drawn)) == 6
    again = SeededFetch(dataset, seed=0, endless=True)
    assert [sample for _ in range(3) for sample in again([3, 3])] == drawn


def test_the_batches_of_another_loader_are_left_alone():
    """A hook that reads the data set by itself has no place in the training."""
    dataset = Draws()
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    assert SeededFetch(dataset, seed=0)([3])[0][1] == expected


def test_ranks_and_steps_draw_different_numbers_again_and_again():
    hook = ExactResumeHook()

    def draw(rank, iteration):
        hook.before_train_iter(SimpleNamespace(rank=rank, iter=iteration), 0)
        return torch.rand(()).item(), np.random.rand(), random.random()

    drawn = {(rank, iteration): draw(rank, iteration) for rank in range(3) for iteration in range(3)}
    assert len({number for numbers in drawn.values() for number in numbers}) == 27
    assert all(draw(*place) == numbers for place, numbers in drawn.items())


def test_a_batched_fetch_of_the_data_set_is_honoured():
    class Batched(Draws):
        def __getitems__(self, indices):
            return [('batched', *self[index]) for index in indices]

    dataset = Batched()
    fetch = SeededFetch(dataset, seed=0)
    dataset.__getitems__ = fetch
    assert [sample[:2] for sample in fetch([4, 2])] == [('batched', 4), ('batched', 2)]


def resumed_hook(resume=None, iteration=4, pipeline=()):
    """A hook in a run that is resumed, what resizes the whole batches of its model, and what the log warns of."""
    hook, dataset, said = ExactResumeHook(), Draws(), []
    dataset.pipeline = [TRANSFORMS.build(transform) for transform in pipeline]
    resize = BatchSyncRandomResize((96, 128), interval=3)
    logger = SimpleNamespace(warning=said.append)
    runner = SimpleNamespace(seed=0, rank=0, epoch=0, cfg={}, logger=logger, model=torch.nn.ModuleList([resize]))
    runner.train_loop = EpochBasedTrainLoop(runner, DataLoader(dataset, batch_size=3), max_epochs=3)
    runner.train_loop._iter, runner.train_loop._epoch = iteration, iteration // 2
    if resume is not None:
        hook.after_load_checkpoint(runner, resume)
    hook.before_train(runner)
    return hook, runner, resize, said


def test_the_size_of_the_next_batches_is_saved_and_taken_over():
    """What draws it says by the next batch what it has drawn."""
    hook, runner, resize, _ = resumed_hook()
    batch, sample = torch.zeros(1, 3, 64, 64), DetDataSample(metainfo={'img_shape': (64, 64), 'pad_shape': (64, 64)})
    sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4))
    MessageHub.get_current_instance().update_info('iter', 2)  # the third iteration draws
    random.seed(1)
    resize(batch, [copy.deepcopy(sample)])
    checkpoint = {'meta': {}}
    hook.before_save_checkpoint(runner, checkpoint)
    MessageHub.get_current_instance().update_info('iter', 3)
    drawn = resize(batch, [copy.deepcopy(sample)])[0].shape
    assert drawn != batch.shape
    for iteration, expected in ((4, drawn), (0, batch.shape)):  # resumed; begun anew from these weights
        _, _, other, _ = resumed_hook(checkpoint, iteration)
        assert other(batch, [copy.deepcopy(sample)])[0].shape == expected


def test_a_pipeline_with_a_cache_is_announced():
    assert not resumed_hook(pipeline=[{'type': 'Mosaic'}, {'type': 'RandomFlip', 'prob': 0.5}])[-1]
    (line,) = resumed_hook(pipeline=[{'type': 'CachedMixUp'}, {'type': 'CachedMosaic'}])[-1]
    assert line.startswith('CachedMixUp and CachedMosaic: a cache of pictures that no checkpoint holds, so a run')

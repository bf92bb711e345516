"""Trainings that are not alike, as their work dirs tell: each of these differences is named."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from helpers.in_process import train_in_this_process
from helpers.tiny import call_tool, tiny_student_cfg, write_tiny_coco
from mmengine.config import Config

from mmdet_kd.report import finished_trainings, unlike_rows
from mmdet_kd.report.alike import unlike_trainings
from mmdet_kd.report.work_dirs import read_work_dir


def unlike(trainings):
    rows = {each.title: dict(seeds={str(each.seed): each.reached()}) for each in trainings}
    return [
        *unlike_rows(rows),
        *unlike_trainings(trainings, {training: read_work_dir(training) for training in trainings}),
    ]


def test_another_learning_rate_and_another_seed(compared):
    trainings = finished_trainings([compared / 'out' / 'slow', compared / 'out' / 'fast'])
    named = 'fast differs from slow in optim_wrapper.optimizer.lr 0.001 -> 0.02.'
    assert unlike(trainings) == [named]
    swapped = finished_trainings([compared / 'out' / 'fast', compared / 'out' / 'slow'])
    assert unlike(swapped) == ['slow differs from fast in optim_wrapper.optimizer.lr 0.02 -> 0.001.']
    slow, fast = trainings
    assert unlike([slow, replace(fast, seed=3)]) == [
        'slow has seed 0, fast has seed 3.',
        named,
        'fast, seed 3 was trained with seed 0.',
    ]
    assert unlike([slow]) == []


def test_the_trainings_of_an_arm_are_compared_too(compared, tmp_path):
    """Each work dir has a config of its own, and the spread over the seeds stands on all of them."""
    for seed, name in enumerate(('slow', 'fast')):
        shutil.copytree(compared / 'out' / name / 'seed0', tmp_path / 'arm' / f'seed{seed}')
    path = tmp_path / 'arm' / 'seed1' / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['meta']['seed'] = 1
    torch.save(checkpoint, path)
    named = 'arm, seed 1 differs from arm, seed 0 in optim_wrapper.optimizer.lr 0.001 -> 0.02.'
    assert unlike(finished_trainings([tmp_path / 'arm'])) == [named]


def change(name, **changes):
    cfg = Config.fromfile('base.py')
    cfg.merge_from_dict(changes)
    cfg.dump(f'{name}.py')


@pytest.mark.slow
def test_other_data_steps_seeds_students_and_weights(tmp_path, monkeypatch):
    """Real trainings of one epoch, each with one thing of its own."""
    monkeypatch.chdir(tmp_path)
    data = write_tiny_coco(tmp_path / 'set', num_train=2, num_val=1)
    tiny_student_cfg(data, 'unused', **{'train_cfg.max_epochs': 1}).dump('base.py')
    content = json.loads((data / 'train.json').read_text())
    content['images'].reverse()  # the same data in another order
    (data / 'reversed.json').write_text(json.dumps(content))
    arms = dict(
        same={},
        order={'train_dataloader.dataset.ann_file': 'reversed.json'},
        batch={'train_dataloader.batch_size': 1},
        seed={'randomness.seed': 5},
        student={'model.roi_head.bbox_head.fc_out_channels': 16},
        start={'load_from': 'run/base/epoch_1.pth'},
    )
    train_in_this_process(monkeypatch)
    for name, changes in dict(base={}, **arms).items():
        change(name, **changes)
        call_tool('tools/train.py', f'{name}.py', '--work-dir', f'run/{name}')

    def said(name):
        return unlike(finished_trainings(['run/base', f'run/{name}']))

    assert said('same') == []
    path, contents = said('order')
    named = "train_dataloader.dataset.ann_file 'train.json' -> 'reversed.json'"
    assert path == f'order differs from base in {named}.'
    assert contents.startswith('order differs from base: reversed.json has other contents')
    assert said('batch') == [
        'base took 1 steps, batch 2.',
        'batch differs from base in train_dataloader.batch_size 2 -> 1.',
        'batch differs from base: pictures in an iteration 2 -> 1.',
    ]
    assert said('seed') == ['base has seed 0, seed has seed 5.']
    assert said('student') == ['student is another detector than base (roi_head.bbox_head.fc_out_channels 32 -> 16).']
    assert said('start') == ["start starts from other weights than base (load_from None -> 'run/base/epoch_1.pth')."]

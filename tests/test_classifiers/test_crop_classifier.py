"""A classifier learns on a detection set, resumes, and says how often it is right."""

import json
import math
from pathlib import Path

import pytest
import torch
from helpers.classifier import MODEL, tiny_classifier_cfg
from helpers.distil import raw_batch
from helpers.tiny import call_tool, log_of, run_tool
from mmdet.registry import MODELS
from mmengine.runner import Runner

from mmdet_kd.classifiers import crop_boxes
from mmdet_kd.errors import DistillationError
from mmdet_kd.evaluation import CropAccuracy


@pytest.fixture
def cfg(tiny_set, tmp_path):
    cfg = tiny_classifier_cfg(tiny_set, tmp_path / 'run')
    cfg.experiment_name = tmp_path.name  # mmengine shares its logs among runs of one name in one second
    return cfg


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return MODELS.build(dict(MODEL, data_preprocessor=dict(type='DetDataPreprocessor')))


def losses_of(classifier, batch):
    return classifier(**classifier.data_preprocessor(batch, training=True), mode='loss')


def test_both_losses_are_on_the_same_logits(classifier):
    batch = raw_batch()
    data = classifier.eval().data_preprocessor(batch, training=False)
    boxes = [sample.gt_instances.bboxes for sample in data['data_samples']]
    labels = torch.cat([sample.gt_instances.labels for sample in data['data_samples']])
    crops = crop_boxes(data['inputs'], boxes, 32)
    logits = classifier.fc(classifier.backbone(crops)[-1].mean(dim=(2, 3)))
    losses = classifier(**data, mode='loss')
    torch.testing.assert_close(losses['loss_softmax'], -logits.log_softmax(1).gather(1, labels[:, None]).mean())
    hit = torch.nn.functional.one_hot(labels, 3).float()
    by_hand = -(hit * logits.sigmoid().log() + (1 - hit) * (1 - logits.sigmoid()).log())
    assert losses['loss_sigmoid'].item() in (
        pytest.approx(by_hand.mean().item(), rel=1e-4),
        pytest.approx(by_hand.sum(dim=1).mean().item(), rel=1e-4),
    )


def test_a_batch_without_a_box_has_all_gradients(classifier):
    losses = losses_of(classifier, raw_batch((0, 0)))
    assert all(loss == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert [n for n, p in classifier.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.slow
def test_it_learns_and_resumes_with_the_command(cfg, tmp_path):
    cfg.dump(tmp_path / 'classifier.py')
    run = [tmp_path / 'classifier.py', '--work-dir', tmp_path / 'run']
    run_tool(['tools/train_classifier.py', *run, '--cfg-options', 'train_cfg.max_epochs=1'])
    call_tool('tools/train.py', *run, '--resume')  # what the command hands over to
    records = [
        json.loads(line)
        for file in sorted((tmp_path / 'run').glob('*/vis_data/scalars.json'))
        for line in file.read_text().splitlines()
    ]
    assert [record['step'] for record in records if 'crops/top1' in record] == [1, 2]
    assert all(0 <= record['crops/top1'] <= record['crops/top2'] <= 100 for record in records if 'crops/top1' in record)
    assert {'loss_softmax', 'loss_sigmoid'} <= next(record for record in records if 'loss' in record).keys()


WRAPPERS = {
    'bare': lambda dataset: dataset,
    'repeated': lambda dataset: dict(type='RepeatDataset', times=2, dataset=dataset),
    'joined': lambda dataset: dict(type='ConcatDataset', datasets=[dataset, dataset]),
}


@pytest.mark.parametrize('wrap', ['bare', *(pytest.param(w, marks=pytest.mark.slow) for w in ('repeated', 'joined'))])
def test_a_class_without_a_box_is_named(cfg, wrap):
    cfg.model.num_classes = 4
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.metainfo = dict(classes=('circle', 'square', 'triangle', 'hexagon'))
    cfg.train_cfg.max_epochs = 1
    cfg.train_dataloader.dataset = WRAPPERS[wrap](cfg.train_dataloader.dataset)
    runner = Runner.from_cfg(cfg)
    runner.train()
    (warning,) = (line for line in log_of(Path(cfg.work_dir)).splitlines() if 'no box of' in line)
    assert 'no box of hexagon:' in warning  # and of none of the others


@pytest.mark.parametrize('split', ['val', 'test'])
def test_boxes_that_are_not_where_the_picture_shows_them_are_refused(cfg, split):
    """The pipelines of mmdet's tests resize the picture before the boxes are there."""
    load, boxes, resize, pack = cfg[f'{split}_dataloader'].dataset.pipeline
    cfg[f'{split}_dataloader'].dataset.pipeline = [load, resize, boxes, pack]
    said = f'the pipeline of {split}_dataloader has Resize before LoadAnnotations, .*: put LoadAnnotations behind'
    runner = Runner.from_cfg(cfg)
    with pytest.raises(DistillationError, match=said):
        runner.test() if split == 'test' else runner.train()
    assert runner.iter == 0


def test_accuracy_by_hand():
    metric = CropAccuracy(topk=(1, 2))
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [0.0, 1.0, 5.0]])
    labels = torch.tensor([0, 0, 0, 2])  # ranks 0, 2, 1, 0
    metric.process(None, [dict(pred_instances=dict(logits=logits), gt_instances=dict(labels=labels))])
    assert metric.evaluate(size=1) == {'crops/top1': 50.0, 'crops/top2': 75.0}


@pytest.mark.parametrize('value', [0.0, math.nan])
def test_a_classifier_that_says_nothing_is_not_right(value):
    """Its outputs are alike, or no numbers."""
    metric = CropAccuracy(topk=(1, 2))
    sample = dict(pred_instances=dict(logits=torch.full((2, 3), value)), gt_instances=dict(labels=torch.tensor([0, 2])))
    metric.process(None, [sample])
    assert metric.evaluate(size=1) == {'crops/top1': 0.0, 'crops/top2': 0.0}


def test_without_a_loss_it_is_refused():
    with pytest.raises(DistillationError, match='give it a loss'):
        MODELS.build({**MODEL, 'losses': {}})

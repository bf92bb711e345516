"""fc6 and fc7 as a box head: what it computes, how it starts, and that it trains and is distilled."""

import pytest
import torch
import torch.nn.functional as F
from helpers.tiny import REPO
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config

from mmdet_kd.roi_heads import AlexNetBBoxHead, VGGBBoxHead

# name -> class, places of fc6 and fc7 in the classifier, size of the RoIs' maps
HEADS = {'alexnet': (AlexNetBBoxHead, 1, 4, 6), 'vgg': (VGGBBoxHead, 0, 3, 7)}
SMALL = dict(in_channels=2, fc_channels=(6, 5), num_classes=3)


@pytest.mark.parametrize('name', HEADS)
def test_forward(name):
    torch.manual_seed(0)
    kind, fc6, fc7, size = HEADS[name]
    head = kind(**SMALL).double().eval()
    weights = head.state_dict()
    feats = torch.randn(4, 2, size, size, dtype=torch.float64)

    def fc(x, layer):
        return x @ weights[f'{layer}.weight'].T + weights[f'{layer}.bias']

    y = fc(fc(feats.reshape(4, -1), f'classifier.{fc6}').relu(), f'classifier.{fc7}').relu()
    scores, deltas = head(feats)
    torch.testing.assert_close(scores, fc(y, 'fc_cls'))
    torch.testing.assert_close(deltas, fc(y, 'fc_reg'))
    assert scores.shape == (4, 3 + 1)
    assert deltas.shape == (4, 3 * 4)


@pytest.mark.parametrize('name', HEADS)
def test_dropout_of_a_half_follows_each(name):
    torch.manual_seed(0)
    kind, fc6, fc7, size = HEADS[name]
    head = kind(**SMALL).train()
    for layer in (fc6, fc7):
        torch.nn.init.zeros_(head.classifier[layer].weight)
        torch.nn.init.ones_(head.classifier[layer].bias)
    seen = {}
    for layer in (fc7, 'out'):
        module = head.fc_cls if layer == 'out' else head.classifier[layer]
        module.register_forward_pre_hook(lambda _, args, layer=layer: seen.update({layer: args[0]}))
    head(torch.randn(2000, 2, size, size))
    for layer in (fc7, 'out'):
        assert set(seen[layer].unique().tolist()) == {0.0, 2.0}
        assert seen[layer].mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize('name', HEADS)
def test_no_rois(name):
    kind, _, _, size = HEADS[name]
    scores, deltas = kind(**SMALL)(torch.zeros(0, 2, size, size))
    assert scores.shape == (0, 4)
    assert deltas.shape == (0, 12)


def spread(parameter):
    return parameter.std().item(), parameter.mean().abs().item()


@pytest.mark.parametrize('pretrained', [False, True])
def test_the_last_layers_start_as_mmdets(pretrained, tmp_path):
    """Also beside a checkpoint: an init_cfg of one's own would else leave them as torch makes them."""
    torch.manual_seed(0)
    shapes = {'0.weight': (64, 98), '0.bias': (64,), '3.weight': (400, 64), '3.bias': (400,)}
    torch.save({f'classifier.{key}': torch.ones(shape) for key, shape in shapes.items()}, tmp_path / 'w.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth')) if pretrained else None
    head = VGGBBoxHead(in_channels=2, fc_channels=(64, 400), num_classes=40, init_cfg=init_cfg)
    head.init_weights()
    assert spread(head.fc_cls.weight) == pytest.approx((0.01, 0), rel=0.05, abs=5e-4)
    assert spread(head.fc_reg.weight) == pytest.approx((0.001, 0), rel=0.05, abs=5e-5)
    assert not head.fc_cls.bias.any()
    fc6 = head.classifier[0].weight
    if pretrained:
        assert torch.equal(fc6, torch.ones(64, 98))
    else:  # uniform, of a variance of 2 / (inputs + outputs)
        assert fc6.abs().max().item() == pytest.approx((6 / (64 + 98)) ** 0.5, rel=0.01)
        assert not head.classifier[0].bias.any()


# In a detector


def student(name, num_classes=3):
    """The fragment's model, its fully connected layers narrow, its weights untrained, its samples few."""
    cfg = Config.fromfile(REPO / f'configs/_base_/students/faster-rcnn_{name}.py').model
    cfg.backbone.init_cfg = cfg.roi_head.bbox_head.init_cfg = None
    cfg.roi_head.bbox_head.update(fc_channels=(16, 12), num_classes=num_classes)
    cfg.train_cfg.rpn_proposal.update(nms_pre=64, max_per_img=64)
    cfg.train_cfg.rcnn.sampler.num = 32
    cfg.test_cfg.rpn.update(nms_pre=64, max_per_img=64)
    return cfg


def batch(detector, training):
    data = demo_mm_inputs(2, [(3, 96, 96), (3, 96, 64)], num_items=[2, 3], num_classes=3)
    return detector.data_preprocessor(data, training)


@pytest.mark.parametrize('name', ['alexnet', 'vgg-m'])
def test_trains_and_predicts(name):
    torch.manual_seed(0)
    detector = MODELS.build(student(name))
    detector.init_weights()
    losses = detector(**batch(detector, True), mode='loss')
    total, _ = detector.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    trained = {name: p for name, p in detector.named_parameters() if p.requires_grad}
    assert not [name for name, p in trained.items() if p.grad is None]
    assert 'backbone.features.0.weight' not in trained
    with torch.no_grad():
        results = detector.eval()(**batch(detector, False), mode='predict')
    assert len(results) == 2
    assert all(F.relu(-r.pred_instances.bboxes).max() == 0 for r in results if len(r.pred_instances))


@pytest.mark.slow
def test_a_vgg16_teaches_an_alexnet():
    torch.manual_seed(0)
    distillers = Config.fromfile(REPO / 'configs/_base_/distillers/chen2017-c4.py').distillers
    # the student's classes come from num_classes of the detector
    model = student('alexnet', num_classes=80)
    model.update(
        type='KnowledgeDistillationTwoStageDetector',
        teacher=dict(config=dict(student('vgg16')), checkpoint=None),
        distillers=distillers,
        num_classes=3,
    )
    detector = MODELS.build(model)
    detector.set_classes(('circle', 'square', 'triangle'))
    detector.init_weights()
    assert detector.distillers['hint'].adapters[0].conv.weight.shape == (512, 256, 1, 1)
    losses = detector(**batch(detector, True), mode='loss')
    soft = {name: loss for name, loss in losses.items() if '.' in name}
    assert soft.keys() == {'hint.loss_feat', 'rpn.loss_cls', 'rpn.loss_bbox', 'roi.loss_cls', 'roi.loss_bbox'}
    sum(soft.values()).backward()
    assert all(loss.isfinite() for loss in soft.values())
    assert soft['roi.loss_cls'] > 0
    assert detector.roi_head.bbox_head.classifier[1].weight.grad.abs().sum() > 0
    assert detector.backbone.features[4].weight.grad.abs().sum() > 0

"""How many channels the pictures of a backbone have; the backbone itself is the judge."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.backbones import picture_channels, shapes_only
from mmdet_kd.knowledge import on_meta

SWIN = dict(type='SwinTransformer', embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
PVT = dict(type='PyramidVisionTransformerV2', embed_dims=8, num_layers=[1, 1, 1, 1], num_heads=[1, 1, 1, 1])
# Backbones, and what they were told.
TOLD = [
    (dict(type='ResNet', depth=18, base_channels=8, in_channels=1), 1),
    (dict(type='ResNet', depth=18, base_channels=8, in_channels=5, deep_stem=True), 5),
    (dict(type='RegNet', arch='regnetx_400mf', in_channels=4), 4),
    (dict(type='DetectoRS_ResNet', depth=50, base_channels=8, in_channels=4, conv_cfg=dict(type='ConvAWS')), 4),
    ({**SWIN, 'in_channels': 2}, 2),
    ({**PVT, 'in_channels': 4}, 4),
    (dict(type='CSPDarknet', widen_factor=0.125, deepen_factor=0.33), 3),  # lays 4 neighbours of 3 channels together
    (dict(type='AlexNet'), 3),
]


@pytest.mark.parametrize(('cfg', 'channels'), TOLD, ids=lambda value: value['type'] if isinstance(value, dict) else '')
def test_it_is_what_the_backbone_was_told(cfg, channels):
    backbone = MODELS.build(cfg)
    backbone.eval()
    assert picture_channels(backbone) == channels
    with torch.no_grad():
        backbone(torch.zeros(1, channels, 64, 64))  # takes them
        with pytest.raises((RuntimeError, AssertionError)):
            backbone(torch.zeros(1, channels + 1, 64, 64))


@pytest.mark.slow
def test_every_backbone_of_the_zoo_takes_colour():
    backbones = {}
    for path in sorted((Path(mmdet.__file__).parent / '.mim/configs').glob('*/*.py')):
        if 'mot' in path.name:
            continue  # trackers
        backbone = (Config.fromfile(path, import_custom_modules=False).get('model') or {}).get('backbone')
        kind = backbone and backbone.get('type')
        if isinstance(kind, str) and MODELS.get(kind) is not None:  # not of another package
            backbones.setdefault(kind, backbone)
    assert len(backbones) > 15
    found = {kind: picture_channels(on_meta(lambda cfg=cfg: MODELS.build(cfg))) for kind, cfg in backbones.items()}
    assert found == dict.fromkeys(found, 3)


@pytest.mark.parametrize('cfg', [{**TOLD[0][0], 'norm_eval': False}, SWIN, TOLD[6][0]], ids=lambda cfg: cfg['type'])
def test_a_copy_for_shapes_alone_has_those_shapes_and_leaves_the_network_as_it_is(cfg):
    torch.manual_seed(0)
    network = MODELS.build(cfg)
    network.train()  # some backbones of mmdet return nothing here
    channels, before = picture_channels(network), {key: value.clone() for key, value in network.state_dict().items()}
    pictures = torch.rand(2, channels, 64, 96)
    copied = shapes_only(network)
    shapes = [maps.shape for maps in copied(pictures)]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training
    maps = network(pictures)
    assert shapes == [each.shape for each in maps]
    norms = [key for key in before if key.endswith('running_mean')]
    assert all(not torch.equal(network.state_dict()[key], before[key]) for key in norms)  # its own norms are at work
    assert all(torch.equal(copied.state_dict()[key], before[key]) for key in norms)

"""A network of timm classifies crops, where timm is installed; where it is not, the message says so."""

import importlib.util

import pytest
import torch
from helpers.classifier import MODEL
from mmdet.registry import MODELS

from mmdet_kd.classifiers import EarlyLayer
from mmdet_kd.errors import DistillationError

BACKBONE = dict(type='TimmBackbone', model_name='resnet18')
INSTALLED = importlib.util.find_spec('timm') is not None


@pytest.mark.skipif(INSTALLED, reason='timm is installed')
def test_without_timm_the_cure_is_named():
    with pytest.raises(DistillationError, match=r'TimmBackbone needs the package timm .*pip install timm'):
        MODELS.build({**MODEL, 'backbone': BACKBONE})


@pytest.mark.skipif(not INSTALLED, reason='timm is not installed')
def test_it_classifies_and_has_early_maps():
    classifier = MODELS.build({**MODEL, 'backbone': BACKBONE}).eval()
    crops = torch.randn(2, 3, 32, 32)
    assert classifier.logits_of(crops).shape == (2, 3)
    (stem,) = classifier.early_maps(crops, [EarlyLayer('backbone.net.maxpool', 4)])
    assert stem.shape == (2, 64, 4, 4)

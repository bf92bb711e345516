"""`torchvision://` names load what torchvision publishes, in an environment without torchvision."""

import re
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from helpers.published import RESNETS, publish, resnet_file
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner.checkpoint import get_torchvision_models

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime.remote_checkpoints import load_from_torchvision_name
from mmdet_kd.runtime.torchvision_names import torchvision_problem

MMDETS_CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'


@pytest.fixture
def without_torchvision(monkeypatch):
    """Python refuses to import a module that is None here, as if it were not installed."""
    monkeypatch.setitem(sys.modules, 'torchvision', None)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    return tmp_path


@pytest.fixture
def own_torchvision(tmp_path, monkeypatch):
    """Installs a package of this name, with the given text, and imports none before."""

    def install(**files):
        for module in [name for name in sys.modules if name.split('.')[0] == 'torchvision']:
            monkeypatch.delitem(sys.modules, module)
        for name, text in files.items():
            path = tmp_path / 'site' / 'torchvision' / f'{name}.py'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(tmp_path / 'site')

    yield install
    for module in [name for name in sys.modules if name.split('.')[0] == 'torchvision']:
        del sys.modules[module]


@pytest.mark.usefixtures('without_torchvision')
@pytest.mark.parametrize('scheme', ['torchvision', 'modelzoo'])
def test_a_stock_config_starts_from_the_published_file(home, scheme):
    """Through mmengine: `init_weights` of a backbone of mmdet, as its own config names the weights."""
    weights = resnet_file(18)
    publish(home, RESNETS['resnet18'], weights)
    cfg = Config.fromfile(MMDETS_CONFIGS / 'retinanet' / 'retinanet_r18_fpn_1x_coco.py').model.backbone
    assert cfg.init_cfg.checkpoint == 'torchvision://resnet18'
    cfg.init_cfg.checkpoint = f'{scheme}://resnet18'
    backbone = MODELS.build(cfg)
    backbone.init_weights()
    held = backbone.state_dict()
    assert held.keys() == weights.keys() - {'fc.weight', 'fc.bias'}
    assert all(torch.equal(value, weights[key]) for key, value in held.items())


@pytest.mark.usefixtures('without_torchvision')
def test_every_name_in_mmdets_zoo_is_known(home):
    """Those of which we know the address from torchvision itself, and no other."""
    text = '\n'.join(path.read_text() for path in MMDETS_CONFIGS.rglob('*.py'))
    assert set(re.findall(r'torchvision://(\w+)', text)) == set(RESNETS)
    for name, address in RESNETS.items():
        marked = {'this file': torch.tensor([float(len(name))])}
        publish(home, address, marked)
        assert torchvision_problem(f'torchvision://{name}') is None
        assert load_from_torchvision_name(f'torchvision://{name}') == marked


@pytest.mark.usefixtures('without_torchvision')
@pytest.mark.parametrize('name', ['resnet500', 'resnet50.imagenet1k_v2', 'shufflenetv2_x2.0', ''])
def test_an_unknown_name_is_refused_with_the_cure(name):
    message = (
        f'mmengine knows no address of torchvision://{name}: correct the name, name the address of its file '
        '(https://download.pytorch.org/models/...), or install a torchvision that was built for this torch'
    )
    assert torchvision_problem(f'torchvision://{name}') == message
    with pytest.raises(DistillationError, match=re.escape(message)):
        load_from_torchvision_name(f'torchvision://{name}')


def test_a_torchvision_that_does_not_import_does_no_harm(home, own_torchvision):
    """As the wheel of another torch does: it is installed, and fails."""
    own_torchvision(__init__="raise RuntimeError('operator torchvision::nms does not exist')")
    publish(home, RESNETS['resnet34'], {'w': torch.ones(2)})
    assert load_from_torchvision_name('torchvision://resnet34')['w'].tolist() == [1, 1]
    assert 'install a torchvision' in torchvision_problem('torchvision://resnet50.imagenet1k_v2')


def test_a_torchvision_that_imports_is_asked_for_its_own_names(home, own_torchvision):
    """mmengine's own list, with the names that only torchvision knows."""
    own_torchvision(
        __init__="__version__ = '0.28.0'\nfrom . import models",
        models="""
import enum

class Net_Weights(enum.Enum):
    V2 = 'https://download.pytorch.org/models/net-00000000.pth'
    DEFAULT = V2
    url = property(lambda self: self.value)

def list_models(module): return ['net']
def get_model_weights(name): return Net_Weights
""",
    )
    publish(home, 'https://download.pytorch.org/models/net-00000000.pth', {'w': torch.ones(2)})
    assert load_from_torchvision_name('torchvision://net.v2')['w'].tolist() == [1, 1]
    assert torchvision_problem('torchvision://net.v3').endswith(
        'correct the name, or name the address of its file (https://download.pytorch.org/models/...)'
    )


def test_with_torchvision_mmengine_takes_the_same_files():
    pytest.importorskip('torchvision', exc_type=Exception)
    names = get_torchvision_models()
    assert {name: names[name] for name in RESNETS} == RESNETS

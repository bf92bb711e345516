"""What mmengine downloads is opened by the one reader, whatever names it."""

import json
from pathlib import Path

import pytest
import torch
from helpers import hostile
from helpers.published import publish
from helpers.server import Server
from helpers.tiny import call_tool
from mmdet.registry import MODELS
from mmengine.fileio import LocalBackend
from mmengine.fileio.backends import backends
from mmengine.runner.checkpoint import CheckpointLoader, get_mmcls_models

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import cli

KINDS = ('runs code', 'array over bytes', 'truncated', 'flipped bit', 'page', 'compressed')
ON_SERVER = ('http://', 'openmmlab://', 'open-mmlab://', 's3://')
PUBLISHED = {
    'torchvision://resnet18': 'https://download.pytorch.org/models/resnet18-f37072fd.pth',
    'mmcls://mobilenet_v2': get_mmcls_models()['mobilenet_v2'],
}


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server, and a table of mmengine's user that names its file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with Server() as server:
        (tmp_path / 'open_mmlab.json').write_text(json.dumps({'mine': f'{server.url}/w.pth', 'local': 'w.pth'}))
        yield server


class Store(LocalBackend):
    """An object store in this folder."""

    def get(self, filepath):
        return Path(filepath.partition('://')[2]).read_bytes()


def put(server, prefix, write, tmp_path, monkeypatch):
    """Put a file where a prefix looks for it, and return its name."""
    path = tmp_path / 'served.pth'
    path.unlink(missing_ok=True)
    write(path)
    server.files['/w.pth'] = path.read_bytes()
    monkeypatch.setitem(backends, 'petrel', Store)
    return {'http://': f'{server.url}/w.pth', 's3://': 's3://served.pth'}.get(prefix, f'{prefix}mine')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('prefix', ON_SERVER)
def test_a_hostile_file_is_refused_by_its_name(server, prefix, kind, tmp_path, monkeypatch):
    mark = tmp_path / 'ran'
    name = put(server, prefix, hostile.kinds(mark)[kind], tmp_path, monkeypatch)
    with pytest.raises(DistillationError) as caught:
        CheckpointLoader.load_checkpoint(name, 'cpu')
    (problem,) = caught.value.problems
    assert (name if prefix == 's3://' else f'{server.url}/w.pth') in problem
    assert problem.isprintable()
    assert not mark.exists()
    # The next attempt takes the file that lies there by then.
    name = put(server, prefix, lambda path: torch.save(hostile.good(), path), tmp_path, monkeypatch)
    assert CheckpointLoader.load_checkpoint(name, 'cpu')['state_dict']['w'].tolist() == list(range(16))


@pytest.mark.parametrize('kind', ['runs code', 'flipped bit'])
@pytest.mark.parametrize('name', PUBLISHED)
def test_a_hostile_file_that_was_published(name, kind, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    path = publish(tmp_path, PUBLISHED[name], {'state_dict': {'backbone.w': torch.ones(2), 'head.w': torch.ones(1)}})
    content = CheckpointLoader.load_checkpoint(name)
    assert list(content['state_dict']) == (['w'] if name.startswith('mmcls') else ['backbone.w', 'head.w'])
    path.unlink()
    hostile.kinds(tmp_path / 'ran')[kind](path)
    with pytest.raises(DistillationError, match=PUBLISHED[name]):
        CheckpointLoader.load_checkpoint(name)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['pavi://a', 'openmmlab://none', 'mmcls://none', 'openmmlab://local'])
def test_a_name_that_is_not_loaded(server, name):
    with pytest.raises(DistillationError, match=f'^{name}: '):
        CheckpointLoader.load_checkpoint(name)


def test_pretrained_weights_at_an_address(server, tmp_path, monkeypatch):
    cfg = dict(type='ResNet', depth=18, base_channels=4)
    weights = MODELS.build(cfg).state_dict()
    for write, refused in (
        (hostile.kinds(tmp_path / 'ran')['runs code'], True),
        (lambda p: torch.save(weights, p), False),
    ):
        address = put(server, 'http://', write, tmp_path, monkeypatch)
        backbone = MODELS.build({**cfg, 'init_cfg': dict(type='Pretrained', checkpoint=address)})
        if refused:
            with pytest.raises(DistillationError, match='could run code'):
                backbone.init_weights()
            continue
        backbone.init_weights()
        assert all(torch.equal(value, weights[key]) for key, value in backbone.state_dict().items())
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('resume', [False, True])
def test_a_training_looks_at_an_address_before_it_builds_anything(server, resume, student_cfg, tmp_path, monkeypatch):
    address = put(server, 'http://', hostile.kinds(tmp_path / 'ran')['runs code'], tmp_path, monkeypatch)
    student_cfg.dump(tmp_path / 'config.py')
    options = ('--resume', address) if resume else ('--cfg-options', f'load_from={address}')
    with pytest.raises(SystemExit, match='could run code'):
        call_tool('tools/train.py', tmp_path / 'config.py', *options)
    assert not list(tmp_path.rglob('*.log'))
    address = put(server, 'http://', lambda path: torch.save(hostile.good(), path), tmp_path, monkeypatch)
    if resume:
        with pytest.raises(DistillationError, match=rf"^{address}: no training can go on from .*'optimizer'"):
            cli.check_checkpoint(address, resume=True)
    else:
        cli.check_checkpoint(address)

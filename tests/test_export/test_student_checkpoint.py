import stat
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import save_student, student_state_dict


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.BatchNorm2d(2)
        self.distillers = nn.ModuleDict({'hint': nn.Linear(2, 2)})


@pytest.fixture
def checkpoint():
    meta = {
        'epoch': 3,
        'seed': np.int64(7),
        'cfg': 'of the distillation',
        'dataset_meta': {'classes': ('a', 'b'), 'palette': np.array([[1, 2, 3], [4, 5, 6]])},
    }
    return {'state_dict': Detector().state_dict(), 'meta': meta, 'optimizer': {'state': {}}, 'message_hub': {}}


def test_only_the_distillers_are_dropped():
    state_dict = OrderedDict.fromkeys(
        ['backbone.w', 'distillers.a.w', 'x.distillers.w', 'distillersx.w'], torch.zeros(1)
    )
    assert list(student_state_dict(state_dict)) == ['backbone.w', 'x.distillers.w', 'distillersx.w']


def test_second_names_of_the_same_weights_are_dropped():
    """DDQ-DETR's decoder holds branches of its head from the first training step on."""
    first, second = (f'{holder}.aux_reg_branches.0.0.bias' for holder in ('bbox_head', 'decoder'))
    branches = {first: torch.ones(2), second: torch.ones(2)}
    assert list(student_state_dict(branches)) == [first]
    branches[second] = torch.zeros(2)
    assert list(student_state_dict(branches)) == [first, second]


def test_the_versions_of_the_modules_stay():
    """By them, batch norms and deformable convolutions know how to read old weights."""
    versions = student_state_dict(Detector().state_dict())._metadata
    assert versions['backbone'] == {'version': 2}
    assert not any('distillers' in name for name in versions)


def test_the_file_opens_with_nothing_registered_and_holds_the_same_bits(checkpoint, tmp_path):
    path = tmp_path / 'new' / 'student.pth'
    save_student(checkpoint, path, config_text='model = dict()')
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        saved = torch.load(path, weights_only=True)
    finally:
        torch.serialization.add_safe_globals(before)
    assert saved.keys() == {'meta', 'state_dict'}
    assert saved['meta']['dataset_meta'] == {'classes': ('a', 'b'), 'palette': [[1, 2, 3], [4, 5, 6]]}
    assert saved['meta']['seed'] == 7
    assert type(saved['meta']['seed']) is int
    assert saved['meta']['cfg'] == 'model = dict()'
    expected = student_state_dict(checkpoint['state_dict'])
    assert saved['state_dict'].keys() == expected.keys()
    for key, value in saved['state_dict'].items():
        assert torch.equal(value, expected[key])
        assert value.dtype == expected[key].dtype


def test_a_slice_does_not_take_its_storage_along(tmp_path):
    save_student({'state_dict': {'w': torch.zeros(1_000_000)[:2]}}, tmp_path / 'student.pth')
    assert (tmp_path / 'student.pth').stat().st_size < 10_000


def test_a_failure_leaves_the_old_file_and_no_rest(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / 'student.pth'
    path.write_bytes(b'old')

    def fail(content, file):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', fail)
    with pytest.raises(OSError, match='disk full'):
        save_student(checkpoint, path)
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_the_file(checkpoint, tmp_path):
    save_student(checkpoint, tmp_path / 'student.pth')
    (tmp_path / 'plain').touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize('content', [{}, {'state_dict': {}}, [1]])
def test_a_file_without_weights_is_refused(content, tmp_path):
    with pytest.raises(DistillationError, match='holds no weights'):
        save_student(content, tmp_path / 'student.pth')
    assert not (tmp_path / 'student.pth').exists()

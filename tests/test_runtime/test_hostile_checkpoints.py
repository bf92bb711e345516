"""Whatever a file is, it is refused in one message that names it, in bounded time and memory; nothing of it runs."""

from pathlib import Path

import pytest
import torch
from helpers import hostile
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import check_resumable, find_weights, pickled, read_checkpoint
from mmdet_kd.runtime.mmengine_loader import load_from_file

NOWHERE = Path('ran')
LONG = ('many values', 'deep lists')
HOSTILE, WEIGHTLESS = hostile.kinds(NOWHERE), hostile.kinds_of_weights()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'odd.pth'


def refusal(function, path):
    """The one message with which a file is refused."""
    with hostile.bounded(), pytest.raises(DistillationError) as caught:
        function(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1000
    assert not NOWHERE.exists()
    return message


@pytest.mark.parametrize('kind', [pytest.param(k, marks=pytest.mark.slow) if k in LONG else k for k in HOSTILE])
def test_the_reader_refuses(kind, path):
    HOSTILE[kind](path)
    refusal(read_checkpoint, path)


def test_a_pickle_may_hold_so_many_values_and_lists_so_deep(path, monkeypatch):
    """The limits themselves take long."""
    monkeypatch.setattr(pickled, 'MAX_OPERATIONS', 1000)
    for count in (1000, 1001):
        hostile.with_pickle(path, b'\x80\x02(' + b'N' * (count - 4) + b't.')
        if count == 1000:
            read_checkpoint(path)
        else:
            assert 'more than the 1000 values' in refusal(read_checkpoint, path)
    hostile.with_pickle(path, b'\x80\x02' + b']' * 100 + b'a' * 99 + b'.')
    assert 'more than 64 deep' in refusal(read_checkpoint, path)


@pytest.mark.parametrize('kind', WEIGHTLESS)
def test_no_weights_are_found(kind, path):
    WEIGHTLESS[kind](path)
    refusal(lambda path: find_weights(read_checkpoint(path), path), path)
    refusal(load_from_file, path)


def test_what_is_not_hostile_is_read(path):
    """Or the tests above would say nothing."""
    torch.save(hostile.good(), path)
    assert find_weights(read_checkpoint(path), path)['w'].tolist() == list(range(16))


def test_mmengine_reads_local_files_through_the_reader(path):
    HOSTILE['flipped bit'](path)
    refusal(lambda path: CheckpointLoader.load_checkpoint(str(path)), path)


def test_the_text_of_a_config_does_not_reach_the_runner(path):
    torch.save({**hostile.good(), 'meta': {'epoch': 1, 'config': 'import os', 'cfg': 'text', 'seed': 3}}, path)
    assert CheckpointLoader.load_checkpoint(str(path))['meta'] == {'epoch': 1, 'cfg': 'text', 'seed': 3}


def test_a_history_that_was_read_is_saved_as_mmengines(path):
    torch.save({**hostile.good(), 'message_hub': HistoryBuffer([1.0, 2.0, 4.0], [1, 1, 2], 5)}, path)
    for _ in range(2):  # what is read is saved, and read again
        content = read_checkpoint(path)
        history = content['message_hub']
        assert type(history) is HistoryBuffer
        assert [values.tolist() for values in history.data] == [[1.0, 2.0, 4.0], [1, 1, 2]]
        assert history.max_length == 5
        torch.save(content, path)
    history.update(8.0)
    assert history.statistics('current') == 8.0
    assert torch.load(path, weights_only=False)['message_hub'].data[0].tolist() == [1.0, 2.0, 4.0]


def test_a_history_cannot_bring_statistics_of_its_own(path):
    history = HistoryBuffer([1.0], [1])
    state = {**vars(history), 'max_length': 5, 'statistics_methods': {'mean': 'forged'}, 'min': 'forged'}
    torch.save({**hostile.good(), 'message_hub': hostile.Calls(HistoryBuffer, state=state)}, path)
    assert 'min' not in vars(read_checkpoint(path)['message_hub'])
    assert HistoryBuffer._statistics_methods['mean'] is HistoryBuffer.mean


RESUMABLE = {
    'optimizer': {'state': {}},
    'message_hub': {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}},
    'param_schedulers': [],
}


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'optimizer': None}, "'optimizer'"),
        ({'message_hub': {}}, "'message_hub'"),
        ({'message_hub': [1]}, "'message_hub'"),
        ({'param_schedulers': 3}, "'param_schedulers'"),
        ({'meta': {'epoch': -1, 'iter': 4}}, r"meta\['epoch'\]\."),
        ({'meta': {'epoch': 1, 'iter': 4.5}}, r"meta\['iter'\]\."),
        ({'meta': {'epoch': True, 'iter': 10**30}}, r"meta\['epoch'\].*meta\['iter'\]"),
        ({'meta': 'text'}, r"meta\['epoch'\].*meta\['iter'\]"),
    ],
)
def test_a_training_goes_on_from_what_a_training_saves(change, said, path):
    content = {**hostile.good(), **RESUMABLE}
    torch.save(content, path)
    check_resumable(path)
    torch.save({**content, **change}, path)
    with pytest.raises(DistillationError, match=rf'no training can go on from .*odd\.pth: it lacks .*{said}'):
        check_resumable(path)

import io
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from helpers.tiny import tiny_student_cfg
from helpers.training import train
from mmengine.logging import HistoryBuffer

from mmdet_kd.runtime import register_safe_globals


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, tiny_set):
    """What mmengine saves after an epoch."""
    work_dir = tmp_path_factory.mktemp('plain')
    train(tiny_student_cfg(tiny_set, work_dir, **{'train_cfg.max_epochs': 1}))
    return work_dir / 'epoch_1.pth'


def test_a_checkpoint_of_mmengine_opens_with_weights_only(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    history = content['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.data[0].dtype == np.float64
    assert len(history.data[0]) == 4
    assert history.mean() == pytest.approx(history.data[0].mean())
    assert history.statistics('current') == history.data[0][-1]


def test_without_the_list_it_does_not(checkpoint):
    """Or the test above would say nothing."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with pytest.raises(pickle.UnpicklingError, match='Unsupported global'):
            torch.load(checkpoint, weights_only=True)
        register_safe_globals()
        torch.load(checkpoint, weights_only=True)
    finally:
        torch.serialization.add_safe_globals(before)


def rewritten(source, target, old, new):
    """Copy a checkpoint with names in its pickle replaced."""
    with zipfile.ZipFile(source) as one, zipfile.ZipFile(target, 'w', zipfile.ZIP_STORED) as other:
        for name in one.namelist():
            data = one.read(name)
            if name.endswith('data.pkl'):
                assert old in data
                data = data.replace(old, new)
            other.writestr(name, data)
    return target


def test_files_of_the_other_numpy_open(checkpoint, tmp_path):
    ours = np.empty(0).__reduce__()[0].__module__
    other = 'numpy.core.multiarray' if ours == 'numpy._core.multiarray' else 'numpy._core.multiarray'
    path = rewritten(checkpoint, tmp_path / 'other.pth', f'c{ours}\n'.encode(), f'c{other}\n'.encode())
    assert torch.load(path, weights_only=True)['message_hub']['log_scalars']['train/loss'].data[0].dtype == np.float64


class Runs:
    """A pickle of it calls a function when opened."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'payload',
    [
        lambda marker: Runs(os.system, f'touch {marker}'),
        lambda marker: Runs(eval, f'open({str(marker)!r}, "w").close()'),
        lambda marker: Runs(subprocess.call, ['touch', str(marker)]),
        lambda marker: Runs(getattr, HistoryBuffer, '__init__'),
        lambda marker: Runs(getattr, np.ndarray, 'tofile'),
        lambda marker: Runs(getattr, HistoryBuffer.min, '__globals__'),
        lambda marker: np.array([Runs(eval, f'open({str(marker)!r}, "w").close()')], dtype=object),
    ],
    ids=['os.system', 'eval', 'subprocess', 'getattr of ours', 'getattr of numpy', 'globals', 'inside an object array'],
)
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(payload, tmp_path):
    marker = tmp_path / 'ran'
    torch.save({'state_dict': {}, 'message_hub': payload(marker)}, tmp_path / 'evil.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'evil.pth', weights_only=True)
    assert not marker.exists()


@pytest.mark.slow
def test_importing_the_package_is_enough(checkpoint):
    code = f'import mmdet_kd, torch; torch.load({str(checkpoint)!r}, weights_only=True)'
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


def test_numbers_that_metrics_return_survive():
    numbers = {'best': np.float64(0.5), 'step': np.int64(3), 'ok': np.bool_(True), 'half': np.float32(0.25)}
    buffer = io.BytesIO()
    torch.save(numbers, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == numbers

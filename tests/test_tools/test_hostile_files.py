"""Each place that takes a checkpoint refuses each kind of hostile file, in one message, before anything is trained."""

import pytest
import torch
from helpers import hostile
from helpers.tiny import call_tool
from helpers.training import distilled_run, train

KINDS = (
    *('runs code', 'array over bytes', 'truncated', 'flipped bit', 'pipe', 'folder', 'empty', 'page', 'compressed'),
    *('deep key', 'list', 'NaN'),
)
PLACES = {
    'teacher': lambda config, path, out: ('train', config, '--cfg-options', f'model.teacher.checkpoint={path}'),
    'resume': lambda config, path, out: ('train', config, '--resume', path),
    'load_from': lambda config, path, out: ('train', config, '--cfg-options', f'load_from={path}'),
    'test': lambda config, path, out: ('test', config, path),
    'export': lambda config, path, out: ('export_student', config, path, '--out', out),
    'tucker': lambda config, path, out: ('tucker_decompose', config, path, '--out', out),
}


@pytest.fixture(scope='module')
def run(tmp_path_factory, tiny_set):
    """A distillation after its first epoch."""
    folder = tmp_path_factory.mktemp('run')
    cfg = distilled_run(folder, tiny_set, **{'train_cfg.max_epochs': 1})
    train(cfg)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('kind', KINDS)
def test_a_hostile_file_is_refused(place, kind, run, tmp_path):
    path, mark = tmp_path / 'odd.pth', tmp_path / 'ran'
    kinds = hostile.kinds(mark) | hostile.kinds_of_weights()
    if kind in ('flipped bit', 'NaN', 'runs code', 'array over bytes'):  # in a file that is whole but for that
        whole = torch.load(run / 'run' / 'epoch_1.pth', weights_only=True)
        kinds |= hostile.kinds_inside(whole, mark)
    kinds[kind](path)
    tool, *arguments = PLACES[place](run / 'distilled.py', path, tmp_path / 'out')
    before = (run / 'run' / 'epoch_1.pth').stat().st_mtime_ns
    with pytest.raises(SystemExit) as caught:
        call_tool(f'tools/{tool}.py', *arguments)
    message = str(caught.value.code)
    assert message.startswith('\nerror: ')
    assert str(path) in message
    assert message.strip().isprintable()
    assert not mark.exists()
    assert not (tmp_path / 'out').exists()
    assert (run / 'run' / 'epoch_1.pth').stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_config_in_a_checkpoint_is_not_run_on_resume(tiny_set, tmp_path):
    """mmengine's Runner reads it as Python."""
    cfg = distilled_run(tmp_path, tiny_set, **{'train_cfg.max_epochs': 1})
    train(cfg)
    first, mark = tmp_path / 'run' / 'epoch_1.pth', tmp_path / 'ran'
    content = torch.load(first, weights_only=True)
    content['meta']['config'] = f'import os\nos.mkdir({str(mark)!r})\n'
    torch.save(content, tmp_path / 'forged.pth')
    options = ('--cfg-options', 'train_cfg.max_epochs=2')
    call_tool('tools/train.py', tmp_path / 'distilled.py', '--resume', tmp_path / 'forged.pth', *options)
    assert (tmp_path / 'run' / 'epoch_2.pth').exists()
    assert not mark.exists()

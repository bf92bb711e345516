"""The matrix: each place that opens a file refuses each kind of broken or hostile file.

In one message that names the file, before anything is trained or written, with nothing of the file run, within 10
seconds and 1 GiB. One process asks them all: a place is what a tool calls, or the tool itself where that is as fast.
"""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from helpers import hostile
from helpers.distil import build
from helpers.tiny import call_tool
from helpers.training import distilled_run, train
from mmengine.config import Config
from test_datasets.layouts import draw_voc

from mmdet_kd.errors import DistillationError

pytestmark = pytest.mark.slow

TOOLS = {
    'init_cfg': lambda config, path, out: ('train', config, '--cfg-options', *pretrained(path)),
    'resume': lambda config, path, out: ('train', config, '--resume', path),
    'load_from': lambda config, path, out: ('train', config, '--cfg-options', f'load_from={path}'),
    'test': lambda config, path, out: ('test', config, path),
    'export': lambda config, path, out: ('export_student', config, path, '--out', out),
    'tucker': lambda config, path, out: ('tucker_decompose', config, path, '--out', out),
}


def pretrained(path):
    part = 'model.backbone.init_cfg'
    return f'{part}.type=Pretrained', f'{part}.checkpoint={path}'


CHECKPOINTS = [*hostile.kinds(Path()), *hostile.kinds_of_weights(), 'odd classes']
#: What only the reading of the weights tells is found when the Runner loads them, after it was built.
LATE = ('init_cfg', 'resume', 'load_from', 'test')
LATE_KINDS = [*hostile.kinds_of_weights(), 'flipped bit']


@pytest.fixture(scope='module')
def run(tmp_path_factory, tiny_set):
    """A distillation after its first epoch, and its detector."""
    folder = tmp_path_factory.mktemp('run')
    cfg = distilled_run(folder, tiny_set, **{'train_cfg.max_epochs': 1})
    train(cfg)
    return folder, build(Config.fromfile(folder / 'distilled.py'), init=False)


def refusal(call, path, mark):
    """The one message with which a place ends."""
    with hostile.bounded(), pytest.raises((SystemExit, DistillationError)) as caught:
        call()
    message = str(getattr(caught.value, 'code', caught.value))
    assert isinstance(caught.value, DistillationError) or message.startswith('\nerror: ')
    assert str(path) in message
    assert all(line.isprintable() for line in message.splitlines())
    assert len(message) < 5000  # a problem and what stands around it
    assert not mark.exists()
    return message


def written(kind, path, mark, whole):
    """Write a checkpoint of a kind; a good one is whole."""
    kinds = hostile.kinds(mark) | hostile.kinds_of_weights() | hostile.kinds_inside(whole, mark)
    kinds['odd classes'] = lambda path: torch.save(
        {'state_dict': whole['state_dict'], 'meta': {'dataset_meta': {'classes': [1, '\x1b[2J', None]}}}, path
    )
    kinds[kind](path)


@pytest.fixture
def whole(run):
    return torch.load(run[0] / 'run' / 'epoch_1.pth', weights_only=True)


@pytest.mark.parametrize('kind', CHECKPOINTS)
def test_a_checkpoint_of_a_teacher(kind, run, whole, tmp_path):
    path, mark = tmp_path / 'odd.pth', tmp_path / 'ran'
    written(kind, path, mark, whole)
    detector = run[1]
    (teacher,) = detector.teachers.values()
    before = teacher.checkpoint
    teacher.checkpoint = str(path)
    try:
        refusal(detector.init_weights, path, mark)
    finally:
        teacher.checkpoint = before


@pytest.mark.parametrize('place', TOOLS)
def test_a_checkpoint_of_a_tool(place, run, whole, tmp_path):
    folder, _ = run
    path, mark, out = tmp_path / 'odd.pth', tmp_path / 'ran', tmp_path / 'out'
    before = sorted((file, file.stat().st_mtime_ns) for file in (folder / 'run').glob('*.pth'))
    kinds = [kind for kind in CHECKPOINTS if kind != 'odd classes']  # which are a teacher's
    if place in LATE:  # one of those that a Runner finds, for each a Runner is built
        kinds = [kind for kind in kinds if kind not in LATE_KINDS or kind in ('flipped bit', 'NaN', 'list')]
    for kind in kinds:
        written(kind, path, mark, whole)
        tool, *arguments = TOOLS[place](folder / 'distilled.py', path, out)
        refusal(lambda tool=tool, arguments=arguments: call_tool(f'tools/{tool}.py', *arguments), path, mark)
        assert not out.exists()
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert sorted((file, file.stat().st_mtime_ns) for file in (folder / 'run').glob('*.pth')) == before


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


def text(content):
    return lambda path: path.write_text(content)


def with_box(corner):
    """An annotated set with one wrong box, in the file's own picture."""

    def change(path):
        content = json.loads((path.parent / 'whole.json').read_text())
        content['annotations'][0]['bbox'][2] = corner
        path.write_text(json.dumps(content))

    return change


ANNOTATIONS = {
    **hostile.no_files(),
    'empty': Path.touch,
    'page': text('<html>\x1b[31m404</html>'),
    'deep': text('{"images":' + '[' * 10**6),
    'number': text('{"a": ' + '9' * 10**5 + '}'),
    'zeros': lambda path: hostile.zeros(path, 7 << 30),
    'pickle': lambda path: path.write_bytes(pickle.dumps({})),
    'infinite': with_box(float('inf')),
    'name': text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "\\u001b[2J"}]}'),
}
SETS = {
    'training set': ('train', 'train_dataloader.dataset.ann_file'),
    'validation set': ('train', 'val_dataloader.dataset.ann_file'),
    'truth of the validation': ('train', 'val_evaluator.ann_file'),
    'test set': ('test', 'test_dataloader.dataset.ann_file'),
    'truth of the test': ('test', 'test_evaluator.ann_file'),
}


@pytest.mark.parametrize('place', SETS)
def test_annotations(place, run, tiny_set, tmp_path):
    folder, _ = run
    path, mark, (tool, key) = tmp_path / 'odd.json', tmp_path / 'ran', SETS[place]
    shutil.copy(tiny_set / 'val.json', tmp_path / 'whole.json')
    checkpoint = (folder / 'run' / 'epoch_1.pth',) if tool == 'test' else ()
    options = (*checkpoint, '--work-dir', tmp_path / 'work', '--cfg-options', f'{key}={path}')
    for make in ANNOTATIONS.values():
        make(path)
        refusal(lambda: call_tool(f'tools/{tool}.py', folder / 'distilled.py', *options), path, mark)
        assert not list((tmp_path / 'work').rglob('*.pth'))
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


BOX = '<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>'
OBJECT = (
    '<annotation><size><width>200</width><height>100</height></size><object><name>{}</name>{}</object></annotation>'
)
XML = {
    **hostile.no_files(),
    'page': text('<html><body>404</body></html>'),
    'NaN': text(OBJECT.format('dog', BOX.format('nan'))),
    'reversed': text(OBJECT.format('dog', BOX.format(30))),
    'name': text(OBJECT.format('dog&#x202e;', BOX.format(1))),
    'tag': text(f'<{"a" * 10**6}/>'),
}


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_xml_pictures_and_lists(tool, run, tmp_path):
    folder, _ = run
    root, mark = draw_voc(tmp_path / 'VOCdevkit'), tmp_path / 'ran'
    cfg = Config.fromfile(folder / 'distilled.py')
    dataset = dict(type='VOCDataset', data_root=f'{root}/', ann_file='VOC2007/ImageSets/Main/trainval.txt')
    dataset['data_prefix'] = dict(sub_data_root='VOC2007/')
    kept = {key: cfg[f'{tool}_dataloader'].dataset[key] for key in ('pipeline', 'test_mode')}
    cfg[f'{tool}_dataloader'].dataset = {**dataset, **kept}
    cfg.work_dir = str(tmp_path / 'work')
    cfg.dump(tmp_path / 'config.py')
    checkpoint = (folder / 'run' / 'epoch_1.pth',) if tool == 'test' else ()
    places = {
        root / 'VOC2007' / 'Annotations' / 'tr0001.xml': XML,
        root / 'VOC2007' / 'ImageSets' / 'Main' / 'trainval.txt': {**hostile.no_files(), 'twice': text('tr0001\n' * 2)},
    }
    for path, kinds in places.items():
        whole = path.read_bytes()
        for make in kinds.values():
            path.unlink()
            make(path)
            refusal(lambda: call_tool(f'tools/{tool}.py', tmp_path / 'config.py', *checkpoint), path, mark)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            path.write_bytes(whole)


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_pictures(tool, run, tiny_set, tmp_path):
    folder, _ = run
    root = shutil.copytree(tiny_set, tmp_path / 'set')
    split = {'train': 'train', 'test': 'val'}[tool]
    path, mark = root / split / '001.png', tmp_path / 'ran'
    checkpoint = (folder / 'run' / 'epoch_1.pth',) if tool == 'test' else ()
    options = ('--work-dir', tmp_path / 'work', '--cfg-options', f'{tool}_dataloader.dataset.data_root={root}/')
    kinds = {**hostile.no_files(), 'empty': Path.touch, 'page': text('<html></html>')}
    for make in kinds.values():
        path.unlink()
        make(path)
        refusal(lambda: call_tool(f'tools/{tool}.py', folder / 'distilled.py', *checkpoint, *options), path, mark)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        path.touch()


@pytest.mark.parametrize('suffix', ['.npz', '.caffemodel', '.pth'])
def test_weights_of_caffe(suffix, tmp_path):
    path, mark, out = tmp_path / f'odd{suffix}', tmp_path / 'ran', tmp_path / 'out.pth'
    for kind, write in hostile.kinds(mark).items():
        if kind in ('expanded tensor', 'attribute', 'wrong versions') and suffix != '.pth':
            continue
        write(path)
        refusal(lambda: call_tool('tools/model_converters/caffe_to_mmdet_kd.py', 'alexnet', path, out), path, mark)
        assert not out.exists()
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

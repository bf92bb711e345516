"""A teacher's checkpoint is data: read whole, or refused with one clear error, and never run."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from helpers.server import Server

from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import read_weights

CLASSES = ('circle', 'square')


def state_dict():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 25, generator=generator)
    return OrderedDict([('neck.weight', weight), ('neck.bias', torch.arange(5.0)), ('n', torch.tensor(3))])


def saved(content, path, legacy=False):
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'teacher.pth'


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: s,
        dict,
        lambda s: {'state_dict': s},
        lambda s: {'state_dict': s, 'meta': {'epoch': 3}, 'optimizer': {'state': {}, 'lr': 0.1}},
        lambda s: {'model': s},
        lambda s: {'state_dict': {f'module.{k}': v for k, v in s.items()}},
        lambda s: {f'module.{k}': v for k, v in s.items()},
        lambda s: {'state_dict': {**s, 'distillers.hint.adapters.0.conv.weight': torch.ones(1)}},
        lambda s: {'state_dict': {**s, 'module.distillers.hint.adapters.0.conv.weight': torch.ones(1)}},
    ],
)
def test_each_form_gives_the_same_weights(wrap, legacy, path):
    expected = state_dict()
    weights = read_weights(saved(wrap(state_dict()), path, legacy))
    assert list(weights.state_dict) == list(expected)
    assert all(torch.equal(weights.state_dict[k], v) for k, v in expected.items())
    assert weights.classes is None


def test_only_a_prefix_is_taken_off(path):
    """A part that has 'module.' or 'distillers.' further in keeps it."""
    keys = ['neck.module.weight', 'backbone.distillers.weight']
    weights = read_weights(saved({k: torch.ones(1) for k in keys}, path))
    assert list(weights.state_dict) == keys


@pytest.mark.parametrize(
    ('meta', 'expected'),
    [
        ({'dataset_meta': {'classes': CLASSES}}, CLASSES),
        ({'dataset_meta': {'classes': list(CLASSES)}}, CLASSES),
        ({'dataset_meta': {'CLASSES': CLASSES}}, CLASSES),
        ({'CLASSES': list(CLASSES)}, CLASSES),
        ({'dataset_meta': {'classes': CLASSES, 'CLASSES': ('old',)}, 'CLASSES': ('older',)}, CLASSES),
        ({'dataset_meta': None}, None),
        ({'dataset_meta': {'classes': ()}}, None),
        ({'dataset_meta': []}, None),
        ({'dataset_meta': ['circle']}, None),
        ({}, None),
        (None, None),
        ('trained by hand', None),
    ],
)
def test_classes(meta, expected, path):
    assert read_weights(saved({'state_dict': state_dict(), 'meta': meta}, path)).classes == expected


@pytest.mark.parametrize('meta', [{'dataset_meta': {'classes': 'circle'}}, {'CLASSES': 'circle'}])
def test_a_string_of_classes_is_a_missing_comma(meta, path):
    saved({'state_dict': state_dict(), 'meta': meta}, path)
    with pytest.raises(DistillationError, match=r"by one string, 'circle', .* comma\. Save it .* = \('circle',\)"):
        read_weights(path)


@pytest.mark.parametrize('classes', [3, {'circle': 0}, ('circle', 3), [['circle']]])
def test_classes_that_are_no_strings_are_refused(classes, path):
    saved({'state_dict': state_dict(), 'meta': {'dataset_meta': {'classes': classes}}}, path)
    with pytest.raises(DistillationError, match=r'teacher\.pth names its classes by something else than strings'):
        read_weights(path)


def test_what_mmengine_writes_is_read(path):
    """A log history, and numpy scalars among the messages, come with each checkpoint of a training."""
    import numpy as np
    from mmengine.logging import HistoryBuffer

    history = HistoryBuffer([1.0, 2.0], [1, 1])
    hub = {'log_scalars': {'train/loss': history}, 'runtime_info': {'best': np.float64(0.5), 'iter': 3}}
    read_weights(saved({'state_dict': state_dict(), 'message_hub': hub, 'meta': {'seed': np.int64(3)}}, path))


@pytest.mark.parametrize('name', ['none.pth', 'folder'])
def test_a_missing_file(name, tmp_path, monkeypatch):
    (tmp_path / 'folder').mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DistillationError, match=rf'no teacher checkpoint .*at: {tmp_path}/{name}.*checkpoint=None'):
        read_weights(name)


def test_a_path_is_found_from_elsewhere_as_a_config_is(path, monkeypatch):
    """First from the working directory, then from the checkout, which need not hold weights to be looked at."""
    import mmdet_kd

    saved(state_dict(), path)
    monkeypatch.chdir(path.parent)
    assert len(read_weights('teacher.pth').state_dict) == 3
    beside_the_package = Path(mmdet_kd.__file__).parents[1] / 'work_dirs/none.pth'
    with pytest.raises(DistillationError, match=str(beside_the_package)):
        read_weights('work_dirs/none.pth')


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('part', [0, 1, 2, 3, 10, 100, 0.5, 0.9, -1])
def test_a_truncated_file(part, legacy, path):
    content = saved({'state_dict': state_dict()}, path, legacy).read_bytes()
    path.write_bytes(content[: int(part * len(content)) if isinstance(part, float) else part])
    with pytest.raises(DistillationError, match=r'teacher\.pth .*is truncated or corrupt: copy or download it again'):
        read_weights(path)


def test_flipped_bytes_among_the_weights(path):
    """torch does not look at the checksums of its own format; a teacher with other weights would teach nonsense."""
    content = bytearray(saved({'state_dict': state_dict()}, path).read_bytes())
    place = content.find(state_dict()['neck.weight'].numpy().tobytes())
    assert place > 0
    content[place + 403] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(DistillationError, match='is truncated or corrupt'):
        read_weights(path)


@pytest.mark.parametrize('legacy', [False, True])
def test_flipped_bytes_anywhere_give_one_kind_of_error(legacy, path):
    content = saved({'state_dict': {'a': torch.ones(2), 'b': torch.zeros(1)}}, path, legacy).read_bytes()
    for place in range(0, len(content), 7):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        try:
            read_weights(path)
        except DistillationError:
            continue


@pytest.mark.parametrize(
    'text',
    [
        b'just a note',
        b'<!DOCTYPE html><html>404</html>',
        b'version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n',
        b'\x00' * 64,
        b'\xff\xd8\xff\xe0 a picture',
    ],
)
def test_another_kind_of_file_is_corrupt_and_not_accused(text, path):
    """A page that was downloaded in the place of a checkpoint is no attack."""
    path.write_bytes(text)
    with pytest.raises(
        DistillationError, match=r'is truncated or corrupt|is a web page|is a pointer of git LFS|is a JPEG picture'
    ):
        read_weights(path)


class RunsCode:
    """What a pickle that attacks looks like; unpickled, it makes a file."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(mark):
    yield RunsCode(os.system, f'touch {mark}')
    yield RunsCode(os.mkdir, str(mark))
    yield RunsCode(eval, f'open({str(mark)!r}, "w")')
    yield {'state_dict': {'a': torch.ones(1)}, 'meta': RunsCode(os.mkdir, str(mark))}
    yield {'state_dict': OrderedDict(a=RunsCode(os.mkdir, str(mark)))}


@pytest.mark.parametrize('form', ['zip', 'legacy', 'pickle'])
@pytest.mark.parametrize('which', range(5))
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(form, which, path, tmp_path):
    mark = tmp_path / 'attacked'
    attack = list(attacks(mark))[which]
    if form == 'pickle':
        path.write_bytes(pickle.dumps(attack))
    else:
        saved(attack, path, legacy=form == 'legacy')
    with pytest.raises(DistillationError, match='teacher checkpoint') as caught:
        read_weights(path)
    assert not mark.exists()
    if form != 'pickle':
        assert 'could run code; it was not opened' in str(caught.value)


@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_a_whole_pickled_model_is_refused(form, path):
    saved({'model': torch.nn.Linear(1, 1)}, path, legacy=form == 'legacy')
    with pytest.raises(DistillationError, match=r"could run code.*torch\.save\(\{'state_dict': "):
        read_weights(path)


@pytest.mark.parametrize(
    'content',
    [
        [torch.ones(1)],
        torch.ones(3),
        'text',
        None,
        {},
        {'state_dict': {}},
        {'state_dict': [torch.ones(1)]},
        {'state_dict': {'a': 1.0}},
        {'meta': {'classes': CLASSES}},
        {0: torch.ones(1)},
    ],
)
def test_no_weights_inside(content, path):
    with pytest.raises(DistillationError, match=r"teacher\.pth holds no weights: .*'state_dict'"):
        read_weights(saved(content, path))


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with Server() as server:
        yield server


def served(server, name, content, path):
    server.files[name] = saved(content, path).read_bytes()
    return server.url + name


def test_a_url_is_downloaded_once(server, path):
    url = served(server, '/models/teacher.pth', state_dict(), path)
    for _ in range(2):
        assert torch.equal(read_weights(url).state_dict['neck.weight'], state_dict()['neck.weight'])
    assert len(server.asked) == 1
    server.stop()
    read_weights(url)


def test_a_query_is_no_part_of_the_file_name(server, path, tmp_path):
    read_weights(served(server, '/teacher.pth', state_dict(), path) + '?download=true')
    assert [f.name for f in (tmp_path / 'torch').rglob('*.*')] == ['teacher.pth']


def test_a_dead_url(server):
    server.stop()
    with pytest.raises(DistillationError, match=r'none\.pth cannot be downloaded .*put it at .*none\.pth'):
        read_weights(f'{server.url}/none.pth')


def test_a_url_that_is_not_found(server, tmp_path):
    with pytest.raises(DistillationError, match=r'cannot be downloaded \(HTTP Error 404'):
        read_weights(f'{server.url}/none.pth')
    assert list((tmp_path / 'torch').rglob('*.p*')) == []


def test_a_download_that_broke_off_is_not_kept(server, path):
    """The next attempt must find the whole file, not the same half in the cache."""
    url = served(server, '/teacher.pth', state_dict(), path)
    whole, half = server.files['/teacher.pth'], server.files['/teacher.pth'][:1000]
    server.files['/teacher.pth'], server.promised = half, len(whole)
    with pytest.raises(DistillationError, match='teacher'):
        read_weights(url)
    server.files['/teacher.pth'], server.promised = whole, 0
    assert len(read_weights(url).state_dict) == 3


def test_two_urls_with_one_file_name_are_two_files(server, path):
    """Otherwise the second teacher would quietly be the first."""
    other = {'neck.weight': torch.zeros(2)}
    first = read_weights(served(server, '/a/latest.pth', state_dict(), path))
    second = read_weights(served(server, '/b/latest.pth', other, path))
    assert list(first.state_dict) != list(second.state_dict)


def test_a_date_in_the_file_name_is_no_hash(server, path):
    read_weights(served(server, '/teacher-20240131.pth', state_dict(), path))

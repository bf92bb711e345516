"""Which pictures the training set of a config has."""

import json

import pytest
from mmengine.config import Config

from mmdet_kd.runtime.split_files import seen_in_training, split_files


def dataset(root, folder, names):
    """The config of a data set whose pictures are files of their own."""
    (root / folder).mkdir(parents=True)
    for name in names:
        (root / folder / name).write_bytes(b'')
    images = [dict(id=number, file_name=name, width=9, height=9) for number, name in enumerate(names)]
    file = root / f'{folder}.json'
    file.write_text(json.dumps(dict(images=images, annotations=[], categories=[dict(id=0, name='cell')])))
    return dict(type='CocoDataset', data_root=str(root), ann_file=file.name, data_prefix=dict(img=f'{folder}/'))


def config(*datasets):
    return Config(dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=list(datasets)))))


def test_a_picture_is_found_by_its_file_whatever_it_is_called(tmp_path, monkeypatch):
    cfg = config(dataset(tmp_path / 'set', 'train', ['a.jpg', 'b.jpg']), dataset(tmp_path / 'set', 'more', ['c.jpg']))
    (tmp_path / 'linked').symlink_to(tmp_path / 'set' / 'train')
    (tmp_path / 'other.jpg').symlink_to(tmp_path / 'set' / 'more' / 'c.jpg')
    monkeypatch.chdir(tmp_path)
    for name in ('set/train/a.jpg', 'linked/a.jpg', 'other.jpg', str(tmp_path / 'linked' / 'b.jpg')):
        assert seen_in_training(cfg, [name]) == {tmp_path / name}
    dataset(tmp_path / 'set', 'val', ['a.jpg'])
    assert seen_in_training(cfg, ['set/val/a.jpg', 'set/train/gone.jpg']) == set()


def test_a_file_of_other_folders_is_not_read(tmp_path):
    one, other = (dataset(tmp_path, folder, ['a.jpg']) for folder in ('train', 'more'))
    (tmp_path / 'more.json').write_text('broken')
    cfg, picture = config(one, other), tmp_path / 'train' / 'a.jpg'
    assert seen_in_training(cfg, [picture]) == {picture}
    assert seen_in_training(cfg, [picture, tmp_path / 'more' / 'a.jpg']) == set()  # which cannot be told
    assert split_files(cfg, 'train') == []


@pytest.mark.parametrize('dataset', [None, dict(type='VOCDataset', ann_file='list.txt'), dict(type='CocoDataset')])
def test_what_is_not_known_is_not_said(tmp_path, dataset):
    assert seen_in_training(Config(dict(train_dataloader=dict(dataset=dataset))), [tmp_path / 'a.jpg']) == set()
    assert seen_in_training(Config(dict()), [tmp_path / 'a.jpg']) == set()

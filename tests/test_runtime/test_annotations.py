import json
import uuid

import pytest
from helpers import tiny_student_cfg, write_tiny_coco
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import check_data_files, require_annotations


@pytest.fixture
def cfg(tmp_path):
    return tiny_student_cfg(write_tiny_coco(tmp_path / 'set'), tmp_path / 'run')


def edit(cfg, change):
    path = f'{cfg.train_dataloader.dataset.data_root}train.json'
    with open(path) as file:
        content = json.load(file)
    change(content)
    with open(path, 'w') as file:
        json.dump(content, file)


def check(cfg):
    check_data_files(cfg, ['train', 'val', 'test'])
    cfg.experiment_name = uuid.uuid4().hex
    require_annotations(Runner.from_cfg(cfg))


def test_a_good_set_passes(cfg):
    check(cfg)


def test_everything_missing_is_listed_at_once(cfg, tmp_path):
    cfg.train_dataloader.dataset.ann_file = 'nowhere.json'
    cfg.train_dataloader.dataset.data_prefix.img = 'gone/'
    cfg.val_evaluator.ann_file = '/no/truth.json'
    with pytest.raises(DistillationError) as caught:
        check_data_files(cfg, ['train', 'val'])
    assert len(caught.value.problems) == 3
    assert f'there is no annotation file {tmp_path}/set/nowhere.json (train_dataloader.dataset' in str(caught.value)
    assert f'there is no image folder {tmp_path}/set/gone' in str(caught.value)
    assert 'there is no annotation file /no/truth.json (val_evaluator.ann_file)' in str(caught.value)
    check_data_files(cfg, ['test'])


def test_missing_files_are_found_inside_wrappers(cfg):
    leaf = cfg.train_dataloader.dataset
    good, bad = dict(leaf), {**leaf, 'ann_file': 'nowhere.json'}
    cfg.train_dataloader.dataset = {
        'type': 'ConcatDataset',
        'datasets': [good, {'type': 'RepeatDataset', 'times': 2, 'dataset': bad}],
    }
    with pytest.raises(DistillationError, match=r'nowhere\.json'):
        check_data_files(cfg, ['train'])


def test_files_on_a_server_are_left_to_their_backend(cfg):
    cfg.train_dataloader.dataset.data_root = 's3://bucket/set/'
    check_data_files(cfg, ['train'])


def test_a_set_without_annotations_is_refused(cfg):
    edit(cfg, lambda content: content.update(annotations=[]))
    with pytest.raises(DistillationError, match=r'set/train\.json holds 8 images and 0 annotations .* Name a file'):
        check(cfg)


def test_so_it_is_where_empty_images_are_kept(cfg):
    edit(cfg, lambda content: content.update(annotations=[]))
    cfg.train_dataloader.dataset.filter_cfg = {'filter_empty_gt': False}
    with pytest.raises(DistillationError, match='no image of the training set is annotated'):
        check(cfg)


def test_other_classes_are_named_as_the_reason(cfg):
    cfg.train_dataloader.dataset.metainfo.classes = ('cat', 'dog')
    with pytest.raises(DistillationError, match=r"asks for other classes \(cat, dog\): set .*classes=\('circle', "):
        check(cfg)


def test_images_without_objects_and_crowds_are_no_error(cfg):
    def only_the_last_image_has_one(content):
        content['annotations'] = content['annotations'][-1:]

    edit(cfg, only_the_last_image_has_one)
    cfg.train_dataloader.dataset.filter_cfg = {'filter_empty_gt': False}
    check(cfg)

import pytest
from helpers import tiny_student_cfg, write_tiny_coco

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import check_data_files


@pytest.fixture
def cfg(tmp_path):
    return tiny_student_cfg(write_tiny_coco(tmp_path / 'set'), tmp_path / 'run')


def test_what_is_there_passes(cfg):
    check_data_files(cfg, ['train', 'val', 'test'])


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


def test_each_of_several_metrics_is_looked_at(cfg):
    cfg.val_evaluator = [dict(type='VOCMetric'), dict(type='KittiMetric', ann_file='/no/truth.json')]
    with pytest.raises(DistillationError, match=r'no annotation file /no/truth\.json \(val_evaluator\.ann_file\)'):
        check_data_files(cfg, ['val'])

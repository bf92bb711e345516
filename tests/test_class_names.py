"""Which classes a detector knows, and how two lists of them differ."""

import copy
import re

import pytest
from mmdet.datasets import CocoDataset, VOCDataset
from mmengine.config import Config

from mmdet_kd.class_names import classes_of_config, describe_difference, find_classes, same_classes
from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import load_teacher_config

COCO = CocoDataset.METAINFO['classes']
VOC = VOCDataset.METAINFO['classes']


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', COCO),
        ('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py', VOC),  # RepeatDataset of a ConcatDataset
        ('mmdet::faster_rcnn/faster-rcnn_r50-caffe_fpn_ms-1x_coco-person-bicycle-car.py', ('person', 'bicycle', 'car')),
        ('mmdet::faster_rcnn/faster-rcnn_r50-caffe_fpn_ms-1x_coco-person.py', ('person',)),
        ('mmdet::yolox/yolox_s_8xb8-300e_coco.py', COCO),  # MultiImageMixDataset
    ],
)
def test_configs_of_mmdet(name, expected):
    assert classes_of_config(load_teacher_config(name)) == expected


def with_dataset(dataset):
    return Config({'train_dataloader': {'dataset': dataset}})


PLAIN = {'type': 'CocoDataset', 'ann_file': 'a.json', 'metainfo': {'classes': ['b', 'a']}}


@pytest.mark.parametrize(
    'dataset',
    [
        PLAIN,
        {'type': 'RepeatDataset', 'times': 2, 'dataset': PLAIN},
        {'type': 'ConcatDataset', 'datasets': [PLAIN, {'type': 'VOCDataset'}]},
        {'type': 'RepeatDataset', 'times': 2, 'dataset': {'type': 'ConcatDataset', 'datasets': [PLAIN]}},
        {'type': 'ClassBalancedDataset', 'oversample_thr': 0.1, 'dataset': PLAIN},
        {'type': 'mmdet.CocoDataset', 'metainfo': {'classes': ('b', 'a')}},
        {
            'type': 'CocoDataset',
            'metainfo': {'classes': ('b', 'a')},
            'dataset': {'type': 'VOCDataset'},
        },
    ],
)
def test_wrapped_datasets_keep_the_order(dataset):
    assert classes_of_config(with_dataset(dataset)) == ('b', 'a')


def test_without_metainfo_they_are_the_datasets_own():
    assert classes_of_config(with_dataset({'type': 'CocoDataset'})) == COCO
    assert classes_of_config(with_dataset({'type': 'mmdet.VOCDataset', 'metainfo': None})) == VOC


@pytest.mark.parametrize(
    'cfg', [Config({}), with_dataset(None), with_dataset({'type': 'NoSuchDataset'}), with_dataset({})]
)
def test_a_config_that_does_not_say(cfg):
    assert classes_of_config(cfg) is None


def test_a_dataset_named_by_its_class():
    """As in mmengine's pure-Python configs."""
    assert classes_of_config(with_dataset({'type': CocoDataset})) == COCO


def test_classes_in_a_file(tmp_path):
    """metainfo may name a file with one class a line."""
    path = tmp_path / 'classes.txt'
    path.write_text('b\na\n')
    assert classes_of_config(with_dataset({'type': 'CocoDataset', 'metainfo': {'classes': str(path)}})) == ('b', 'a')


def test_the_config_is_left_alone(student_cfg):
    before = copy.deepcopy(student_cfg.to_dict())
    classes_of_config(student_cfg)
    assert student_cfg.to_dict() == before


@pytest.mark.parametrize(
    ('student', 'teacher', 'expected'),
    [
        ('abc', 'acb', "the same, in another order (label 1: 'b' is the teacher's 'c')"),
        ('abc', 'ab', 'the teacher does not know c'),
        ('ab', 'abcd', 'the student does not know c, d'),
        ('abx', 'aby', 'the teacher does not know x; the student does not know y'),
    ],
)
def test_differences_in_words(student, teacher, expected):
    assert describe_difference(tuple(student), tuple(teacher)) == expected


@pytest.mark.parametrize(
    ('student', 'teacher', 'expected'),
    [
        (('TV monitor', 'dog'), ('tv_monitor', 'dog'), True),
        (('tv monitor', 'dog'), ('dog', 'tv_monitor'), False),
        (('dog',), ('dog', 'cat'), False),
        (('dog', 'cat'), ('dog', 'cow'), False),
        ([], [], True),
    ],
)
def test_same_classes(student, teacher, expected):
    """The spelling changed between versions of mmdet; the order must not."""
    assert same_classes(student, teacher) is expected
    assert same_classes(teacher, student) is expected


def test_another_spelling_is_no_difference():
    assert describe_difference(('TV monitor', 'dog', 'cat'), ('tv_monitor', 'dog')) == 'the teacher does not know cat'


@pytest.mark.parametrize(('student', 'teacher'), [('aab', 'ab'), ('ab', 'aba')])
def test_a_class_named_twice_is_still_described(student, teacher):
    assert describe_difference(tuple(student), tuple(teacher))


class TestNamesThatDifferByTheirCaseAlone:
    """Of them, folding would make one: they are compared as they are written."""

    @pytest.mark.parametrize(
        ('student', 'teacher'), [(('A', 'a'), ('a', 'A')), (('a b', 'a_b'), ('a_b', 'a b')), (('a', 'b'), ('A', 'a'))]
    )
    def test_they_are_not_the_same(self, student, teacher):
        assert not same_classes(student, teacher)
        assert not same_classes(teacher, student)

    def test_they_are_told_apart_where_they_are_looked_for(self):
        assert find_classes(('A', 'a'), ('b', 'a', 'A')) == [2, 1]
        assert find_classes(('a',), ('A', 'a')) == [1]
        with pytest.raises(DistillationError, match="does not know the student's class 'A'; it knows b, a, c"):
            find_classes(('A', 'a'), ('b', 'a', 'c'))

    def test_their_order_is_described(self):
        described = describe_difference(('A', 'a'), ('a', 'A'))
        assert described == "the same, in another order (label 0: 'A' is the teacher's 'a')"

    def test_other_names_are_found_whatever_their_case(self):
        assert find_classes(('TV monitor', 'dog'), ('Dog', 'cat', 'tv_monitor')) == [2, 0]


class TestAStringInThePlaceOfATuple:
    @pytest.mark.parametrize('classes', ['helmet', 'no/such/file.txt'])
    def test_is_named_as_a_missing_comma_or_file(self, classes):
        cfg = with_dataset({'type': 'CocoDataset', 'metainfo': {'classes': classes}})
        with pytest.raises(DistillationError, match=re.escape(f"comma to be a tuple: classes=('{classes}',)")):
            classes_of_config(cfg)

    def test_of_a_data_set_of_ones_own(self):
        class Helmets(CocoDataset):
            METAINFO = {'classes': ('helmet')}

        with pytest.raises(DistillationError, match=r"classes=\('helmet',\)"):
            classes_of_config(with_dataset({'type': Helmets}))

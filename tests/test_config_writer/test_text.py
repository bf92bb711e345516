"""Values as Python text: what is read back is what was written, and no line is too long."""

import math

import pytest

from mmdet_kd.config_writer.text import Code, assignment
from mmdet_kd.errors import DistillationError

VALUE = dict(
    type='CocoDataset',
    metainfo=dict(classes=('cat',)),
    scale=[(1333, 640), (1333, 800)],
    ratio=1 / 3,
    keep=True,
    nothing=None,
    empty=dict(),
    text='it\'s a "quote"\n',
    pipeline=[
        dict(type='LoadImageFromFile', backend_args=None),
        dict(type='Resize', scale=(320, 240), keep_ratio=True),
    ],
)


def read_back(text: str, **names) -> object:
    exec(text, names)
    return names['key']


def test_what_is_read_back_is_what_was_written():
    odd = {'class': 1, 'no name': 2, 3: (4, 5)}
    assert read_back(assignment('key', VALUE)) == VALUE
    assert read_back(assignment('key', odd)) == odd
    assert math.isinf(read_back(assignment('key', dict(a=float('-inf'))))['a'])


def test_code_stands_as_it_is():
    assert assignment('key', dict(path=Code("root + 'a.json'"))) == "key = dict(path=root + 'a.json')\n"


def test_a_value_has_as_many_lines_as_it_needs():
    assert assignment('key', dict(a=1, b=[2])) == 'key = dict(a=1, b=[2])\n'
    lines = assignment('key', VALUE).splitlines()
    assert lines[:2] == ['key = dict(', "    type='CocoDataset',"]
    assert max(map(len, lines)) <= 120
    assert min(len(line) for line in assignment('key', dict(a='x' * 105, b=1)).splitlines()) == 1  # the last bracket


def test_a_class_is_refused_by_its_place():
    with pytest.raises(DistillationError, match=r'^train_dataloader holds <class .*int.*>, which no config file can'):
        assignment('train_dataloader', dict(sampler=[dict(type=int)]))

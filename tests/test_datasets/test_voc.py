import shutil

import pytest
from test_datasets.layouts import draw_voc, write_xml

from mmdet_kd.datasets import check_voc
from mmdet_kd.datasets.voc_xml import read_xml
from mmdet_kd.errors import DistillationError


@pytest.fixture
def root(tmp_path):
    return draw_voc(tmp_path / 'VOCdevkit')


def test_a_whole_set_passes(root):
    said = check_voc(root).splitlines()
    assert [line.partition('VOCdevkit/')[2] for line in said] == [
        f'{year}/ImageSets/Main/{split}.txt: 4 pictures, 24 boxes'
        for year, split in (('VOC2007', 'trainval'), ('VOC2007', 'test'), ('VOC2012', 'trainval'))
    ]


def test_a_year_is_enough_and_the_test_of_2012_has_no_annotations(root):
    shutil.rmtree(root / 'VOC2007')
    (root / 'VOC2012' / 'ImageSets' / 'Main' / 'test.txt').write_text('2012_000001\n')
    assert len(check_voc(root).splitlines()) == 1


def test_every_fault_is_named_at_once(root):
    first, second = root / 'VOC2007', root / 'VOC2012'
    (first / 'Annotations' / 'tr0000.xml').write_text('<annotation>')
    (first / 'Annotations' / 'te0001.xml').unlink()
    (first / 'JPEGImages' / 'te0002.jpg').unlink()
    write_xml(second / 'Annotations' / 'tr0001.xml', [('airplane', (1, 1, 50, 50)), ('dog', (1, 1, 203, 50))])
    write_xml(second / 'Annotations' / 'tr0002.xml', [], size=(100, 200))
    (second / 'JPEGImages' / 'tr0003.jpg').write_bytes((second / 'JPEGImages' / 'tr0003.jpg').read_bytes()[:2000])
    with pytest.raises(DistillationError) as caught:
        check_voc(root)
    expected = [
        'VOC2007/Annotations/tr0000.xml is truncated or no XML',
        'there is no annotation',
        'there is no picture',
        "tr0001.xml, object 1: 'airplane' is no class of the set",
        'tr0001.jpg: the dog at (0.0, 0.0, 203.0, 50.0) reaches out of the picture',
        'tr0002.jpg is 200x100, its annotation says 100x200',
        'tr0003.jpg cannot be read',
    ]
    assert len(caught.value.problems) == len(expected)
    for problem, part in zip(caught.value.problems, expected, strict=True):
        assert part in problem


def test_pixels_count_from_one(root):
    """A box of one pixel, and one that fills the picture, are whole."""
    write_xml(root / 'VOC2007' / 'Annotations' / 'tr0000.xml', [('dog', (1, 1, 1, 1)), ('dog', (1, 1, 200, 100))])
    check_voc(root)


def test_a_missing_list_and_another_folder_are_named(root, tmp_path):
    (root / 'VOC2012' / 'ImageSets' / 'Main' / 'trainval.txt').unlink()
    with pytest.raises(DistillationError, match=r'cannot read the list .*VOC2012/ImageSets/Main/trainval\.txt'):
        check_voc(root)
    with pytest.raises(DistillationError, match=r'no VOC2007 or VOC2012 in .*Name the folder VOCdevkit'):
        check_voc(tmp_path / 'elsewhere')


def test_an_annotation_is_read_as_it_stands(tmp_path):
    write_xml(tmp_path / 'a.xml', [('dog', (1, 2, 30, 40)), ('cat*', (5.5, 6, 7, 8))])
    boxes, size, problems = read_xml(tmp_path / 'a.xml')
    assert [(box.category, box.corners, box.ignore) for box in boxes] == [
        ('dog', (1, 2, 30, 40), False),
        ('cat', (5.5, 6, 7, 8), True),
    ]
    assert size == (200, 100)
    assert problems == []


def test_parts_of_an_object_are_no_objects_and_a_size_is_optional(tmp_path):
    part = '<part><name>head</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>10</xmax><ymax>10</ymax></bndbox></part>'
    box = '<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>'
    (tmp_path / 'a.xml').write_text(f'<annotation><object><name>person</name>{part}{box}</object></annotation>')
    (only,), size, problems = read_xml(tmp_path / 'a.xml')
    assert (only.category, only.corners, size, problems) == ('person', (1, 2, 30, 40), None, [])
    (tmp_path / 'a.xml').write_text('<annotation><size><width>x</width><height>3</height></size></annotation>')
    assert "a.xml: its size/width is no number but 'x': correct it" in read_xml(tmp_path / 'a.xml')[2][0]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'<?xml version="1.0" encoding="no-such"?><annotation/>', 'is truncated or no XML'),
        (b'<html></html>', 'is no <annotation> but <html>'),
        (b'', 'is truncated or no XML'),
    ],
)
def test_what_is_no_annotation_is_named(tmp_path, content, message):
    (tmp_path / 'a.xml').write_bytes(content)
    boxes, size, problems = read_xml(tmp_path / 'a.xml')
    assert (boxes, size) == ([], None)
    assert message in problems[0]


def test_a_list_that_is_no_text_is_named_and_a_mark_at_its_beginning_is_not_read(root):
    path = root / 'VOC2012' / 'ImageSets' / 'Main' / 'trainval.txt'
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    check_voc(root)
    path.write_bytes(b'\xff\xfe0\x000\x00')
    with pytest.raises(DistillationError, match=r'cannot read the list .*trainval\.txt'):
        check_voc(root)

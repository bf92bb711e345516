import json

import pytest
from pycocotools.coco import COCO
from test_datasets.layouts import HEIGHT, WIDTH, draw_picture

from mmdet_kd.datasets.annotated import Box, Picture, examine, raise_all, write_splits
from mmdet_kd.errors import DistillationError


@pytest.fixture
def picture(tmp_path):
    draw_picture(tmp_path / 'a.png', [])
    return Picture(tmp_path / 'a.png', 'a.png', [Box('cat', (1.5, 2, 11.5, 22))])


def problems_of(picture):
    examine([picture])
    return picture.problems


def test_a_whole_picture_has_no_problem_and_gets_its_size(picture):
    assert problems_of(picture) == []
    assert picture.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ('corners', 'fault'),
    [
        ((5, 5, 5, 9), 'has no area'),
        ((5, 9, 7, 5), 'has its second corner before the first'),
        ((5, 5, float('nan'), 9), 'is not finite'),
        ((-2, 5, 7, 9), 'reaches out of the picture, which is 200x100'),
        ((5, -2, 7, 9), 'reaches out'),
        ((5, 5, WIDTH + 2, 9), 'reaches out'),
        ((5, 5, 9, HEIGHT + 2), 'reaches out'),
    ],
)
def test_a_box_that_cannot_be_is_named(picture, corners, fault):
    picture.boxes.append(Box('dog', corners))
    (problem,) = problems_of(picture)
    assert f'a.png: the dog at {corners} {fault}' in problem


def test_a_pixel_over_the_edge_is_a_convention(picture):
    picture.boxes.append(Box('dog', (-1, -1, WIDTH + 1, HEIGHT + 1)))
    assert problems_of(picture) == []


def test_another_size_than_annotated_is_named(picture):
    picture.size = (HEIGHT, WIDTH)
    picture.boxes.append(Box('dog', (5, 5, 9, HEIGHT + 50)))  # of the annotated picture
    (problem,) = problems_of(picture)
    assert 'a.png is 200x100, its annotation says 100x200: put back the annotated picture, or' in problem
    assert 'EXIF orientation' in problem


def test_a_long_list_goes_to_a_file(tmp_path):
    raise_all([], tmp_path / 'report.txt')
    with pytest.raises(DistillationError) as caught:
        raise_all([f'problem {i}' for i in range(50)], tmp_path / 'report.txt')
    assert len(caught.value.problems) == 50
    assert not (tmp_path / 'report.txt').exists()
    with pytest.raises(
        DistillationError, match=r'and 4950 more: all 5000 are listed in /.*/deep/report\.txt'
    ) as caught:
        raise_all([f'problem {i}' for i in range(5000)], tmp_path / 'deep' / 'report.txt')
    assert caught.value.problems[:50] == [f'problem {i}' for i in range(50)]
    assert (tmp_path / 'deep' / 'report.txt').read_text().splitlines() == [f'problem {i}' for i in range(5000)]

    (tmp_path / 'file').write_text('')
    with pytest.raises(DistillationError) as caught:
        raise_all(['problem'] * 60, tmp_path / 'file' / 'report.txt')
    assert len(caught.value.problems) == 60


def test_what_is_written_is_coco(picture, tmp_path):
    picture.boxes.append(Box('dog', (0, 0, 4, 5), ignore=True, extra=dict(mood='good')))
    said = write_splits(tmp_path / 'out', {'train': [picture]}, ('dog', 'cat', 'cow'))
    assert said == f'{tmp_path}/out/train.json: 1 pictures, 2 boxes'
    coco = COCO(tmp_path / 'out' / 'train.json')
    assert coco.loadCats(coco.getCatIds()) == [dict(id=i, name=n) for i, n in enumerate(('dog', 'cat', 'cow'), 1)]
    assert coco.loadImgs(coco.getImgIds()) == [dict(id=1, file_name='a.png', width=WIDTH, height=HEIGHT)]
    cat, dog = coco.loadAnns(coco.getAnnIds())
    assert cat == dict(id=1, image_id=1, category_id=2, bbox=[1.5, 2, 10, 20], area=200, iscrowd=0)
    assert dog == dict(id=2, image_id=1, category_id=1, bbox=[0, 0, 4, 5], area=20, iscrowd=1, mood='good')


def test_one_bad_split_leaves_all_as_they_were(picture, tmp_path):
    (tmp_path / 'train.json').write_text('as before')
    bad = Picture(tmp_path / 'b.png', 'b.png', problems=['its label is bad'])
    with pytest.raises(DistillationError) as caught:
        write_splits(tmp_path, {'train': [picture], 'val': [bad]}, ('cat',))
    assert caught.value.problems == ['its label is bad', f'there is no picture {tmp_path}/b.png: put it there']
    assert (tmp_path / 'train.json').read_text() == 'as before'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.png', 'train.json']


def test_an_interrupted_writing_leaves_all_as_they_were(picture, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('os.replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_splits(tmp_path, {'train': [picture]}, ('cat',))
    assert not (tmp_path / 'train.json').exists()


def test_what_is_broken_can_be_left_out(picture, tmp_path):
    bad = Picture(tmp_path / 'b.png', 'b.png')
    said = write_splits(tmp_path, {'train': [bad, picture]}, ('cat',), leave_out_broken=True)
    assert 'train.json: 1 pictures, 1 boxes, 1 left out' in said
    assert json.loads((tmp_path / 'train.json').read_text())['images'][0]['file_name'] == 'a.png'
    assert (tmp_path / 'left_out.txt').read_text() == f'there is no picture {tmp_path}/b.png: put it there\n'


def test_a_split_is_not_left_out_as_a_whole(picture, tmp_path):
    bad = Picture(tmp_path / 'b.png', 'b.png')
    with pytest.raises(DistillationError, match=r'no picture of val is left: .*b\.png: put it there'):
        write_splits(tmp_path, {'train': [picture], 'val': [bad]}, ('cat',), leave_out_broken=True)
    assert not (tmp_path / 'train.json').exists()

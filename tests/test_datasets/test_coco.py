import json

import pytest
from test_datasets.layouts import draw_coco

from mmdet_kd.datasets import check_coco
from mmdet_kd.errors import DistillationError


@pytest.fixture
def root(tmp_path):
    return draw_coco(tmp_path / 'coco')


def edit(root, change, split='val2017'):
    path = root / 'annotations' / f'instances_{split}.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_whole_set_passes(root):
    assert [line.partition('annotations/')[2] for line in check_coco(root).splitlines()] == [
        f'instances_{split}.json: 4 pictures, 84 boxes' for split in ('train2017', 'val2017')
    ]


def test_every_fault_of_the_pictures_is_named_at_once(root):
    (root / 'train2017' / '000000000001.jpg').unlink()
    path = root / 'val2017' / '000000000000.jpg'
    path.write_bytes(path.read_bytes()[:1000])

    def change(content):
        content['images'][1]['width'] = 100
        content['annotations'][42]['bbox'] = [0, 0, 10, 0]
        content['annotations'][43]['bbox'] = [150, 0, 60, 10]

    edit(root, change)
    with pytest.raises(DistillationError) as caught:
        check_coco(root)
    expected = [
        'there is no picture',
        '000000000000.jpg cannot be read',
        '000000000001.jpg is 200x100, its annotation says 100x100',
        '000000000002.jpg: the wine glass at (0, 0, 10, 0) has no area',
        '000000000002.jpg: the cup at (150, 0, 210, 10) reaches out of the picture',
    ]
    assert len(caught.value.problems) == len(expected)
    for problem, part in zip(caught.value.problems, expected, strict=True):
        assert part in problem


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content.pop('categories'), r'instances_val2017\.json: it has no list "categories"'),
        (lambda content: content['images'][2].pop('width'), 'entry 2 of "images" has no width'),
        (lambda content: content['annotations'][5].pop('bbox'), 'entry 5 of "annotations" has no bbox'),
        (lambda content: content['images'][2].update(width='200'), 'entry 2 of "images" has no width, or of a wrong'),
        (lambda content: content['images'][2].update(id=[2]), 'entry 2 of "images" has no id'),
        (lambda content: content['images'][2].update(file_name=5), 'has no file_name'),
        (lambda content: content['annotations'][5].update(image_id=[1]), 'has no image_id'),
        (lambda content: content['annotations'][5].update(id=5), 'ids of "annotations" are there twice: 5'),
        (
            lambda content: content['images'][1].update(file_name=content['images'][0]['file_name']),
            'pictures of "images" are there twice: .* join their annotations',
        ),
        (
            lambda content: content['annotations'][5].update(image_id=99),
            'annotation 6 is of image_id 99, which is not in',
        ),
        (
            lambda content: content['annotations'][5].update(category_id=9),
            'of category_id 9, which is not in "categories"',
        ),
        (
            lambda content: content['annotations'][5].update(bbox=[1, 2, 3]),
            r'annotation 6 is not four finite numbers: \[1, 2, 3\]',
        ),
        (lambda content: content['annotations'][5].update(bbox=[1, 2, 3, None]), 'is not four finite numbers'),
    ],
)
def test_what_is_no_coco_is_named(root, change, message):
    edit(root, change)
    with pytest.raises(DistillationError, match=message):
        check_coco(root)


def test_broken_and_missing_files_are_named_together(root):
    path = root / 'annotations' / 'instances_train2017.json'
    path.write_text(path.read_text()[:-100])
    (root / 'annotations' / 'instances_val2017.json').unlink()
    with pytest.raises(DistillationError) as caught:
        check_coco(root)
    assert len(caught.value.problems) == 2
    assert 'instances_train2017.json is truncated or no JSON' in caught.value.problems[0]
    assert 'there is no annotation file' in caught.value.problems[1]

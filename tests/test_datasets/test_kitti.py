import json
import shutil

import pytest
from mmdet.datasets import CocoDataset
from test_datasets.layouts import draw_kitti

from mmdet_kd.datasets import KITTI_CLASSES, convert_kitti
from mmdet_kd.datasets.kitti import read_label
from mmdet_kd.errors import DistillationError

LINE = 'Car 0.25 1 -1.57 10.50 20.00 110.25 80.00 1.50 1.60 3.70 1.00 1.60 20.00 -1.60'


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    return draw_kitti(tmp_path_factory.mktemp('kitti') / 'set', train=3, val=2)


@pytest.fixture
def root(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / 'set')


def test_a_label_is_read_as_it_stands(tmp_path):
    lines = [LINE, LINE.replace('Car', 'Van'), LINE.replace('Car', 'Person_sitting'), LINE.replace('Car', 'Tram')]
    (tmp_path / 'a.txt').write_text('\n'.join(lines))
    boxes, problems = read_label(tmp_path / 'a.txt')
    assert problems == []
    assert [(box.category, box.ignore, box.extra['type']) for box in boxes] == [
        ('Car', False, 'Car'),
        ('Car', True, 'Van'),
        ('Pedestrian', True, 'Person_sitting'),
        ('Tram', False, 'Tram'),
    ]
    assert boxes[0].corners == (10.5, 20, 110.25, 80)
    assert boxes[0].extra == dict(type='Car', truncated=0.25, occluded=1)


def test_a_dont_care_region_is_ignored_for_each_class(tmp_path):
    region = 'DontCare -1 -1 -10 10.50 20.00 110.25 80.00 -1 -1 -1 -1000 -1000 -1000 -10'
    (tmp_path / 'a.txt').write_text(region)
    boxes, problems = read_label(tmp_path / 'a.txt')
    assert problems == []
    assert [(box.category, box.ignore) for box in boxes] == [(name, True) for name in KITTI_CLASSES]


def test_mmdet_reads_what_is_written(root):
    convert_kitti(root)
    for split, count in (('train', 3), ('val', 2)):
        dataset = CocoDataset(
            data_root=str(root),
            ann_file=f'annotations/{split}.json',
            data_prefix=dict(img='training/image_2/'),
            metainfo=dict(classes=KITTI_CLASSES),
            test_mode=True,
        )
        assert len(dataset) == count
        info = dataset.get_data_info(0)
        assert info['img_path'] == str(root / f'training/image_2/{"000000" if split == "train" else "000003"}.png')
        assert (info['width'], info['height']) == (200, 100)
        kept = [(box['bbox_label'], box['ignore_flag']) for box in info['instances']]
        # two of each class; then Van, Person_sitting, and DontCare three times; a Tram is not asked for
        assert kept == [(0, 0), (1, 0), (2, 0)] * 2 + [(0, 1), (1, 1), (0, 1), (1, 1), (2, 1)]
        assert info['instances'][1]['bbox'] == [34, 10, 64, 60]


def break_all(root):
    """Break each of the five pictures in another way, the first one in five."""
    labels, pictures = root / 'training' / 'label_2', root / 'training' / 'image_2'
    lines = [
        LINE.rsplit(' ', 1)[0],
        LINE.replace('Car', 'Lorry'),
        LINE.replace('110.25', '310.25'),
        LINE.replace('110.25', '10.50'),
        LINE.replace('110.25', '1o'),
    ]
    (labels / '000000.txt').write_text('\n'.join(lines))
    (labels / '000001.txt').unlink()
    (labels / '000002.txt').write_text('')
    (pictures / '000003.png').unlink()
    (pictures / '000004.png').write_bytes((pictures / '000004.png').read_bytes()[:500])


def test_every_fault_is_named_at_once_and_nothing_is_written(root):
    break_all(root)
    with pytest.raises(DistillationError) as caught:
        convert_kitti(root)
    labels = root / 'training' / 'label_2'
    expected = [
        f'{labels}/000000.txt, line 1: 14 columns instead of 15',
        f"{labels}/000000.txt, line 2: 'Lorry' is no class of KITTI",
        f"{labels}/000000.txt, line 5: could not convert string to float: '1o'",
        '000000.png: the Car at (10.5, 20.0, 310.25, 80.0) reaches out of the picture, which is 200x100',
        '000000.png: the Car at (10.5, 20.0, 10.5, 80.0) has no area',
        f'there is no label {labels}/000001.txt',
        f'the label {labels}/000002.txt is empty',
        'there is no picture',
        '000004.png cannot be read',
    ]
    assert len(caught.value.problems) == len(expected)
    for problem, part in zip(caught.value.problems, expected, strict=True):
        assert part in problem
    assert not (root / 'annotations').exists()


def test_what_is_broken_can_be_left_out(root):
    break_all(root)
    (root / 'training' / 'label_2' / '000002.txt').write_text(LINE)
    pictures = root / 'training' / 'image_2'
    shutil.copy(pictures / '000002.png', pictures / '000003.png')  # the only one of val that is left
    assert 'train.json: 1 pictures, 1 boxes, 2 left out' in convert_kitti(root, leave_out_broken=True)
    content = json.loads((root / 'annotations' / 'train.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['000002.png']


@pytest.mark.parametrize(
    ('train', 'val', 'message'),
    [
        ('000000\n000001\n', '000001\n000002\n', 'share pictures: 000001'),
        ('000000\n000000\n', '000001\n', r'train\.txt names pictures twice: 000000'),
        ('', '000001\n', r'train\.txt names no picture'),
        ('\udcff', '000001\n', r'cannot read .*ImageSets/train\.txt'),
        (None, '000001\n', r'cannot read .*ImageSets/train\.txt .*the usual ones, of 3712 and 3769 pictures'),
        ('000000\n999999\n', '000001\n', r'(?s)no label .*999999\.txt.*no picture .*999999\.png'),
    ],
)
def test_lists_that_are_no_split_are_refused(root, train, val, message):
    for split, text in (('train', train), ('val', val)):
        path = root / 'ImageSets' / f'{split}.txt'
        path.unlink() if text is None else path.write_bytes(text.encode(errors='surrogateescape'))
    with pytest.raises(DistillationError, match=message):
        convert_kitti(root)

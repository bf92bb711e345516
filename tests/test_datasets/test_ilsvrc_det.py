import json
import shutil

import pytest
from mmdet.datasets import CocoDataset
from mmdet.evaluation import get_classes
from test_datasets.layouts import draw_ilsvrc, wnid, write_xml

from mmdet_kd.datasets import ILSVRC_DET_CLASSES, convert_ilsvrc_det
from mmdet_kd.errors import DistillationError


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    return draw_ilsvrc(tmp_path_factory.mktemp('ilsvrc') / 'set')


@pytest.fixture
def root(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / 'set')


def read(root, split):
    return json.loads((root / 'annotations' / f'{split}.json').read_text())


def names(root, split):
    return [image['file_name'] for image in read(root, split)['images']]


def test_mmdet_reads_what_is_written(root):
    convert_ilsvrc_det(root)
    for split in ('train', 'val1', 'val2'):
        dataset = CocoDataset(
            data_root=str(root),
            ann_file=f'annotations/{split}.json',
            data_prefix=dict(img='Data/DET/'),
            metainfo=dict(classes=get_classes('imagenet_det')),
            test_mode=True,
        )
        assert len(dataset) == 8
        # the drawn ids count in mmdet's order: the third picture has the classes 50 to 74
        third = sorted((dataset.get_data_info(i) for i in range(8)), key=lambda info: info['img_path'])[2]
        assert [box['bbox_label'] for box in third['instances']] == list(range(50, 75))
        assert third['instances'][6]['bbox'] == [40, 20, 75, 38]
        assert not any(box['ignore_flag'] for box in third['instances'])


def test_classes_are_matched_by_name_not_by_number(root):
    """The development kit has `bow` before `bow tie`, mmdet after it."""
    lines = (root / 'devkit' / 'data' / 'map_det.txt').read_text().splitlines()
    assert lines[27].endswith(' 28 bow')
    assert ILSVRC_DET_CLASSES[27:29] == ('bow_tie', 'bow')
    convert_ilsvrc_det(root)
    content = read(root, 'train')
    bow = next(category['id'] for category in content['categories'] if category['name'] == 'bow')
    boxes = [annotation['bbox'] for annotation in content['annotations'] if annotation['category_id'] == bow]
    assert lines[27].split()[0] == wnid(28)
    assert boxes == [[120, 0, 35, 18]]  # the fourth of the second picture


def test_training_pictures_are_the_positive_ones_at_most_so_many_of_a_class(root):
    lists = root / 'ImageSets' / 'DET'
    text = (lists / 'train_1.txt').read_text()
    all_positive = ''.join(line.replace(' -1', ' 1') + '\n' for line in text.splitlines() if 'extra' not in line)
    (lists / 'train_1.txt').write_text(all_positive)
    for number in range(2, 201):
        (lists / f'train_{number}.txt').write_text(text)  # the first picture alone is positive
    expected = [f'train/{line.split()[0]}.JPEG' for line in all_positive.splitlines()]
    for most, count in ((1, 1), (3, 3), (0, 8)):
        convert_ilsvrc_det(root, train_per_class=most)
        assert names(root, 'train') == expected[:count]


def test_pictures_with_more_objects_than_boxes_are_left_alone(root):
    path = root / 'ImageSets' / 'DET' / 'train_1.txt'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([lines[0], lines[1].replace(' -1', ' 0')]))
    for number in range(2, 201):
        (root / 'ImageSets' / 'DET' / f'train_{number}.txt').write_text(lines[0])
    convert_ilsvrc_det(root)
    assert len(names(root, 'train')) == 1


def test_the_halves_are_those_of_the_lists(root, tmp_path):
    convert_ilsvrc_det(root)
    assert names(root, 'val1') == [f'val/ILSVRC2012_val_{i:08d}.JPEG' for i in range(1, 16, 2)]
    (tmp_path / 'mine1').write_text('ILSVRC2012_val_00000005 1\n')
    (tmp_path / 'mine2').write_text('ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000002 2\n')
    convert_ilsvrc_det(root, tmp_path / 'mine1', tmp_path / 'mine2')
    assert names(root, 'val1') == ['val/ILSVRC2012_val_00000005.JPEG']
    assert len(names(root, 'val2')) == 2


def test_without_lists_the_halves_are_ours_only_if_asked_for(root):
    for half in ('val1', 'val2'):
        (root / 'ImageSets' / 'DET' / f'{half}.txt').unlink()
    with pytest.raises(
        DistillationError, match=r"no list .*val1\.txt nor .*val2\.txt.* come with R-CNN's data.*--halve-val"
    ):
        convert_ilsvrc_det(root)
    convert_ilsvrc_det(root, halve_val=True)
    assert names(root, 'val2') == [f'val/ILSVRC2012_val_{i:08d}.JPEG' for i in range(2, 17, 2)]


def test_every_fault_is_named_at_once_and_nothing_is_written(root):
    xml, data = root / 'Annotations' / 'DET' / 'val', root / 'Data' / 'DET' / 'val'
    val = [f'ILSVRC2012_val_{i:08d}' for i in range(1, 17)]
    box = (10, 10, 50, 50)
    (xml / f'{val[0]}.xml').write_text((xml / f'{val[0]}.xml').read_text()[:300])
    write_xml(xml / f'{val[1]}.xml', [('n00000001', box)])
    write_xml(xml / f'{val[2]}.xml', [(wnid(3), box)], size=(300, 100))
    write_xml(xml / f'{val[3]}.xml', [(wnid(3), (10, 10, 250, 50)), (wnid(4), (10, 10, 10, 50))])
    (xml / f'{val[4]}.xml').unlink()
    (data / f'{val[5]}.JPEG').unlink()
    (data / f'{val[6]}.JPEG').write_bytes(b'')
    write_xml(xml / f'{val[7]}.xml', [(wnid(3), (10, 10, '', 50))])
    with pytest.raises(DistillationError) as caught:
        convert_ilsvrc_det(root)
    expected = [
        f'{val[0]}.xml is truncated or no XML',
        f"{val[1]}.xml, object 1: 'n00000001' is no class of the set",
        f'{val[2]}.JPEG is 200x100, its annotation says 300x100',
        'the antelope at (10.0, 10.0, 250.0, 50.0) reaches out of the picture',
        'the apple at (10.0, 10.0, 10.0, 50.0) has no area',
        f'there is no annotation {xml}/{val[4]}.xml',
        f'there is no picture {data}/{val[5]}.JPEG',
        f'{val[6]}.JPEG cannot be read (it is empty)',
        f'{val[7]}.xml, object 1: it has no bndbox/xmax',
    ]
    assert len(caught.value.problems) == len(expected)
    text = str(caught.value)
    for part in expected:
        assert part in text
    assert not (root / 'annotations').exists()


@pytest.mark.parametrize(
    ('path', 'change', 'message'),
    [
        ('devkit/data/map_det.txt', None, 'Unpack the development kit'),
        ('devkit/data/map_det.txt', lambda text: text.replace('zebra', 'unicorn'), 'Without a line: zebra; .* unicorn'),
        ('devkit/data/map_det.txt', lambda text: text[:500], 'is not the map of the 200 classes'),
        ('ImageSets/DET/train_7.txt', None, r'cannot read the list .*train_7\.txt'),
        ('ImageSets/DET/train_7.txt', lambda text: text.replace(' 1', ' 0'), r'train_7\.txt lists no positive picture'),
        ('ImageSets/DET/train_7.txt', lambda text: '', r'train_7\.txt is empty'),
        ('ImageSets/DET/val.txt', None, r'cannot read the list .*val\.txt'),
        ('ImageSets/DET/val1.txt', lambda text: text + 'ILSVRC2012_val_00000002', 'share 1 pictures'),
        (
            'ImageSets/DET/val1.txt',
            lambda text: text + 'other',
            r'val1\.txt names 1 pictures that val\.txt does not, other',
        ),
    ],
)
def test_broken_lists_are_named(root, path, change, message):
    file = root / path
    file.unlink() if change is None else file.write_text(change(file.read_text()))
    with pytest.raises(DistillationError, match=message):
        convert_ilsvrc_det(root)

"""The same few pictures in each layout that people have: one truth comes out, and it trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import tiny_student_cfg
from helpers.tiny import REPO, call_tool
from mmengine.config import Config
from PIL import Image
from test_datasets.layouts import DATA_KEYS, HEIGHT, WIDTH, draw_picture, judge_the_truth, write_xml
from test_datasets.own_layouts import (
    CLASSES,
    LAYOUTS,
    NAMES,
    TRAIN,
    TRUTH,
    VAL,
    coco,
    coco_content,
    draw,
    labelimg,
    one_coco_file,
    rewritten,
    roboflow,
    truth_of,
    voc,
    voc_without_lists,
    yolo,
)

from mmdet_kd.datasets.own import convert_own
from mmdet_kd.errors import DistillationError

by_layout = pytest.mark.parametrize('draw_layout', LAYOUTS, ids=lambda draw: draw.__name__)


@by_layout
def test_one_truth_comes_out_of_each_layout(tmp_path, draw_layout):
    draw_layout(tmp_path)
    own = convert_own(tmp_path)
    assert own.classes == CLASSES
    found = truth_of(tmp_path, own.files, ('train', 'val'))
    assert found.keys() == TRUTH.keys()
    for name, objects in TRUTH.items():
        assert [kind for kind, _ in found[name]] == [kind for kind, _ in objects]
        for (_, box), (_, corners) in zip(found[name], objects, strict=True):
            assert box == pytest.approx(corners, abs=1e-3)  # YOLO's files have six digits
    drawn = 'there was no split' in own.said
    assert drawn == (draw_layout in (voc_without_lists, labelimg, one_coco_file))
    names = [image['file_name'] for image in json.loads(own.files['val'].read_text())['images']]
    assert len(names) == 2 if drawn else sorted(Path(name).stem for name in names) == VAL
    assert '8 pictures, 200x100 to 200x100, 3 without a box' in own.said
    assert 'boxes by class: 5 cat, 2 dog' in own.said
    assert "'animals' groups the others" in own.said or draw_layout is not roboflow


def test_boxes_without_width_or_height_are_left_out_and_counted(tmp_path):
    voc(tmp_path)
    write_xml(tmp_path / 'Annotations' / 'p0.xml', [('cat', (10, 10, 10, 30))])
    own = convert_own(tmp_path)
    assert '1 boxes without width or height were left out' in own.said
    assert truth_of(tmp_path, own.files, ('train',))['p0'] == []


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('0 0.5 0.5', 'line 1: .* are 5 numbers, a class and a polygon 7, 9 or more, not 3'),
        ('7 0.5 0.5 0.1 0.1', 'line 1: its class is 7; there are 2, counted from 0'),
        ('0 100 50 20 10', 'line 1: its numbers are no shares of a picture'),
        ('cat 0.5 0.5 0.1 0.1', "line 1: 'cat' is no number"),
        ('0 0.9 0.5 0.5 0.1', 'reaches out of the picture'),
        ('0 nan 0.5 0.5 0.1', "line 1: 'nan' is no number"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_written(tmp_path, line, said):
    yolo(tmp_path)
    label = tmp_path / 'labels' / 'train' / 'p1.txt'
    label.write_text(line + '\n')
    with pytest.raises(DistillationError, match=said):
        convert_own(tmp_path)
    assert not (tmp_path / 'coco').exists()
    own = convert_own(tmp_path, leave_out_broken=True)
    assert '1 left out' in own.said
    assert 'p1' not in truth_of(tmp_path, own.files, ('train', 'val'))


def test_a_set_whose_every_line_is_wrong_says_so_and_not_that_it_has_no_box(tmp_path):
    yolo(tmp_path)
    for label in tmp_path.glob('labels/*/*.txt'):
        label.write_text('0 100 50 20 10\n')
    with pytest.raises(DistillationError, match='its numbers are no shares of a picture'):
        convert_own(tmp_path)
    with pytest.raises(DistillationError, match='has a box, so nothing can be trained'):
        convert_own(tmp_path, leave_out_broken=True)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda root: (root / 'data.yaml').unlink(), 'the names of the classes are not in .*: write them into classes'),
        (lambda root: (root / 'data.yaml').write_text('names: {1: cat}'), 'the numbers of its names are not 0 to 0'),
        (lambda root: (root / 'data.yaml').write_text('names: {0: cat, one: dog}'), 'its names are not 0 to 1'),
        (lambda root: (root / 'data.yaml').write_text('names: [cat, cat]'), 'it names cat twice'),
        (lambda root: (root / 'data.yaml').write_text("names: [cat, '']"), 'its names are no list, or one is empty'),
        (lambda root: (root / 'data.yaml').write_text('names: [cat, dog]\nnc: 3'), 'nc is 3, and it names 2 classes'),
        (
            lambda root: (root / 'Annotations').mkdir(),
            'has the layouts voc, yolo. Convert it first: .* --layout voc',
        ),
    ],
    ids=['no names', 'other numbers', 'no numbers', 'twice', 'empty', 'other count', 'two layouts'],
)
def test_what_is_not_clear_is_asked(tmp_path, change, said):
    yolo(tmp_path)
    change(tmp_path)
    with pytest.raises(DistillationError, match=said):
        convert_own(tmp_path)


def test_a_folder_of_none_of_the_layouts_is_refused(tmp_path):
    draw(tmp_path, NAMES)
    with pytest.raises(DistillationError, match='has none of the layouts voc, coco, yolo, labelimg'):
        convert_own(tmp_path)


def moved(root: Path, pattern: str, folder: str) -> None:
    (root / folder).mkdir(exist_ok=True)
    for path in list(root.glob(pattern)):
        path.rename(root / folder / path.name)


def alone_in_their_folders(root: Path) -> None:
    for path in root.glob('*/_annotations.coco.json'):
        path.rename(path.with_name('annotations.json'))


@pytest.mark.parametrize(
    ('draw_layout', 'change', 'said'),
    [
        (yolo, lambda root: moved(root, 'labels/*/*.txt', 'images/train'), r'p1\.txt is one of YOLO.s: .* labels'),
        (voc, lambda root: (root / 'Annotations').rename(root / 'xml'), r'p0\.xml is one of VOC.s: .* Annotations'),
        (roboflow, alone_in_their_folders, 'Of it, train, valid are sets of their own: put them together as one'),
        (voc, lambda root: moved(root, '[AJ]*', 'inner'), r'The folder inner in it has the layout voc: name that'),
    ],
    ids=['labels beside pictures', 'another folder of XML files', 'a folder deeper', 'a file of its own a split'],
)
def test_a_layout_that_is_nearly_known_has_its_cure(tmp_path, draw_layout, change, said):
    draw_layout(tmp_path)
    change(tmp_path)
    shutil.rmtree(tmp_path / 'labels', ignore_errors=True)
    with pytest.raises(DistillationError, match=f'has none of the layouts .*{said}'):
        convert_own(tmp_path)


def test_pictures_that_are_elsewhere_are_one_error(tmp_path):
    one_coco_file(tmp_path)
    (tmp_path / 'images').rename(tmp_path / 'hidden')
    with pytest.raises(DistillationError, match=r'p0\.jpg, is in none of .*: put the pictures there') as error:
        convert_own(tmp_path)
    assert len(error.value.problems) == 1


def test_boxes_that_are_marked_ignore_are_ignored_regions(tmp_path):
    coco(tmp_path)
    path = tmp_path / 'annotations' / 'instances_val2017.json'
    rewritten(path, lambda content: content['annotations'][0].update(ignore=1))
    own = convert_own(tmp_path)
    assert [each['iscrowd'] for each in json.loads(own.files['val'].read_text())['annotations']] == [1, 0, 0]


def test_coco_beside_its_captions_and_a_class_that_is_its_own_supercategory(tmp_path):
    coco(tmp_path)
    (tmp_path / 'annotations' / 'captions_val2017.json').write_text('{"images": [], "annotations": []}')
    for split in ('train', 'val'):
        person = dict(id=1, name='person', supercategory='person')  # as COCO's own, and no box has it
        rewritten(
            tmp_path / 'annotations' / f'instances_{split}2017.json',
            lambda content, person=person: content['categories'].insert(0, person),
        )
    assert convert_own(tmp_path).classes == ['person', *CLASSES]


def test_names_of_pictures_may_be_whole_paths(tmp_path, monkeypatch):
    one_coco_file(tmp_path)
    rewritten(
        tmp_path / 'labels.json',
        lambda content: [
            image.update(file_name=f'{tmp_path}/images/{image["file_name"]}') for image in content['images']
        ],
    )
    monkeypatch.chdir(tmp_path.parent)
    own = convert_own(tmp_path.name)
    assert truth_of(tmp_path, own.files, ('train', 'val')).keys() == TRUTH.keys()


@by_layout
def test_files_that_are_not_the_users_are_passed_over(tmp_path, draw_layout):
    draw_layout(tmp_path / 'clean')
    draw_layout(tmp_path / 'dirty')
    for path in [*(tmp_path / 'dirty').rglob('*.*')]:
        path.with_name(f'._{path.name}').write_bytes(b'of macOS')
        (path.parent / '.ipynb_checkpoints').mkdir(exist_ok=True)
        shutil.copy(path, path.parent / '.ipynb_checkpoints')
    shutil.copytree(tmp_path / 'clean', tmp_path / 'dirty' / '__MACOSX' / 'set')
    clean, own = (convert_own(tmp_path / name) for name in ('clean', 'dirty'))
    assert own.said.replace('/dirty/', '/clean/') == clean.said


def test_annotations_in_upper_case_are_not_taken_for_none(tmp_path):
    for draw_layout, suffix in ((yolo, 'txt'), (voc_without_lists, 'xml'), (labelimg, 'xml')):
        root = tmp_path / draw_layout.__name__
        draw_layout(root)
        first = next(path for path in sorted(root.rglob(f'*.{suffix}')) if path.stem in NAMES)
        first.rename(first.with_suffix(f'.{suffix.upper()}'))
        with pytest.raises(DistillationError, match=rf'{first.stem}\.{suffix.upper()}, and 0 more, end in upper case'):
            convert_own(root)


def test_exchanged_corners_are_no_flat_boxes(tmp_path):
    one_coco_file(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: content['annotations'][0].update(bbox=[60, 20, -30, 20]))
    with pytest.raises(DistillationError, match='has its second corner before the first: correct its annotation'):
        convert_own(tmp_path)


@pytest.mark.parametrize('other', ['annotations/val.json', 'val.json'])
def test_a_file_of_cocos_that_would_not_be_read_is_named(tmp_path, other):
    coco(tmp_path)
    (tmp_path / 'annotations' / 'captions_train2017.json').write_text('{}')  # COCO's own
    (tmp_path / 'annotations' / 'instances_val2017.json').rename(tmp_path / other)
    with pytest.raises(
        DistillationError, match=rf'instances_train2017\.json would be read and .*{other} not: name them'
    ):
        convert_own(tmp_path)


def test_classes_of_other_numbers_in_other_files_are_said_once(tmp_path):
    coco(tmp_path)

    def renumber(content):
        for each in content['categories']:
            each['id'] += 100
        for each in content['annotations']:
            each['category_id'] += 100

    rewritten(tmp_path / 'annotations' / 'instances_val2017.json', renumber)
    assert convert_own(tmp_path).classes == CLASSES
    yolo(tmp_path / 'yolo')
    (tmp_path / 'yolo' / 'data.yaml').write_text('names: [cat, cat]\n')
    with pytest.raises(DistillationError, match='it names cat twice: give each class a name of its own'):
        convert_own(tmp_path / 'yolo')


def test_notes_beside_yolos_files_are_no_annotations(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'notes.json').write_text('{"categories": [], "info": {}}')  # of Label Studio
    assert convert_own(tmp_path).layout == 'yolo'


def test_two_lists_of_classes_are_not_chosen_from(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'a.yaml').write_text('names: [dog, cat]\n')
    assert convert_own(tmp_path).classes == CLASSES  # data.yaml is YOLO's own name
    (tmp_path / 'data.yaml').rename(tmp_path / 'b.yaml')
    with pytest.raises(DistillationError, match=r'a\.yaml and b\.yaml in .* name other classes: keep one of them'):
        convert_own(tmp_path)


def test_what_was_read_is_not_written_over(tmp_path):
    (tmp_path / 'annotations').mkdir()
    for split, names in (('train', TRAIN), ('val', VAL)):
        draw(tmp_path / split, names)
        content = coco_content(names, dict(cat=1, dog=2))
        (tmp_path / 'annotations' / f'{split}.json').write_text(json.dumps(content))
    before = (tmp_path / 'annotations' / 'train.json').read_text()
    with pytest.raises(DistillationError, match=r'annotations has train\.json, from which the set is read: write to'):
        convert_own(tmp_path, tmp_path / 'annotations')
    assert (tmp_path / 'annotations' / 'train.json').read_text() == before


def test_the_boxes_of_poses_are_read_without_their_keypoints(tmp_path):
    yolo(tmp_path)
    description = tmp_path / 'data.yaml'
    description.write_text(description.read_text() + 'kpt_shape: [2, 2]\n')
    (tmp_path / 'labels' / 'train' / 'p1.txt').write_text('0 0.5 0.5 0.2 0.4 0.1 0.1 0.9 0.9\n')
    (tmp_path / 'labels' / 'train' / 'p2.txt').write_text('0 0.5 0.5 0.2 0.4 0.1 0.1 0.9 0.9\n')
    for name in NAMES:  # the others are polygons
        if name not in ('p1', 'p2'):
            next(tmp_path.rglob(f'{name}.jpg')).unlink()
            for label in tmp_path.rglob(f'{name}.txt'):
                label.unlink()
    own = convert_own(tmp_path)
    found = truth_of(tmp_path, own.files, ('train', 'val'))
    assert found['p1'] == [('cat', pytest.approx((0.4 * WIDTH, 0.3 * HEIGHT, 0.6 * WIDTH, 0.7 * HEIGHT)))]


@pytest.mark.parametrize('draw_layout', [labelimg, yolo], ids=lambda draw: draw.__name__)
def test_an_annotation_without_a_picture_is_a_fault(tmp_path, draw_layout):
    draw_layout(tmp_path)
    picture = next(tmp_path.rglob('p1.jpg'))
    picture.rename(picture.with_suffix('.heic'))
    (tmp_path / 'other.xml').write_text('<notes/>')
    with pytest.raises(DistillationError, match=r'there is no picture .*p1\.jpg: put it there') as error:
        convert_own(tmp_path)
    assert len(error.value.problems) == 1


def test_folders_that_are_links_are_entered_once(tmp_path):
    yolo(tmp_path / 'disk')
    (tmp_path / 'set' / 'images').mkdir(parents=True)
    for folder in ('images/val', 'labels', 'data.yaml'):
        (tmp_path / 'set' / folder).symlink_to(tmp_path / 'disk' / folder)
    shutil.copytree(tmp_path / 'disk' / 'images' / 'train', tmp_path / 'set' / 'images' / 'train')
    (tmp_path / 'set' / 'images' / 'train' / 'again').symlink_to(tmp_path / 'set' / 'images')  # a circle
    own = convert_own(tmp_path / 'set')
    assert truth_of(tmp_path / 'set', own.files, ('train', 'val')).keys() == {*NAMES}


@pytest.mark.parametrize(
    ('draw_layout', 'written'),
    [(labelimg, 'p0.txt'), (yolo, 'images/train/p0.txt'), (yolo, 'images/train/p0.xml'), (yolo, 'labels/train/p0.xml')],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_annotation_of_another_kind_is_not_passed_over(tmp_path, draw_layout, written):
    draw_layout(tmp_path)  # p0 has no object, and no annotation
    (tmp_path / written).write_text('0 0.5 0.5 0.1 0.1')
    with pytest.raises(
        DistillationError, match=r'1 pictures have no annotation of this layout, but one of another, .*p0'
    ):
        convert_own(tmp_path, layout=draw_layout.__name__)


@pytest.mark.parametrize('draw_layout', [labelimg, yolo], ids=lambda draw: draw.__name__)
def test_an_annotation_whose_name_is_in_another_case_is_not_left_out(tmp_path, draw_layout):
    draw_layout(tmp_path)
    (picture,) = tmp_path.rglob('p1.jpg')
    picture.rename(picture.with_name('P1.jpg'))
    with pytest.raises(DistillationError, match=r'an annotation is of p1, and the picture is .*P1\.jpg: give both one'):
        convert_own(tmp_path, leave_out_broken=True)


@pytest.mark.parametrize('mark', [dict(iscrowd='0'), dict(ignore='false'), dict(iscrowd=2)], ids=str)
def test_marks_that_are_neither_0_nor_1_are_refused(tmp_path, mark):
    one_coco_file(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: content['annotations'][0].update(mark))
    with pytest.raises(DistillationError, match=r'" of annotation 0 is .*: write 0 or 1'):
        convert_own(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: content['annotations'][0].update(dict.fromkeys(mark)))
    convert_own(tmp_path)  # null is no mark


def test_boxes_below_a_pixel_are_shares_if_most_are_and_counted_otherwise(tmp_path):
    def shrink(content, count):
        for annotation in content['annotations'][:count]:
            annotation['bbox'] = [0.1, 0.1, 0.4, 0.3]

    one_coco_file(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: shrink(content, 1))
    assert 'mmdet does not count 1 boxes of ' in convert_own(tmp_path).said
    rewritten(tmp_path / 'labels.json', lambda content: shrink(content, None))
    with pytest.raises(DistillationError, match='7 of 7 boxes are smaller than a pixel, as shares of a picture are'):
        convert_own(tmp_path)


@pytest.mark.parametrize('layout', ['coco', 'labelimg'])
def test_a_layout_that_is_named_and_not_there_is_refused(tmp_path, layout):
    yolo(tmp_path)
    for picture in tmp_path.rglob('*.jpg'):
        picture.unlink()
    with pytest.raises(DistillationError, match=f'has no picture in the layout {layout}'):
        convert_own(tmp_path, layout=layout)


def test_the_command_that_leaves_out_broken_pictures_is_the_same_set_read_the_same_way(tmp_path):
    yolo(tmp_path / 'set')
    (tmp_path / 'set' / 'Annotations').mkdir()
    (tmp_path / 'set' / 'images' / 'train' / 'p0.jpg').write_bytes(b'')
    with pytest.raises(DistillationError) as error:
        convert_own(tmp_path / 'set', tmp_path / 'out', layout='yolo', seed=3)
    command = f'own.py {tmp_path}/set --out {tmp_path}/out --layout yolo --seed 3 --leave-out-broken'
    assert error.value.problems[0].endswith(f'Or leave such pictures out: python tools/dataset_converters/{command}')


@pytest.mark.parametrize('draw_layout', [voc, labelimg, yolo], ids=lambda draw: draw.__name__)
def test_two_pictures_do_not_share_an_annotation(tmp_path, draw_layout):
    draw_layout(tmp_path)
    picture = next(tmp_path.rglob('p1.jpg'))
    shutil.copy(picture, picture.with_suffix('.png'))
    with pytest.raises(DistillationError, match=r'p1\.jpg and p1\.png would share one annotation: give each'):
        convert_own(tmp_path)


def test_lists_of_voc_may_name_files_and_suffixes_may_be_in_any_case(tmp_path):
    voc(tmp_path)
    for path in (tmp_path / 'ImageSets' / 'Main').glob('[tv]*.txt'):
        path.write_text('\n'.join(f'{name}.jpg' for name in path.read_text().split()))
    picture = tmp_path / 'JPEGImages' / 'p1.jpg'
    picture.rename(picture.with_suffix('.Jpg'))
    own = convert_own(tmp_path)
    assert truth_of(tmp_path, own.files, ('train', 'val')).keys() == {*NAMES}


def test_names_that_end_in_1_are_no_marks_of_a_class(tmp_path):
    draw_picture(tmp_path / 'JPEGImages' / 'a 1.jpg', [(10, 10, 40, 30)])
    draw_picture(tmp_path / 'JPEGImages' / 'b 1.jpg', [(10, 10, 40, 30)])
    write_xml(tmp_path / 'Annotations' / 'a 1.xml', [('cat', (10, 10, 40, 30))])
    write_xml(tmp_path / 'Annotations' / 'b 1.xml', [('cat', (10, 10, 40, 30))])
    lists = tmp_path / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('a 1\n')
    (lists / 'val.txt').write_text('b 1\n')
    own = convert_own(tmp_path)
    assert [truth_of(tmp_path, own.files, (split,)).keys() for split in ('train', 'val')] == [{'a 1'}, {'b 1'}]


def test_classes_that_labelimg_left_beside_the_labels_are_those_of_the_set(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'labels' / 'train' / 'classes.txt').write_text('dog\ncat\n')
    with pytest.raises(DistillationError, match=r'data\.yaml and .*classes\.txt name other classes, or in'):
        convert_own(tmp_path)
    (tmp_path / 'data.yaml').unlink()
    assert convert_own(tmp_path).classes == ['dog', 'cat']


def test_sizes_and_areas_that_a_file_of_cocos_has_not_are_those_of_picture_and_box(tmp_path):
    def leave_out(content):
        for image in content['images']:
            del image['width'], image['height']
        for annotation in content['annotations']:
            del annotation['area']

    one_coco_file(tmp_path)
    whole = convert_own(tmp_path, tmp_path / 'whole')
    rewritten(tmp_path / 'labels.json', leave_out)
    bare = convert_own(tmp_path, tmp_path / 'bare')
    for split, path in whole.files.items():
        assert json.loads(bare.files[split].read_text()) == json.loads(path.read_text())
    rewritten(tmp_path / 'labels.json', lambda content: content['images'][0].update(width='200'))
    with pytest.raises(DistillationError, match='entry 0 of "images" has no width, or of a wrong kind'):
        convert_own(tmp_path)


def test_an_area_below_0_is_refused(tmp_path):
    """mmdet drops such an object without a word."""
    one_coco_file(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: content['annotations'][0].update(area=-5))
    with pytest.raises(DistillationError, match='the area of annotation 0 cannot be -5: correct it'):
        convert_own(tmp_path)


def test_names_of_windows_have_their_cure(tmp_path):
    one_coco_file(tmp_path)
    rewritten(
        tmp_path / 'labels.json',
        lambda content: [image.update(file_name=f'images\\{image["file_name"]}') for image in content['images']],
    )
    with pytest.raises(DistillationError, match=r'is in none of .*: write / for the \\ in its file names'):
        convert_own(tmp_path)


def test_pictures_that_are_turned_are_counted(tmp_path):
    labelimg(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(tmp_path / 'p0.jpg') as picture:
        picture.save(tmp_path / 'p0.jpg', exif=exif)
    said = convert_own(tmp_path).said
    assert '1 pictures are turned by an EXIF orientation, which mmdet obeys, such as p0.jpg: see that their' in said


def test_pictures_of_voc_without_an_annotation_are_counted(tmp_path):
    voc_without_lists(tmp_path)
    (tmp_path / 'Annotations' / 'p1.xml').unlink()
    assert '1 pictures of JPEGImages without an annotation were left out' in convert_own(tmp_path).said


def test_vocs_files_in_folders_of_splits_are_named(tmp_path):
    voc_without_lists(tmp_path)
    (tmp_path / 'Annotations' / 'train').mkdir()
    (tmp_path / 'Annotations' / 'p1.xml').rename(tmp_path / 'Annotations' / 'train' / 'p1.xml')
    with pytest.raises(DistillationError, match=r'train/p1\.xml lies in a folder below Annotations: put all XML'):
        convert_own(tmp_path)


def test_pictures_in_another_folder_than_vocs_are_one_error(tmp_path):
    voc(tmp_path)
    (tmp_path / 'JPEGImages').rename(tmp_path / 'Images')
    with pytest.raises(DistillationError, match='has no folder JPEGImages: put the pictures there') as caught:
        convert_own(tmp_path)
    assert len(caught.value.problems) == 1


def test_corners_in_a_file_of_cocos_are_one_error(tmp_path):
    def flat(content):
        return dict(content['annotations'][0], id=99, bbox=[20, 20, 20, 40])

    def to_corners(content, count):
        for each in content['annotations'][:count]:
            x, y, w, h = each['bbox']
            each['bbox'] = [x, y, x + w, y + h]

    one_coco_file(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: to_corners(content, None))
    with pytest.raises(
        DistillationError, match=r'labels\.json: each bbox is two corners, .*: write the widths and hei'
    ) as caught:
        convert_own(tmp_path)
    assert len(caught.value.problems) == 1

    rewritten(tmp_path / 'labels.json', lambda content: content['annotations'].append(flat(content)))
    with pytest.raises(DistillationError, match='each bbox is two corners'):
        convert_own(tmp_path)

    one_coco_file(tmp_path)
    rewritten(tmp_path / 'labels.json', lambda content: to_corners(content, 4))  # so they are not of all boxes
    with pytest.raises(DistillationError, match='reaches out of the picture'):
        convert_own(tmp_path)


def test_labelmes_files_are_named_as_such(tmp_path):
    draw(tmp_path, NAMES)
    for name in NAMES:
        (tmp_path / f'{name}.json').write_text('{"version": "5.0", "shapes": [], "imagePath": "a.jpg"}')
    with pytest.raises(DistillationError, match="labelme's: export the set in COCO's format") as error:
        convert_own(tmp_path)
    assert len(error.value.problems) == 1


def config_above(fragment: str, root: Path, train: str, val: str) -> str:
    """The lines that the fragment's first comment asks for."""
    return (
        f"_base_ = '{REPO}/configs/_base_/datasets/{fragment}.py'\n"
        f"own = dict(data_root='{root}/', metainfo=dict(classes=('cat', 'dog')))\n"
        "num_classes = len(own['metainfo']['classes'])\n"
        f"train_dataloader = dict(dataset=dict(**own, ann_file='{train}'))\n"
        f"val_dataloader = dict(dataset=dict(**own, ann_file='{val}'))\n"
        'test_dataloader = val_dataloader\n'
    )


def trained_on(folder: Path, tiny_set: Path, lines: str) -> dict:
    """Full marks for the truth by the fragment's metric; then an epoch and its validation, as a user runs them."""
    (folder / 'data.py').write_text(lines)
    data = Config.fromfile(folder / 'data.py')
    cfg = tiny_student_cfg(tiny_set, folder / 'run', **{'train_cfg.max_epochs': 1})
    for key in DATA_KEYS:
        cfg[key] = data[key]
    cfg.model.roi_head.bbox_head.num_classes = data.num_classes
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].update(num_workers=0, persistent_workers=False)
        next(step for step in cfg[key].dataset.pipeline if step.type == 'Resize').scale = (WIDTH, HEIGHT)
    assert judge_the_truth(cfg)['coco/bbox_mAP'] == pytest.approx(1)
    cfg.dump(folder / 'tiny.py')
    call_tool('tools/train.py', folder / 'tiny.py', '--work-dir', folder / 'run')
    (log,) = (folder / 'run').rglob('scalars.json')
    return json.loads(log.read_text().splitlines()[-1])


@pytest.mark.parametrize(
    'draw_layout',
    [coco, *(pytest.param(each, marks=pytest.mark.slow) for each in LAYOUTS if each is not coco)],
    ids=lambda draw: draw.__name__,
)
def test_each_layout_trains_and_is_judged(tmp_path, tiny_set, draw_layout):
    root = tmp_path / 'set'
    draw_layout(root)
    call_tool('tools/dataset_converters/own.py', root)
    lines = config_above('own_coco', root, 'coco/train.json', 'coco/val.json')
    assert 'coco/bbox_mAP' in trained_on(tmp_path, tiny_set, lines)


@pytest.mark.slow
def test_vocs_layout_trains_as_it_is(tmp_path, tiny_set):
    root = tmp_path / 'set'
    voc(root)
    lines = config_above('own_voc', root, 'ImageSets/Main/train.txt', 'ImageSets/Main/val.txt')
    assert 'coco/bbox_mAP' in trained_on(tmp_path, tiny_set, lines)

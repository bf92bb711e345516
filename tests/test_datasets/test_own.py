"""The same few pictures in each layout that people have: one truth comes out, and it trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import tiny_student_cfg
from helpers.tiny import REPO, call_tool
from mmengine.config import Config
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
    roboflow,
    voc,
    voc_without_lists,
    yolo,
)

from mmdet_kd.datasets.own import convert_own
from mmdet_kd.errors import DistillationError

by_layout = pytest.mark.parametrize('draw_layout', LAYOUTS, ids=lambda draw: draw.__name__)


def truth_of(root: Path, files: dict[str, Path], splits: tuple[str, ...]) -> dict[str, list]:
    found = {}
    for split in splits:
        content = json.loads(files[split].read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        for image in content['images']:
            assert (root / image['file_name']).is_file()
            boxes = [a for a in content['annotations'] if a['image_id'] == image['id']]
            found[Path(image['file_name']).stem] = [
                (names[a['category_id']], (x, y, x + w, y + h)) for a in boxes for x, y, w, h in [a['bbox']]
            ]
    return found


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


def test_a_drawn_split_depends_on_the_seed_alone(tmp_path):
    labelimg(tmp_path)
    draws = [convert_own(tmp_path, tmp_path / str(i), seed=seed).files for i, seed in enumerate((0, 0, 1))]
    texts = [files['val'].read_text() for files in draws]
    assert texts[0] == texts[1] != texts[2]


def test_boxes_without_width_or_height_are_left_out_and_counted(tmp_path):
    voc(tmp_path)
    write_xml(tmp_path / 'Annotations' / 'p0.xml', [('cat', (10, 10, 10, 30))])
    own = convert_own(tmp_path)
    assert '1 boxes without width or height were left out' in own.said
    assert truth_of(tmp_path, own.files, ('train',))['p0'] == []


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('0 0.5 0.5', 'line 1: 3 numbers are neither'),
        ('7 0.5 0.5 0.1 0.1', 'line 1: its class is 7; there are 2, counted from 0'),
        ('0 100 50 20 10', 'line 1: its numbers are no shares of a picture'),
        ('cat 0.5 0.5 0.1 0.1', 'line 1: could not convert'),
        ('0 0.9 0.5 0.5 0.1', 'reaches out of the picture'),
        ('0 nan 0.5 0.5 0.1', 'line 1: its numbers are no shares of a picture'),
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
        (lambda root: (root / 'data.yaml').write_text('names: [yes, no]'), 'True of its names is no text: quote it'),
        (
            lambda root: (root / 'Annotations').mkdir(),
            'has the layouts voc, yolo. Convert it first: .* --layout voc',
        ),
    ],
    ids=['no names', 'other numbers', 'no text', 'two layouts'],
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


def test_pictures_that_are_elsewhere_are_one_error(tmp_path):
    one_coco_file(tmp_path)
    (tmp_path / 'images').rename(tmp_path / 'hidden')
    with pytest.raises(DistillationError, match=r'p0\.jpg, is in none of .*: put the pictures there') as error:
        convert_own(tmp_path)
    assert len(error.value.problems) == 1


def rewritten(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def names_of(own, split: str) -> list[str]:
    return sorted(Path(image['file_name']).stem for image in json.loads(own.files[split].read_text())['images'])


def test_files_of_one_split_are_read_together(tmp_path):
    for number, names in enumerate((NAMES[:3], NAMES[3:])):
        draw(tmp_path / 'images', names)
        (tmp_path / f'task_{number}.json').write_text(json.dumps(coco_content(names, dict(cat=1, dog=2))))
    own = convert_own(tmp_path)
    assert sorted(names_of(own, 'train') + names_of(own, 'val')) == NAMES


def test_lists_of_one_split_are_read_together_and_names_may_have_spaces(tmp_path):
    voc(tmp_path)
    for name, new in (('p5', 'p 5'), ('p6', 'p 6')):
        (tmp_path / 'Annotations' / f'{name}.xml').rename(tmp_path / 'Annotations' / f'{new}.xml')
        (tmp_path / 'JPEGImages' / f'{name}.jpg').rename(tmp_path / 'JPEGImages' / f'{new}.jpg')
    lists = tmp_path / 'ImageSets' / 'Main'
    (lists / 'val.txt').unlink()
    (lists / 'val1.txt').write_text('p 5\np7\n')
    (lists / 'val2.txt').write_text('p 6\np7\n')
    own = convert_own(tmp_path)
    assert names_of(own, 'val') == ['p 5', 'p 6', 'p7']


def test_roboflows_copies_of_a_picture_are_drawn_together(tmp_path):
    names = [f'{name}_jpg.rf.{copy}' for name in NAMES for copy in 'abc']
    for name in names:
        draw_picture(tmp_path / 'train' / f'{name}.jpg', [])
    images = [dict(id=i, file_name=f'{name}.jpg', width=WIDTH, height=HEIGHT) for i, name in enumerate(names)]
    content = dict(coco_content(NAMES, dict(cat=1, dog=2)), images=images)
    (tmp_path / 'train' / '_annotations.coco.json').write_text(json.dumps(content))
    own = convert_own(tmp_path)
    sources = [{name.partition('_')[0] for name in names_of(own, split)} for split in ('train', 'val')]
    assert sources[0] | sources[1] == {*NAMES}
    assert not sources[0] & sources[1]
    assert 'the copies that Roboflow made of each of 8 together' in own.said


def test_a_picture_in_train_and_in_val_is_refused(tmp_path):
    coco(tmp_path)
    files = {split: tmp_path / 'annotations' / f'instances_{split}2017.json' for split in ('train', 'val')}
    shared = coco_content(VAL, dict(cat=17, dog=18))
    (tmp_path / 'val2017').rename(tmp_path / 'images')
    draw(tmp_path / 'images', TRAIN)
    files['train'].write_text(json.dumps(shared))
    with pytest.raises(DistillationError, match=r'3 pictures are in train and in val, such as images/p5\.jpg'):
        convert_own(tmp_path)
    files['train'].rename(tmp_path / 'annotations' / 'instances_trainval2017.json')  # of which val may be a part
    assert convert_own(tmp_path).files.keys() == {'trainval', 'val'}


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


def test_data_yaml_says_what_a_picture_is_for(tmp_path):
    yolo(tmp_path, 'here/{kind}/site_{split}')
    description = tmp_path / 'data.yaml'
    (tmp_path / 'held_out.txt').write_text(''.join(f'./here/images/site_val/{name}.jpg\n' for name in VAL))
    for val in ('here/images/site_val', '../here/images/site_val', '[here/images/site_val]', 'held_out.txt'):
        description.write_text(f'train: here/images/site_train\nval: {val}\nnames: [cat, dog]\n')
        own = convert_own(tmp_path)
        assert (names_of(own, 'train'), names_of(own, 'val')) == (TRAIN, VAL)
    description.write_text('train: here/images/site_train\nval: /elsewhere/site_val\nnames: [cat, dog]\n')
    with pytest.raises(DistillationError, match=r'data\.yaml: .* 3 are in no split, such as .*site_val/p5'):
        convert_own(tmp_path)


@pytest.mark.parametrize('folders', ['images/{split}', 'helmets/{split}'])
def test_labelimgs_splits_are_found_below_other_folders(tmp_path, folders):
    for split, names in (('train', TRAIN), ('val', VAL)):
        draw(tmp_path / folders.format(split=split), names)
        for name in names:
            write_xml(tmp_path / folders.format(split=split) / f'{name}.xml', TRUTH[name])
    own = convert_own(tmp_path)
    assert (names_of(own, 'train'), names_of(own, 'val')) == (TRAIN, VAL)


def labelimg_in(root, *folders):
    for folder, names in zip(folders, (TRAIN, VAL), strict=True):
        draw(root / folder, names)
        for name in names:
            write_xml(root / folder / f'{name}.xml', TRUTH[name])


def yolo_in(root, *folders):
    yolo(root)
    for split, folder in (('val', folders[1]), ('train', folders[0])):
        for kind in ('images', 'labels'):
            (root / kind / split).rename(root / kind / folder)
    (root / 'data.yaml').write_text('names: [cat, dog]\n')


def voc_of(root, *lists):
    voc(root)
    for split, name in zip(('train', 'val'), lists, strict=True):
        path = root / 'ImageSets' / 'Main' / f'{split}.txt'
        path.rename(path.with_name(f'{name}.txt'))


def coco_of(root, *names):
    coco(root)
    for split, name in zip(('train', 'val'), names, strict=True):
        path = root / 'annotations' / f'instances_{split}2017.json'
        path.rename(path.with_name(f'instances_{name}.json'))
        (root / f'{split}2017').rename(root / name)


@pytest.mark.parametrize('write', [labelimg_in, yolo_in])
def test_folders_of_no_splits_name_are_drawn_from_together_only_if_asked(tmp_path, write):
    write(tmp_path, 'fit', 'eval')
    said = (
        r'its pictures lie in .*eval, .*fit, which leaves open what is for what\. Rename .*, or draw from all of them: '
    )
    with pytest.raises(DistillationError, match=said):
        convert_own(tmp_path)
    assert not (tmp_path / 'coco').exists()
    call_tool('tools/dataset_converters/own.py', tmp_path, '--val-share', '0.2')  # as the message says
    files = {split: tmp_path / 'coco' / f'{split}.json' for split in ('train', 'val')}
    assert truth_of(tmp_path, files, files).keys() == TRUTH.keys()


@pytest.mark.parametrize('write', [labelimg_in, yolo_in])
@pytest.mark.parametrize('named', ['train', 'val'])
def test_a_folder_of_no_splits_name_beside_one_of_a_splits_is_refused(tmp_path, write, named):
    write(tmp_path, named, 'holdout')
    for share in (None, 0.2):
        with pytest.raises(DistillationError, match=rf'3 lie in .*holdout, beside {named}, .* what is no data$'):
            convert_own(tmp_path, val_share=share)


@pytest.mark.parametrize('write', [voc_of, coco_of])
def test_a_list_of_no_splits_name_beside_train_is_not_passed_over(tmp_path, write):
    write(tmp_path, 'train', 'holdout')
    with pytest.raises(DistillationError, match=r'its splits are holdout, train, .* or draw from train: python tools/'):
        convert_own(tmp_path)
    own = convert_own(tmp_path, val_share=0.2)
    assert (len(names_of(own, 'train')), len(names_of(own, 'val'))) == (4, 1)
    assert names_of(own, 'holdout') == VAL


@pytest.mark.parametrize('write', [voc_of, coco_of])
@pytest.mark.parametrize('names', [('fit', 'eval'), ('trainval', 'holdout'), ('fit', 'val')])
def test_lists_that_are_not_to_train_on_and_to_judge_on_are_refused(tmp_path, write, names):
    write(tmp_path, *names)
    for share in (None, 0.2):
        with pytest.raises(DistillationError, match=r'its splits are .*, which leaves open .* what is no data$'):
            convert_own(tmp_path, val_share=share)
    assert not (tmp_path / 'coco').exists()


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


def test_one_file_of_cocos_over_folders_of_splits_has_these_splits(tmp_path):
    for split, names in (('train', TRAIN), ('val', VAL)):
        draw(tmp_path / 'images' / split, names)
    content = coco_content(NAMES, dict(cat=1, dog=2))
    for image in content['images']:
        image['file_name'] = f'{"train" if image["file_name"][:-4] in TRAIN else "val"}/{image["file_name"]}'
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations' / 'instances_default.json').write_text(json.dumps(content))  # as CVAT exports it
    own = convert_own(tmp_path)
    assert (names_of(own, 'train'), names_of(own, 'val')) == (TRAIN, VAL)


def test_a_split_of_data_yaml_that_is_not_there_is_named(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'data.yaml').write_text(
        'train: images/train\nval: images/val\ntest: ../test/images\nnames: [cat, dog]\n'
    )
    with pytest.raises(DistillationError, match=r'data\.yaml names test: \.\./test/images, where no picture is'):
        convert_own(tmp_path)


def test_a_list_beside_whole_splits_is_said_to_be_of_no_use(tmp_path):
    voc(tmp_path)
    (tmp_path / 'ImageSets' / 'Main' / 'eval.txt').write_text('\n'.join(VAL))
    assert 'nothing is trained or judged on eval' in convert_own(tmp_path).said
    (tmp_path / 'ImageSets' / 'Main' / 'val.txt').rename(tmp_path / 'ImageSets' / 'Main' / 'test.txt')
    with pytest.raises(DistillationError, match='its splits are eval, test, train, which leaves open'):
        convert_own(tmp_path, tmp_path / 'other')


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


def test_lists_beside_classes_txt_say_what_a_picture_is_for(tmp_path):
    yolo(tmp_path, '{kind}/all_{split}')
    (tmp_path / 'data.yaml').unlink()
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    for split, names in (('train', TRAIN), ('val', VAL)):
        (tmp_path / f'{split}.txt').write_text(''.join(f'images/all_{split}/{name}.jpg\n' for name in names))
    own = convert_own(tmp_path)
    assert (names_of(own, 'train'), names_of(own, 'val')) == (TRAIN, VAL)


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
    (tmp_path / 'labels' / 'train' / 'p2.txt').unlink()
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


def test_what_an_earlier_conversion_left_is_not_taken_for_a_split(tmp_path):
    one_coco_file(tmp_path)
    convert_own(tmp_path)
    convert_own(tmp_path)  # the same again is written anew
    (tmp_path / 'labels.json').unlink()
    for split, names in (('train', TRAIN), ('test', VAL)):
        (tmp_path / f'{split}.json').write_text(json.dumps(coco_content(names, dict(cat=1, dog=2))))
    with pytest.raises(DistillationError, match=r'coco has val\.json, no split of this set: remove'):
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

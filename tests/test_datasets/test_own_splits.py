"""What each picture of a set of your own is for: what its folders, lists and files say, and what is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.tiny import call_tool
from test_datasets.layouts import HEIGHT, WIDTH, draw_picture, write_xml
from test_datasets.own_layouts import (
    NAMES,
    TRAIN,
    TRUTH,
    VAL,
    coco,
    coco_content,
    draw,
    labelimg,
    one_coco_file,
    truth_of,
    voc,
    yolo,
)

from mmdet_kd.datasets.own import convert_own
from mmdet_kd.errors import DistillationError


def test_a_drawn_split_depends_on_the_seed_alone(tmp_path):
    labelimg(tmp_path)
    draws = [convert_own(tmp_path, tmp_path / str(i), seed=seed).files for i, seed in enumerate((0, 0, 1))]
    texts = [files['val'].read_text() for files in draws]
    assert texts[0] == texts[1] != texts[2]


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
    content = coco_content(NAMES, dict(cat=1, dog=2))
    box = content['annotations'][0]
    content = dict(content, images=images, annotations=[dict(box, id=i, image_id=i) for i in range(len(names))])
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
    own = convert_own(tmp_path, val_share=0.4)
    assert (len(names_of(own, 'train')), len(names_of(own, 'val'))) == (3, 2)
    assert names_of(own, 'holdout') == VAL


@pytest.mark.parametrize('write', [voc_of, coco_of])
@pytest.mark.parametrize('names', [('fit', 'eval'), ('trainval', 'holdout'), ('fit', 'val')])
def test_lists_that_are_not_to_train_on_and_to_judge_on_are_refused(tmp_path, write, names):
    write(tmp_path, *names)
    for share in (None, 0.2):
        with pytest.raises(DistillationError, match=r'its splits are .*, which leaves open .* what is no data$'):
            convert_own(tmp_path, val_share=share)
    assert not (tmp_path / 'coco').exists()


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


def test_another_set_where_data_yaml_says_the_set_lay_is_not_read(tmp_path):
    yolo(tmp_path / 'mine')
    yolo(tmp_path / 'set')  # path: ../set
    content = 'path: ../set\ntrain: images/val\nval: images/train\nnames: [cat, dog]\n'
    (tmp_path / 'mine' / 'data.yaml').write_text(content)
    own = convert_own(tmp_path / 'mine')
    assert (names_of(own, 'train'), names_of(own, 'val')) == (VAL, TRAIN)


@pytest.mark.parametrize(
    ('write', 'name'),
    [(voc, 'ImageSets/train.txt'), (voc, 'val.txt'), (labelimg, 'train.txt'), (one_coco_file, 'VAL.TXT')],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_list_that_would_not_be_read_is_named(tmp_path, write, name):
    write(tmp_path)
    (tmp_path / name).write_text('p0\n')
    with pytest.raises(DistillationError, match=f'{name} has the name of a split and would not be read'):
        convert_own(tmp_path)


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('', r'the list .*val\.txt is empty: write a name a line'),
        ('JPEGImages/p5.jpg\n', r'val\.txt lists paths, such as JPEGImages/p5\.jpg: write the names of pictures'),
        ('/data/p5\n', r'val\.txt lists paths'),
    ],
)
def test_lists_of_voc_that_list_no_names_are_one_error(tmp_path, content, said):
    voc(tmp_path)
    (tmp_path / 'ImageSets' / 'Main' / 'val.txt').write_text(content)
    with pytest.raises(DistillationError, match=said) as error:
        convert_own(tmp_path)
    assert len(error.value.problems) == 1


def test_vocs_lists_of_other_tasks_are_passed_over(tmp_path):
    voc(tmp_path)
    for task in ('Segmentation', 'Layout'):
        (tmp_path / 'ImageSets' / task).mkdir()
        (tmp_path / 'ImageSets' / task / 'train.txt').write_text('p7\n')
    assert names_of(convert_own(tmp_path), 'train') == TRAIN


def test_annotated_pictures_in_no_list_are_counted(tmp_path):
    voc(tmp_path)
    (tmp_path / 'ImageSets' / 'Main' / 'train.txt').write_text('\n'.join(TRAIN[:-1]))
    assert '1 annotated pictures are in no list of ImageSets/Main, and were left out' in convert_own(tmp_path).said


def test_lists_beside_a_data_yaml_that_names_classes_alone_are_read(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'data.yaml').write_text('names: [cat, dog]\n')
    for split, its, names in (('train', 'val', VAL), ('val', 'train', TRAIN)):
        (tmp_path / f'{split}.TXT').write_text('\n'.join(f'images/{its}/{name}.jpg' for name in names))
    own = convert_own(tmp_path)
    assert (names_of(own, 'train'), names_of(own, 'val')) == (VAL, TRAIN)


@pytest.mark.parametrize(
    ('entries', 'said'),
    [
        (
            'test: null\ntrain: /old/images/val\nval: /old/images/train',
            'data.yaml names train: /old/images/val, val: .* where no',
        ),
        ('train: train.txt\nval: images/val', 'train.txt names 1 pictures that are not there, such as gone.jpg'),
        ('train: utf16.txt\nval: images/val', 'cannot read the list .*utf16.txt'),
    ],
)
def test_what_data_yaml_names_is_there_or_an_error(tmp_path, entries, said):
    yolo(tmp_path)
    (tmp_path / 'train.txt').write_text('\n'.join([*(f'images/train/{name}.jpg' for name in TRAIN), 'gone.jpg']))
    (tmp_path / 'utf16.txt').write_text('images/train/p0.jpg', encoding='utf-16')
    (tmp_path / 'data.yaml').write_text(f'names: [cat, dog]\n{entries}\n')
    with pytest.raises(DistillationError, match=said):
        convert_own(tmp_path)


def test_a_set_that_is_reached_through_a_link_is_the_same_set(tmp_path):
    yolo(tmp_path / 'disk')
    (tmp_path / 'link').symlink_to(tmp_path / 'disk')
    content = f'path: {tmp_path}/link\ntrain: images/val\nval: images/train\nnames: [cat, dog]\n'
    (tmp_path / 'disk' / 'data.yaml').write_text(content)
    for root in ('disk', 'link'):
        own = convert_own(tmp_path / root)
        assert (names_of(own, 'train'), names_of(own, 'val')) == (VAL, TRAIN)


def test_a_test_split_without_a_box_is_left_out_and_a_val_is_refused(tmp_path):
    labelimg(tmp_path / 'set')
    moved = {'train': NAMES[:4], 'val': NAMES[4:6], 'test': NAMES[6:]}
    for split, names in moved.items():
        (tmp_path / 'set' / split).mkdir()
        for path in (path for name in names for path in (tmp_path / 'set').glob(f'{name}.*')):
            path.rename(path.parent / split / path.name)
    for path in (tmp_path / 'set' / 'test').glob('*.xml'):
        path.unlink()
    own = convert_own(tmp_path / 'set')
    assert own.files.keys() == {'train', 'val'}
    assert 'no picture of test has a box, so its 2 pictures are left out' in own.said
    for path in (tmp_path / 'set' / 'val').glob('*.xml'):
        path.unlink()
    with pytest.raises(DistillationError, match='no picture of val has a box: annotate it'):
        convert_own(tmp_path / 'set')


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


def test_lists_beside_classes_txt_say_what_a_picture_is_for(tmp_path):
    yolo(tmp_path, '{kind}/all_{split}')
    (tmp_path / 'data.yaml').unlink()
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    for split, names in (('train', TRAIN), ('val', VAL)):
        (tmp_path / f'{split}.txt').write_text(''.join(f'images/all_{split}/{name}.jpg\n' for name in names))
    own = convert_own(tmp_path)
    assert (names_of(own, 'train'), names_of(own, 'val')) == (TRAIN, VAL)


def test_what_an_earlier_conversion_left_is_not_taken_for_a_split(tmp_path):
    one_coco_file(tmp_path)
    convert_own(tmp_path)
    convert_own(tmp_path)  # the same again is written anew
    (tmp_path / 'labels.json').unlink()
    for split, names in (('train', TRAIN), ('test', VAL)):
        (tmp_path / f'{split}.json').write_text(json.dumps(coco_content(names, dict(cat=1, dog=2))))
    with pytest.raises(DistillationError, match=r'coco has val\.json, no split of this set: remove'):
        convert_own(tmp_path)

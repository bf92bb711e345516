import copy
import json
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import tiny_student_cfg, write_tiny_coco
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from PIL import Image
from test_datasets.layouts import draw_voc, write_xml

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import require_annotations


@pytest.fixture
def cfg(tmp_path):
    return tiny_student_cfg(write_tiny_coco(tmp_path / 'set'), tmp_path / 'run')


def edit(cfg, change, split='train'):
    path = f'{cfg.train_dataloader.dataset.data_root}{split}.json'
    with open(path) as file:
        content = json.load(file)
    change(content)
    with open(path, 'w') as file:
        json.dump(content, file)


def check(cfg):
    cfg.experiment_name = uuid.uuid4().hex
    require_annotations(Runner.from_cfg(cfg))


def test_a_good_set_passes(cfg):
    check(cfg)


def test_a_set_without_annotations_is_refused(cfg):
    edit(cfg, lambda content: content.update(annotations=[]))
    with pytest.raises(DistillationError, match=r'set/train\.json holds 8 images and 0 annotations .* Name a file'):
        check(cfg)


def test_so_it_is_where_empty_images_are_kept(cfg):
    edit(cfg, lambda content: content.update(annotations=[]))
    cfg.train_dataloader.dataset.filter_cfg = {'filter_empty_gt': False}
    with pytest.raises(DistillationError, match='no image of the training set is annotated'):
        check(cfg)


def test_other_classes_are_named_as_the_reason(cfg):
    cfg.train_dataloader.dataset.metainfo.classes = ('cat', 'dog')
    with pytest.raises(DistillationError, match=r"asks for other classes \(cat, dog\): set .*classes=\('circle', "):
        check(cfg)


def test_images_without_objects_and_crowds_are_no_error(cfg):
    def only_the_last_image_has_one(content):
        content['annotations'] = content['annotations'][-1:]

    edit(cfg, only_the_last_image_has_one)
    cfg.train_dataloader.dataset.filter_cfg = {'filter_empty_gt': False}
    cfg.allow_absent_classes = True
    check(cfg)


def test_so_is_a_validation_set_without_images(cfg):
    edit(cfg, lambda content: content.update(images=[], annotations=[]), 'val')
    with pytest.raises(
        DistillationError, match=r'no image of the validation set .*val\.json holds 0 images .*val_dataloader'
    ):
        check(cfg)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_half_written_file_is_named(cfg, split):
    path = Path(cfg.train_dataloader.dataset.data_root, f'{split}.json')
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DistillationError, match=rf'{path} is truncated or no JSON .*copy it again') as caught:
        check(cfg)
    assert len(caught.value.problems) == 1


def test_what_is_no_coco_file_is_named(cfg):
    edit(cfg, lambda content: [image.pop('height') for image in content['images'][:2]])
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    (problem,) = caught.value.problems
    assert 'train.json: entry 0 of "images", as 1 more, has no height' in problem


def test_a_broken_file_of_a_metric_is_named(cfg, tmp_path):
    (tmp_path / 'truth.json').write_text('{')
    cfg.val_evaluator.ann_file = str(tmp_path / 'truth.json')
    with pytest.raises(DistillationError, match=r'truth\.json is truncated or no JSON'):
        check(cfg)


def test_other_failures_are_not_hidden(cfg):
    cfg.val_dataloader.dataset.no_such_argument = 1
    with pytest.raises(TypeError, match='no_such_argument'):
        check(cfg)


@pytest.fixture
def voc_cfg(cfg, tmp_path):
    """Trains on both years, judged on the test of 2007."""
    root = draw_voc(tmp_path / 'VOCdevkit')
    for split, lists in (('train', ('VOC2007/trainval', 'VOC2012/trainval')), ('val', ('VOC2007/test',))):
        parts = []
        for year, name in (part.split('/') for part in lists):
            prefix, ann_file = dict(sub_data_root=f'{year}/'), f'{year}/ImageSets/Main/{name}.txt'
            pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
            kept = dict(pipeline=pipeline, test_mode=split == 'val')
            parts.append(dict(type='VOCDataset', data_root=f'{root}/', ann_file=ann_file, data_prefix=prefix, **kept))
        both = dict(type='ConcatDataset', ignore_keys=['dataset_type'], datasets=parts)
        cfg[f'{split}_dataloader'].dataset = ConfigDict(both if split == 'train' else parts[0])
    cfg.val_evaluator = dict(type='VOCMetric')
    cfg.model.roi_head.bbox_head.num_classes = 20
    return cfg


def test_a_good_voc_set_passes(voc_cfg):
    check(voc_cfg)


def test_every_broken_xml_is_named(voc_cfg, tmp_path):
    folder = tmp_path / 'VOCdevkit'
    (folder / 'VOC2007' / 'Annotations' / 'tr0001.xml').write_text('<annotation><object>')
    (folder / 'VOC2012' / 'Annotations' / 'tr0002.xml').unlink()
    write_xml(folder / 'VOC2012' / 'Annotations' / 'tr0003.xml', [('dog', (1, 2, 3, ''))])
    with pytest.raises(DistillationError) as caught:
        check(voc_cfg)
    assert len(caught.value.problems) == 3
    for problem, part in zip(
        caught.value.problems,
        (
            'VOC2007/Annotations/tr0001.xml is truncated or no XML',
            'no annotation',
            'tr0003.xml, object 1: it has no bndbox',
        ),
        strict=True,
    ):
        assert part in problem


def test_a_broken_xml_of_the_validation_set_is_named(voc_cfg, tmp_path):
    (tmp_path / 'VOCdevkit' / 'VOC2007' / 'Annotations' / 'te0001.xml').write_text('')
    with pytest.raises(DistillationError, match=r'te0001\.xml is truncated or no XML'):
        check(voc_cfg)


def name_classes(cfg, classes):
    for part in (*cfg.train_dataloader.dataset.datasets, cfg.val_dataloader.dataset):
        part.metainfo = dict(classes=classes)


def test_a_class_that_no_voc_annotation_has_is_named(voc_cfg):
    name_classes(voc_cfg, ('dog', 'airplane', 'cat'))
    with pytest.raises(DistillationError, match=r"has an object 'airplane', which .* they have 'aeroplane', 'bicycle'"):
        check(voc_cfg)


def test_a_class_that_is_meant_to_be_absent_passes(voc_cfg):
    name_classes(voc_cfg, ('dog', 'airplane', 'cat'))
    with pytest.raises(DistillationError, match=r'If that is meant, write allow_absent_classes = True into the c') as e:
        check(voc_cfg)
    assert len(str(e.value)) < 500
    voc_cfg.allow_absent_classes = True
    check(voc_cfg)


def test_a_category_without_an_object_in_the_training_set_is_named(cfg):
    edit(cfg, lambda content: content.update(annotations=[a for a in content['annotations'] if a['category_id'] > 1]))
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    (problem,) = caught.value.problems
    assert problem == (
        "no annotation of the training set has an object 'circle', which the config asks for; they have 'square', "
        "'triangle': correct metainfo=dict(classes=...) of the data set, and num_classes, or annotate some. If that is "
        'meant, write allow_absent_classes = True into the config'
    )
    cfg.allow_absent_classes = True
    check(cfg)


def test_a_category_whose_objects_are_all_ignored_is_named(cfg):
    """No detector learns from them."""
    edit(cfg, lambda content: [a.update(iscrowd=1) for a in content['annotations'] if a['category_id'] == 1])
    with pytest.raises(DistillationError, match="no annotation of the training set has an object 'circle'"):
        check(cfg)


def test_a_class_need_not_be_in_each_part_of_coco_nor_in_the_validation_set(cfg, tmp_path):
    part = copy.deepcopy(cfg.train_dataloader.dataset)
    part.data_root = f'{write_tiny_coco(tmp_path / "other")}/'
    for split in ('train', 'val'):
        edit(cfg, lambda c: c.update(annotations=[a for a in c['annotations'] if a['category_id'] > 1]), split)
    cfg.train_dataloader.dataset = ConfigDict(type='ConcatDataset', datasets=[cfg.train_dataloader.dataset, part])
    check(cfg)


def test_a_class_that_no_coco_category_has_may_not_be_absent(cfg):
    """mmdet would number the others by another count."""
    edit(cfg, lambda content: content['categories'].pop(0))
    edit(cfg, lambda content: content.update(annotations=[a for a in content['annotations'] if a['category_id'] > 1]))
    cfg.allow_absent_classes = True
    with pytest.raises(DistillationError, match=r"has no category 'circle'.* or add the category to the file, if it"):
        check(cfg)


def test_a_class_need_not_be_in_each_part_of_voc(voc_cfg, tmp_path):
    for name in ('tr0000', 'tr0001', 'tr0002', 'tr0003'):  # dogs are in one of the two years only
        path = tmp_path / 'VOCdevkit' / 'VOC2012' / 'Annotations' / f'{name}.xml'
        path.write_text(path.read_text().replace('>dog<', '>cat<'))
    name_classes(voc_cfg, ('dog', 'cat', 'person'))
    check(voc_cfg)


def test_the_own_classes_of_voc_may_be_missing_in_a_small_part(voc_cfg):
    voc_cfg.train_dataloader.dataset = voc_cfg.train_dataloader.dataset.datasets[0]
    path = Path(voc_cfg.train_dataloader.dataset.data_root, voc_cfg.train_dataloader.dataset.ann_file)
    path.write_text('tr0000\n')
    check(voc_cfg)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_class_that_no_coco_category_has_is_named(cfg, split):
    cfg[f'{split}_dataloader'].dataset.metainfo.classes = ('circle', 'squares', 'triangle')
    with pytest.raises(
        DistillationError, match=rf"{split}\.json has no category 'squares', .* are 'circle', 'square', 'triangle'"
    ):
        check(cfg)


def test_classes_in_another_order_are_refused(cfg):
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo.classes = ('square', 'circle')
    with pytest.raises(DistillationError, match=r"another order than .*classes=\('circle', 'square',\)") as caught:
        check(cfg)
    assert len(caught.value.problems) == 2


def test_a_part_of_the_classes_in_order_passes(cfg):
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo.classes = ('circle', 'triangle')
    check(cfg)


def test_a_validation_set_in_another_order_than_the_training_set(cfg, tmp_path):
    """Each has the order of its own annotations."""
    turned = write_tiny_coco(tmp_path / 'turned', classes=('triangle', 'square', 'circle'))
    cfg.val_dataloader.dataset.update(data_root=f'{turned}/', metainfo=dict(classes=('triangle', 'square', 'circle')))
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    (problem,) = caught.value.problems
    orders = ("('circle', 'square', 'triangle'), the validation set as ('triangle', 'square', 'circle')",)
    for part in (*orders, "metainfo=dict(classes=('circle', 'square', 'triangle',)) into val_dataloader.dataset"):
        assert part in problem


@pytest.mark.parametrize('ignored', [[], ['classes']])
def test_parts_of_a_training_set_that_list_other_classes(cfg, ignored):
    part, other = cfg.train_dataloader.dataset, copy.deepcopy(cfg.train_dataloader.dataset)
    other.metainfo.classes = ('circle', 'triangle')
    joined = dict(type='ConcatDataset', ignore_keys=ignored, datasets=[part, other])
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=joined)
    with pytest.raises(
        DistillationError, match=r"another part of it as \('circle', 'triangle'\): .* each of its parts"
    ):
        check(cfg)


def test_a_string_in_the_place_of_a_tuple(cfg, tmp_path):
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo.classes = 'circle'
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    for problem, split in zip(caught.value.problems, ('train', 'val'), strict=True):
        assert problem.startswith(f"{split}_dataloader.dataset.metainfo has classes='circle', a string")
        assert "needs a comma to be a tuple: classes=('circle',)" in problem


def test_a_file_of_names_in_the_place_of_a_tuple(cfg, tmp_path):
    (tmp_path / 'names.txt').write_text('circle\nsquare\ntriangle\n')
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.metainfo.classes = str(tmp_path / 'names.txt')
    check(cfg)


def break_pictures(cfg):
    """One missing, one half, one of another size in train; one missing in val."""
    root = Path(cfg.train_dataloader.dataset.data_root)
    (root / 'train' / '000.png').unlink()
    (root / 'train' / '001.png').write_bytes((root / 'train' / '001.png').read_bytes()[:900])
    cv2.imwrite(str(root / 'train' / '002.png'), np.zeros((64, 48, 3), np.uint8))
    (root / 'val' / '003.png').unlink()
    return root


def test_every_broken_picture_is_named(cfg):
    root = break_pictures(cfg)
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    assert len(caught.value.problems) == 4
    for problem, part in zip(
        caught.value.problems,
        (
            f'there is no picture {root}/train/000.png',
            '001.png cannot be read',
            f'{root}/train/002.png is 48x64, its annotation says 64x64',
            f'there is no picture {root}/val/003.png',
        ),
        strict=True,
    ):
        assert part in problem


def test_a_missing_folder_of_pictures_is_named_once(cfg):
    root = Path(cfg.train_dataloader.dataset.data_root)
    (root / 'train').rename(root / 'elsewhere')
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    (problem,) = caught.value.problems
    assert problem == (
        f'there is no folder {root}/train, and 8 annotated pictures should be in it: put them there, or correct '
        'data_root and data_prefix of the data set'
    )
    # Pictures in folders of their own: the outermost one that is missing is the one to put there.
    edit(cfg, lambda content: [image.update(file_name=f'{image["id"]}/a/b.png') for image in content['images']])
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    assert caught.value.problems == [problem]


@pytest.mark.parametrize('kind', ['Annotations', 'JPEGImages'])
def test_a_missing_folder_of_voc_is_named_once(voc_cfg, tmp_path, kind):
    (tmp_path / 'VOCdevkit' / 'VOC2012' / kind).rename(tmp_path / 'elsewhere')
    with pytest.raises(DistillationError) as caught:
        check(voc_cfg)
    (problem,) = caught.value.problems
    assert problem.startswith(f'there is no folder {tmp_path}/VOCdevkit/VOC2012/{kind} of the ')
    assert problem.endswith(f'{dict(Annotations="ann_subdir", JPEGImages="img_subdir")[kind]} of the data set')


def test_pictures_are_found_inside_wrappers(cfg):
    break_pictures(cfg)
    leaf = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[leaf])
    )
    with pytest.raises(DistillationError) as caught:
        check(cfg)
    assert len(caught.value.problems) == 4


def test_the_pictures_of_a_server_and_of_a_config_that_says_so_are_left_alone(cfg, monkeypatch):
    break_pictures(cfg)
    cfg.check_pictures = False
    check(cfg)
    cfg.check_pictures = True
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.backend_args = dict(backend='local')
    check(cfg)


def test_other_ranks_leave_the_pictures_to_the_first(cfg, monkeypatch):
    break_pictures(cfg)
    monkeypatch.setattr('mmdet_kd.runtime.annotations.is_main_process', lambda: False)
    check(cfg)


def test_pictures_that_the_run_does_not_read_may_be_missing(cfg):
    cfg.train_dataloader.dataset.indices = [4, 5, 6, 7]
    root = break_pictures(cfg)
    cv2.imwrite(str(root / 'val' / '003.png'), np.zeros((64, 64, 3), np.uint8))
    check(cfg)


def test_a_long_list_is_in_the_work_dir(cfg, tmp_path):
    """60 pictures, none of which is there."""

    def more(content):
        content['images'] = [dict(id=i, file_name=f'{i}.png', width=64, height=64) for i in range(60)]

    edit(cfg, more)
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=False)
    with pytest.raises(DistillationError, match=r'and 10 more: all 60 are listed in .*run/data_problems\.txt'):
        check(cfg)
    assert len((tmp_path / 'run' / 'data_problems.txt').read_text().splitlines()) == 60


def test_turned_pictures_are_judged_as_the_pipeline_loads_them(cfg):
    """An annotation of a picture as it lies is right only where the pipeline leaves its EXIF orientation alone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    root = Path(cfg.train_dataloader.dataset.data_root)
    Image.new('RGB', (64, 48)).save(root / 'train' / '000.jpg', exif=exif)
    edit(cfg, lambda content: content['images'][0].update(file_name='000.jpg', width=64, height=48))
    with pytest.raises(DistillationError, match=r'000\.jpg is 48x64, its annotation says 64x48: .*EXIF'):
        check(cfg)
    cfg.train_dataloader.dataset.pipeline[0].color_type = 'color_ignore_orientation'
    check(cfg)


@pytest.mark.parametrize('loader', [dict(color_type='unchanged'), dict(imdecode_backend='tifffile')], ids=str)
def test_dark_pictures_of_16_bits_are_refused_where_8_are_loaded(cfg, loader):
    root = Path(cfg.train_dataloader.dataset.data_root)
    cv2.imwrite(str(root / 'train' / '000.png'), np.full((64, 64), 4095, np.uint16))
    edit(cfg, lambda content: content['images'][0].update(file_name='000.png', width=64, height=64))
    with pytest.raises(DistillationError, match=r'000\.png has 16 bits a channel, and mmdet would load it almost'):
        check(cfg)
    cfg.train_dataloader.dataset.pipeline[0].update(loader)
    check(cfg)

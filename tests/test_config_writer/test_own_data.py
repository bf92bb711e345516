"""Stock students of mmdet on one's own set: every box counts, the heads know its classes, and its files judge."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mmdet
import pytest
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from test_datasets.layouts import judge_the_truth
from test_datasets.own_layouts import TRAIN, TRUTH, VAL

from mmdet_kd.config_writer import Request, plan_configs
from mmdet_kd.config_writer.loaders import own_loading
from mmdet_kd.config_writer.own_set import choose_splits, read_own_set
from mmdet_kd.errors import DistillationError

#: Where mmdet's configs lie; by `mmdet::`, mmengine reads a hundred files to find one.
STOCK = Path(mmdet.__file__).parent / '.mim' / 'configs'
FASTER = f'{STOCK}/faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
RETINANET = f'{STOCK}/retinanet/retinanet_r50_fpn_1x_coco.py'
CASCADE = f'{STOCK}/cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'
YOLOX = f'{STOCK}/yolox/yolox_tiny_8xb8-300e_coco.py'
MASK = f'{STOCK}/mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
VOC0712 = f'{STOCK}/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'
#: Student -> a method for it.
STUDENTS = {FASTER: 'chen2017', RETINANET: 'fgd', CASCADE: 'pkd', YOLOX: 'cwd', VOC0712: 'mgd'}


def heads(model: dict) -> Iterator[dict]:
    """Every head that scores the classes of the data."""
    for holder in (model, model.get('roi_head') or {}):
        for key in ('bbox_head', 'mask_head'):
            found = holder.get(key) or []
            yield from found if isinstance(found, list) else [found]


def seen(dataset: dict) -> dict[str, list]:
    """Name of a picture -> label and corners of each object, as the detector will be given them."""
    innermost = dataset.get('dataset', dataset)
    built = DATASETS.build({**innermost, 'serialize_data': False})  # which takes longer than all the rest
    infos = [built.get_data_info(index) for index in range(len(built))]
    return {
        Path(info['img_path']).stem: [(each['bbox_label'], tuple(each['bbox'])) for each in info['instances']]
        for info in infos
    }


def truth(names: list[str]) -> dict[str, list]:
    return {name: [(('cat', 'dog').index(kind), corners) for kind, corners in TRUTH[name]] for name in names}


@pytest.mark.parametrize('student', STUDENTS, ids=lambda name: Path(name).stem)
def test_a_stock_student_sees_every_box_of_the_set(write, voc_set, coco_set, student):
    alone, distilled, _ = write(student, [STUDENTS[student]], voc_set if student != FASTER else coco_set)
    before = Config.fromfile(student)
    assert seen(alone.train_dataloader.dataset) == truth(TRAIN)
    assert seen(alone.val_dataloader.dataset) == truth(VAL)
    assert set(alone.val_evaluator) == {
        'type',
        'ann_file',
        'metric',
        'classwise',
    }  # nothing of the student's own is left
    assert Path(alone.val_evaluator.ann_file).parts[-2:] == ('coco', 'val.json')
    assert (alone.test_dataloader, alone.test_evaluator) == (alone.val_dataloader, alone.val_evaluator)
    assert [head.num_classes for head in heads(alone.model)] == [2] * len(list(heads(before.model)))
    for key in ('batch_size', 'num_workers', 'sampler', 'batch_sampler'):
        assert alone.train_dataloader.get(key) == before.train_dataloader.get(key)
    assert {key: distilled[key] for key in alone if key != 'model'} == {
        key: alone[key] for key in alone if key != 'model'
    }
    assert alone.model.type == before.model.type
    assert distilled.model.teacher == dict(config=student, checkpoint='https://example.org/teacher.pth')


def test_the_metric_gives_full_marks_to_the_truth(write, voc_set):
    alone, _, _ = write(FASTER, ['pkd'], voc_set)
    assert judge_the_truth(alone)['coco/bbox_mAP'] == pytest.approx(1)


def test_a_cascades_heads_differ_in_their_number_of_classes_alone(write, voc_set):
    alone, _, _ = write(CASCADE, ['pkd'], voc_set)
    before = Config.fromfile(CASCADE)
    for head, old in zip(alone.model.roi_head.bbox_head, before.model.roi_head.bbox_head, strict=True):
        assert head == {**old, 'num_classes': 2}


def test_pictures_are_mixed_as_the_students_own_are(write, voc_set):
    dataset = write(YOLOX, ['cwd'], voc_set)[0].train_dataloader.dataset
    assert dataset.type == 'MultiImageMixDataset'
    assert [step.type for step in dataset.pipeline][:2] == ['Mosaic', 'RandomAffine']
    assert [step.type for step in dataset.dataset.pipeline] == ['LoadImageFromFile', 'LoadAnnotations']


def test_what_repeats_pictures_is_left_out_and_said(write, voc_set):
    alone, _, notes = write(VOC0712, ['mgd'], voc_set)
    assert alone.train_dataloader.dataset.type == 'CocoDataset'
    assert any("the student's RepeatDataset and ConcatDataset left out" in note for note in notes)
    assert 'ATTENTION: lr=0.01 is for batches of 16; yours have 2: add --auto-scale-lr' in notes


def test_what_mmengine_notes_of_a_scope_is_not_written(coco_set):
    """It does in a config whose base is named by `mmdet::`."""
    cfg = Config.fromfile(FASTER)
    cfg.train_dataloader.sampler._scope_ = 'mmdet'
    cfg.train_dataloader.dataset.pipeline = [*cfg.train_pipeline, dict(type='RandomFlip', _scope_='mmdet')]
    cfg.val_dataloader.sampler._scope_ = 'another'
    keys = own_loading(cfg, read_own_set(str(coco_set))).keys
    assert keys['train_dataloader']['sampler'] == dict(type='DefaultSampler', shuffle=True)
    assert keys['train_dataloader']['dataset']['pipeline'][-1] == dict(type='RandomFlip')
    assert keys['val_dataloader']['sampler']['_scope_'] == 'another'


@pytest.mark.parametrize(('ranks', 'said'), [(1, 'yours have 2'), (4, 'yours have 4 x 2 = 8'), (8, None)])
def test_a_learning_rate_is_for_the_batches_of_all_ranks_together(tmp_path, ranks, said):
    request = Request(FASTER, FASTER, 'https://example.org/teacher.pth', None, ['pkd'])
    notes = plan_configs(request, tmp_path / 'out', ranks=ranks).notes
    assert [note for note in notes if 'lr=' in note] == [
        f'ATTENTION: lr=0.02 is for batches of 16; {said}: add --auto-scale-lr' for said in [said] if said
    ]


def test_the_rate_is_spoken_of_where_it_is_for_other_batches(write, voc_set, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(f"_base_ = '{FASTER}'\ntrain_dataloader = dict(batch_size=16)\n")
    request = Request(str(own), FASTER, 'https://example.org/teacher.pth', str(voc_set), ['pkd'])
    assert not [note for note in plan_configs(request, tmp_path).notes if 'lr=' in note]
    request = request._replace(student=FASTER)
    assert [note for note in plan_configs(request, tmp_path).notes if 'lr=' in note]
    assert not [note for note in plan_configs(request, tmp_path, scales_lr=True).notes if 'lr=' in note]
    own.write_text(f"_base_ = '{FASTER}'\nauto_scale_lr = None\n")
    with pytest.raises(
        DistillationError, match=r'^--auto-scale-lr: the student does not say .* or leave the option out$'
    ):
        plan_configs(request._replace(student=str(own)), tmp_path, scales_lr=True)


def test_pipelines_and_files_are_named_as_a_person_would(write, voc_set, tmp_path):
    write(FASTER, ['chen2017'], voc_set)
    text = (tmp_path / 'out' / 'student.py').read_text()
    assert f"data_root = '{voc_set}/'\nmetainfo = dict(classes=('cat', 'dog'))\n" in text
    assert text.count('pipeline=_base_.train_pipeline') == text.count('pipeline=_base_.test_pipeline') == 1
    assert "ann_file=data_root + 'coco/val.json'" in text
    assert 'model = dict(roi_head=dict(bbox_head=dict(num_classes=num_classes)))\n' in text
    written = text.replace(str(tmp_path), '').replace(str(STOCK), '')  # a person's own paths may be as long as they are
    assert max(map(len, written.splitlines())) <= 120


def add_masks(root: Path) -> None:
    for path in (root / 'annotations').glob('*.json'):
        content = json.loads(path.read_text())
        for annotation in content['annotations']:
            x, y, w, h = annotation['bbox']
            annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        path.write_text(json.dumps(content))


def test_masks_are_learnt_where_the_set_has_them(write, coco_set):
    add_masks(coco_set)
    alone, _, _ = write(MASK, ['chen2017'], coco_set)
    assert alone.val_evaluator.metric == alone.test_evaluator.metric == ['bbox', 'segm']
    assert [head.num_classes for head in heads(alone.model)] == [2, 2]
    sample = DATASETS.build(alone.train_dataloader.dataset)[1]['data_samples']
    assert sample.gt_instances.masks.masks.any()


def test_a_student_of_masks_is_refused_where_the_set_has_none(write, coco_set, tmp_path):
    with pytest.raises(DistillationError, match=r'learns masks, .* have none: take a student that learns boxes alone'):
        write(MASK, ['chen2017'], coco_set)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('mask', [[], [[]], [[10, 20, 30, 40]]], ids=['none', 'no corner', 'a box'])
def test_what_mmdet_would_pass_over_is_no_mask(coco_set, mask):
    """An object without a polygon of three corners is ignored in a training with masks."""
    add_masks(coco_set)
    assert read_own_set(str(coco_set)).has_masks
    shutil.rmtree(coco_set / 'coco')
    path = next((coco_set / 'annotations').glob('*val*.json'))
    content = json.loads(path.read_text())
    content['annotations'][0]['segmentation'] = mask
    path.write_text(json.dumps(content))
    assert not read_own_set(str(coco_set)).has_masks


def test_a_student_without_boxes_is_judged_by_its_masks(write, coco_set):
    """SOLO gives each object an empty box, so its AP of boxes is 0 whatever it learns."""
    add_masks(coco_set)
    alone, _, _ = write(f'{STOCK}/solo/solo_r50_fpn_1x_coco.py', ['pkd'], coco_set)
    assert alone.val_evaluator.metric == alone.test_evaluator.metric == 'segm'


def test_a_student_of_masks_that_needs_none_is_judged_by_its_boxes(write, coco_set):
    alone, _, _ = write(f'{STOCK}/boxinst/boxinst_r50_fpn_ms-90k_coco.py', ['cwd'], coco_set)
    assert alone.val_evaluator.metric == 'bbox'


RTMDET = f'{STOCK}/rtmdet/rtmdet_tiny_8xb32-300e_coco.py'


@pytest.mark.parametrize(
    ('student', 'options', 'ranks', 'said'),
    [
        (RTMDET, '', 8, None),  # its file inherits auto_scale_lr from a schedule of 8 x 2
        (RTMDET, '', 1, "yours have 32; the student's name says 8xb32, so lr=0.004 is for batches of 256, and its"),
        (FASTER, 'optim_wrapper = dict(accumulative_counts=8)', 1, None),
        (FASTER, 'optim_wrapper = dict(accumulative_counts=8)', 2, 'yours have 2 x 2 x 8 = 32: set lr for them'),
    ],
)
def test_batches_that_the_name_says_and_those_that_are_accumulated_count(tmp_path, student, options, ranks, said):
    own = tmp_path / Path(student).name
    own.write_text(f"_base_ = '{student}'\n{options}\n")
    request = Request(str(own), FASTER, 'https://example.org/teacher.pth', None, ['pkd'])
    notes = [note for note in plan_configs(request, tmp_path / 'out', ranks=ranks).notes if 'lr=' in note]
    assert len(notes) == (said is not None)
    assert all(said in note for note in notes)


def test_a_rate_is_not_scaled_from_batches_that_the_name_contradicts(tmp_path):
    request = Request(RTMDET, FASTER, 'https://example.org/teacher.pth', None, ['pkd'])
    with pytest.raises(
        DistillationError, match=r'^--auto-scale-lr: .* write auto_scale_lr=dict\(base_batch_size=256\)'
    ):
        plan_configs(request, tmp_path / 'out', scales_lr=True)


def test_what_keeps_the_best_follows_the_metric_and_what_watches_it_is_named(write, voc_set, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = '{VOC0712}'\ndefault_hooks = dict(checkpoint=dict(save_best='pascal_voc/mAP'))\n"
        "custom_hooks = [dict(type='EarlyStoppingHook', monitor='pascal_voc/mAP')]\n"
    )
    alone, _, notes = write(str(own), ['pkd'], voc_set)
    assert alone.default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    assert alone.default_hooks.checkpoint.type == 'CheckpointHook'
    assert "what watches 'pascal_voc/mAP' in the student must watch 'coco/bbox_mAP' now: change it" in notes


@pytest.mark.parametrize(
    ('there', 'chosen'),
    [
        ('train val test', ('train', 'val', 'test')),
        ('train val', ('train', 'val', 'val')),
        ('train test trainval val', ('train', 'val', 'test')),
        ('train test', ('train', 'test', 'test')),
        ('trainval test', ('trainval', 'test', 'test')),
        ('trainval test val', ('trainval', 'test', 'test')),
    ],
)
def test_splits_are_apart(there, chosen):
    assert choose_splits(there.split()) == chosen


@pytest.mark.parametrize('there', ['trainval val', 'all', 'val test'])
def test_splits_that_do_not_say_what_they_are_for_are_refused(there):
    with pytest.raises(DistillationError, match=f'{", ".join(sorted(there.split()))}, none is to train on and another'):
        choose_splits(there.split())


def test_a_split_to_test_on_is_used(write, voc_set):
    lists = voc_set / 'ImageSets' / 'Main'
    (lists / 'val.txt').write_text('\n'.join(VAL[:2]) + '\n')
    (lists / 'test.txt').write_text(VAL[2] + '\n')
    alone, _, _ = write(FASTER, ['pkd'], voc_set)
    assert seen(alone.val_dataloader.dataset) == truth(VAL[:2])
    assert seen(alone.test_dataloader.dataset) == truth(VAL[2:])
    assert alone.test_evaluator.ann_file.endswith('coco/test.json')


def test_a_converted_set_is_used_as_it_is(write, voc_set):
    _, _, notes = write(FASTER, ['pkd'], voc_set)
    assert any('boxes by class: 5 cat, 2 dog' in note for note in notes)
    before = (voc_set / 'coco' / 'train.json').stat().st_mtime_ns
    _, _, notes = write(FASTER, ['pkd'], voc_set)
    assert any('is there already, and used as it is' in note for note in notes)
    assert any(note.endswith('\nclasses: cat, dog; 5 pictures in train, 3 pictures in val') for note in notes)
    assert (voc_set / 'coco' / 'train.json').stat().st_mtime_ns == before
    (voc_set / 'JPEGImages').rename(voc_set / 'elsewhere')
    with pytest.raises(
        DistillationError, match=r'p0\.jpg is not in .*If own.py wrote .*coco, remove it, and the set is converted anew'
    ):
        write(FASTER, ['pkd'], voc_set)


def test_a_converted_set_that_judges_on_what_it_trains_on_is_refused(voc_set):
    read_own_set(str(voc_set))
    (voc_set / 'coco' / 'val.json').write_text((voc_set / 'coco' / 'train.json').read_text())
    with pytest.raises(DistillationError, match=r'5 pictures are in train and in val, such as JPEGImages/p0\.jpg'):
        read_own_set(str(voc_set))


@pytest.mark.slow
@pytest.mark.parametrize('student', STUDENTS, ids=lambda name: Path(name).stem)
def test_what_is_written_builds(write, voc_set, student):
    name = f'mmdet::{Path(student).relative_to(STOCK)}'
    _, distilled, _ = write(name, [STUDENTS[student]], voc_set, teacher=student)
    distilled.model.teacher.classes_by_name = True  # it knows cats and dogs among others
    assert set(MODELS.build(distilled.model).distillers) == set(distilled.model.distillers)

"""The numbers that trainings leave: which of them a table has, and what an interrupted log holds."""

import json

import torch

from mmdet_kd.runtime.results import found_once, table_scores, trained_steps, validation_curve

COCO = {'coco/bbox_mAP': 0.1235, 'coco/bbox_mAP_50': 0.3, 'coco/bbox_mAP_75': 0.1, 'coco/bbox_mAP_s': 0.0}


def test_a_table_has_cocos_three_in_points():
    assert table_scores(COCO) == {'AP': 12.35, 'AP50': 30.0, 'AP75': 10.0}
    assert table_scores({'first': 1.0, **COCO}, 'coco/bbox_mAP_50') == table_scores(COCO)
    masks = {key.replace('bbox', 'segm'): value / 2 for key, value in COCO.items()}
    assert table_scores({**COCO, **masks}) == table_scores(COCO)
    assert table_scores({**COCO, **masks}, 'coco/segm_mAP') == {'mask AP': 6.17, 'mask AP50': 15.0, 'mask AP75': 5.0}
    assert table_scores({key.replace('coco', 'mine'): value for key, value in COCO.items()}) == table_scores(COCO)
    assert table_scores(COCO, 'coco/bbox_mAP_s') == {'coco/bbox_mAP_s': 0.0}  # not the AP of all sizes


def test_a_table_has_the_main_score_of_another_metric():
    assert table_scores({'pascal_voc/AP50': 0.5, 'pascal_voc/mAP': 0.4}) == {'pascal_voc/mAP': 40.0}
    kitti = {'kitti/Car_easy': 90.0, 'kitti/mAP_easy': 80.0, 'kitti/mAP_moderate': 70.5}
    assert table_scores(kitti) == {'kitti/mAP_moderate': 70.5}
    assert table_scores(kitti, 'kitti/Car_easy') == {'kitti/Car_easy': 90.0}
    assert table_scores({'mine/a': 0.25, 'mine/b': 1.0}) == {'mine/a': 0.25}
    assert table_scores({'mine/a': 0.25, 'mine/b': 1.0}, 'auto') == {'mine/a': 0.25}


def test_what_was_found_is_found_again_where_its_digest_is_another(tmp_path):
    answers = iter(range(9))

    def found(digest):
        return found_once(tmp_path / 'found.json', digest, lambda: next(answers))

    assert [found(digest) for digest in ('a', 'a', 'b', 'b', 'a')] == [0, 0, 1, 1, 2]
    (tmp_path / 'found.json').write_text('{"digest": "a", "fou')
    assert found('a') == 3


def log(folder, *records, end='\n'):
    (folder / 'vis_data').mkdir(parents=True)
    (folder / 'vis_data' / 'scalars.json').write_text('\n'.join(map(json.dumps, records)) + end)


def step(number):
    return {'lr': 0.1, 'loss': 1.0, 'time': 0.1, 'epoch': 1, 'iter': number, 'step': number}


def val(place, ap):
    return {**dict.fromkeys(COCO, ap), 'data_time': 0.1, 'time': 0.1, 'step': place}


def test_the_line_that_a_killed_session_did_not_finish_is_no_number(tmp_path):
    log(tmp_path / '2026_1', step(5), val(1, 0.1), step(10), {'coco/bbox_mAP': 0.9, 'step': 2}, end='')
    assert validation_curve(tmp_path) == {1: {'AP': 10.0, 'AP50': 10.0, 'AP75': 10.0}}
    log(tmp_path / '2026_2', step(10), val(2, 0.2), val(1, 0.15))  # later sessions say it anew
    assert {place: scores['AP'] for place, scores in validation_curve(tmp_path).items()} == {1: 15.0, 2: 20.0}


def test_steps_after_the_last_that_was_logged_count(tmp_path):
    """LoggerHook leaves out the last steps of an epoch whose number is no multiple of its interval."""
    log(tmp_path / '2026_1', step(25), val(1, 0.1))
    assert trained_steps(tmp_path) == 25
    torch.save({'state_dict': {}, 'meta': {'epoch': 1, 'iter': 37}}, tmp_path / 'epoch_1.pth')
    assert trained_steps(tmp_path) == 37

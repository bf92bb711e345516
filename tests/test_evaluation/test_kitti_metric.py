import json
import math

import pytest
import torch
from mmdet.registry import METRICS

from mmdet_kd.errors import DistillationError
from mmdet_kd.evaluation import KittiMetric

NAMES = ('Car', 'Pedestrian', 'Cyclist')
LEVELS = ('easy', 'moderate', 'hard')


def annotation(number, image_id, category_id, kind, bbox, occluded=0):
    extra = dict(type=kind, truncated=0.0, occluded=occluded, area=bbox[2] * bbox[3], iscrowd=int(kind != 'Car'))
    return dict(id=number, image_id=image_id, category_id=category_id, bbox=bbox, **extra)


@pytest.fixture
def ann_file(tmp_path):
    """50 pictures with a Car that is hard, a Van, and a DontCare region for Cars."""
    annotations = []
    for image_id in range(1, 51):
        boxes = [('Car', [0, 0, 50, 50]), ('Van', [100, 0, 50, 50]), ('DontCare', [200, 0, 100, 100])]
        for kind, bbox in boxes:
            annotations.append(annotation(len(annotations) + 1, image_id, 1, kind, bbox, 2 * (kind == 'Car')))
    images = [dict(id=i, file_name=f'{i}.png', width=300, height=100) for i in range(1, 51)]
    categories = [dict(id=i, name=name) for i, name in enumerate(NAMES, start=1)]
    path = tmp_path / 'val.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def judge(metric, found, classes=NAMES, pictures=50):
    """`found`: (box, label, score) in each picture."""
    metric.dataset_meta = dict(classes=classes)
    prediction = dict(
        bboxes=torch.tensor([f[0] for f in found], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([f[1] for f in found], dtype=torch.long),
        scores=torch.tensor([f[2] for f in found], dtype=torch.float32),
    )
    for image_id in range(1, pictures + 1):
        metric.process({}, [dict(img_id=image_id, pred_instances=prediction)])
    return metric.evaluate(pictures)


def test_it_is_registered_under_its_name():
    assert METRICS.get('KittiMetric') is KittiMetric


def test_it_reads_its_file_and_names_what_it_gives(ann_file):
    # the object, the Van and something in the region
    result = judge(
        KittiMetric(str(ann_file)),
        [((0, 0, 50, 50), 0, 0.9), ((100, 0, 150, 50), 0, 0.95), ((210, 10, 260, 60), 0, 0.99)],
    )
    assert list(result) == [f'kitti/{name}_{level}' for name in (*NAMES, 'mAP') for level in LEVELS]
    assert result['kitti/Car_hard'] == result['kitti/mAP_hard'] == pytest.approx(100)
    others = [value for key, value in result.items() if 'hard' not in key or 'Ped' in key or 'Cyc' in key]
    assert len(others) == 10
    assert all(map(math.isnan, others))


def test_a_label_is_an_index_into_the_classes_of_the_detector(ann_file):
    found = [((0, 0, 50, 50), 1, 0.9)]
    assert judge(KittiMetric(str(ann_file)), found)['kitti/Car_hard'] == 0
    result = judge(KittiMetric(str(ann_file), prefix='own'), found, classes=('Tram', 'Car'))
    assert result['own/Car_hard'] == pytest.approx(100)
    assert list(result) == [f'own/{name}_{level}' for name in ('Car', 'mAP') for level in LEVELS]


def test_the_original_recall_positions_are_an_option(ann_file):
    found = [((0, 0, 50, 50), 0, 0.9)]
    # 20 objects: thresholds at the first 20 of 41 positions, of which 5 are among the 11
    for positions, expected in ((11, 5 / 11), (40, 19 / 40)):
        result = judge(KittiMetric(str(ann_file), recall_positions=positions), found, pictures=20)
        assert result['kitti/Car_hard'] == pytest.approx(100 * expected)


def test_no_detection_at_all(ann_file):
    assert judge(KittiMetric(str(ann_file)), [])['kitti/Car_hard'] == 0


def test_bad_arguments_are_refused(ann_file, tmp_path):
    with pytest.raises(DistillationError, match='recall_positions of KittiMetric is 40 or 11, not 12'):
        KittiMetric(str(ann_file), recall_positions=12)
    with pytest.raises(DistillationError, match=r'no\.json of KittiMetric is not what .*FileNotFoundError'):
        KittiMetric(str(tmp_path / 'no.json'))
    content = json.loads(ann_file.read_text())
    del content['annotations'][3]['occluded']
    ann_file.write_text(json.dumps(content))
    with pytest.raises(
        DistillationError, match=r"val\.json of KittiMetric is not what .*KeyError: 'occluded'.* write it again"
    ):
        KittiMetric(str(ann_file))
    ann_file.write_text('{"images": [')
    with pytest.raises(DistillationError, match=r'val\.json of KittiMetric is not what'):
        KittiMetric(str(ann_file))


def test_a_detector_of_other_classes_and_other_pictures_are_refused(ann_file):
    with pytest.raises(DistillationError, match='knows none of them'):
        judge(KittiMetric(str(ann_file)), [], classes=('cat',))
    with pytest.raises(DistillationError, match="picture 51 is not there: name the set's own"):
        judge(KittiMetric(str(ann_file)), [], pictures=51)


def test_pictures_of_another_set_with_the_same_numbers_are_refused(ann_file):
    """Every file counts from 1."""
    nothing = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0))
    metric = KittiMetric(str(ann_file))
    metric.process({}, [dict(img_id=7, img_path='elsewhere/7.png', pred_instances=nothing)])
    with pytest.raises(DistillationError, match=r"picture 7 is 7\.png, and not set/000321\.png: name the set's own"):
        metric.process({}, [dict(img_id=7, img_path='set/000321.png', pred_instances=nothing)])

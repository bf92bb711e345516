"""tools/distill.py, check.py, export_student.py and test.py take students of each family that learns by maps."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.narrow import narrowed, save_detector
from helpers.tiny import call_tool, log_of
from helpers.zoo import CONFIGS
from mmengine.config import Config
from test_datasets.own_layouts import coco

from mmdet_kd.comparison import Recipe, number_of_parameters
from mmdet_kd.export import with_num_classes

RESIZE = dict(type='Resize', scale=(192, 128), keep_ratio=True)
#: Maps of strides 8 to 64, which RetinaNet and Faster R-CNN have in common.
COMMON = dict(levels=(0, 1, 2, 3), teacher_levels=(1, 2, 3, 4))


class Family(NamedTuple):
    """A student and a teacher of mmdet's zoo, the method, and what the student's own distillers are to be told."""

    student: str
    teacher: str
    method: str
    levels: dict[str, Any] = {}
    masks: bool = False
    length: str = 'train_cfg.max_epochs=1'
    metrics: tuple[str, ...] = ('bbox',)


FASTER = 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
MASK = 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
DEFORMABLE = 'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'
CONDINST = 'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py'
FAMILIES = {
    'RetinaNet from Faster R-CNN': Family('retinanet/retinanet_r50_fpn_1x_coco.py', FASTER, 'cwd', COMMON),
    'Deformable DETR from its like': Family(DEFORMABLE, DEFORMABLE, 'pkd'),
    'CondInst from Mask R-CNN': Family(
        CONDINST, MASK, 'cwd', COMMON, masks=True, length='train_cfg.max_iters=1', metrics=('bbox', 'segm')
    ),
}


def write_detector(config: str, path: Path, masks: bool) -> dict[str, Any]:
    """A stock config, narrow and for small pictures; all else as mmdet has it. Returns its model of two classes."""
    cfg = Config.fromfile(CONFIGS / config)
    cfg.model = narrowed(config)
    if 'score_thr' in cfg.model.test_cfg:
        cfg.model.test_cfg.score_thr = 0.0  # or an untrained one finds nothing, which has no AP
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=masks)]
    flip = dict(type='RandomFlip', prob=0.5)
    cfg.train_pipeline = [*load, RESIZE, flip, dict(type='PackDetInputs')]
    cfg.test_pipeline = [load[0], RESIZE, load[1], dict(type='PackDetInputs', meta_keys=TEST_KEYS)]
    cfg.param_scheduler = [each for each in cfg.param_scheduler if each.type != 'LinearLR']  # longer than this training
    for split, pipeline in (('train', cfg.train_pipeline), ('val', cfg.test_pipeline), ('test', cfg.test_pipeline)):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
        cfg[f'{split}_dataloader'].dataset.pipeline = pipeline
    cfg.dump(path)
    return with_num_classes(copy.deepcopy(cfg.model), 2)


TEST_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')


def write_set(root: Path) -> None:
    """A set in COCO's folders, whose objects are drawn round."""
    coco(root)
    for path in root.glob('annotations/*.json'):
        content = json.loads(path.read_text())
        for each in content['annotations']:
            x, y, w, h = each['bbox']
            each['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        path.write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize('family', FAMILIES.values(), ids=FAMILIES)
def test_from_a_folder_to_an_exported_student(family, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / 'set')
    write_detector(family.student, tmp_path / 'student.py', family.masks)
    teacher = write_detector(family.teacher, tmp_path / 'teacher.py', family.masks)
    Path('teacher.py').write_text(Path('teacher.py').read_text() + f'\nmodel = {teacher.to_dict()!r}\n')
    save_detector(teacher, 'teacher.pth')
    call_tool(
        *('tools/distill.py', 'student.py', 'teacher.py', 'teacher.pth', '--data', 'set'),
        *('--method', family.method, '--out', 'out', '--dry-run'),
    )
    written = Config.fromfile('out/distilled.py')
    assert {key: written.model.distillers[family.method].get(key) for key in family.levels} == family.levels
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        call_tool('tools/check.py', 'out/distilled.py', '--steps', 1, '--pictures', 3)
    said = capsys.readouterr().out
    assert end.value.code == 1
    assert [line[8:].split(': ')[0] for line in said.splitlines() if line.startswith('FAILED')] == ['teacher']
    assert f'ok      distillers.{family.method}.loss_feat: ' in said

    call_tool('tools/train.py', 'out/distilled.py', '--work-dir', 'run', '--cfg-options', family.length)
    (checkpoint,) = Path('run').glob('*.pth')
    call_tool('tools/export_student.py', 'out/distilled.py', checkpoint, '--out', 'exported')
    call_tool('tools/test.py', 'exported/student.py', 'exported/student.pth', '--work-dir', 'tested')
    assert all(f'coco/{metric}_mAP: ' in log_of(Path('tested')) for metric in family.metrics)
    sizes = {number_of_parameters(Recipe(f'out/{name}.py').read()) for name in ('student', 'distilled')}
    assert len(sizes) == 1

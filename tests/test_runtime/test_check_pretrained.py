"""The pretrained weights that a config names: all that is missing is said before a training."""

import copy
import re
from pathlib import Path

import mmdet
import pytest
import torch
from helpers.distil import HINT, build, distilled_cfg
from mmdet.models import ResNet
from mmengine.model import PretrainedInit
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import check_pretrained, drop_pretrained

MMDETS_CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'


def problems(model):
    try:
        check_pretrained(model)
    except DistillationError as error:
        return error.problems
    return []


def named(source, **init_cfg):
    return dict(backbone=dict(type='ResNet', init_cfg=dict(type='Pretrained', checkpoint=source, **init_cfg)))


@pytest.fixture
def weights(tmp_path):
    torch.save({'w': torch.zeros(1000)}, tmp_path / 'weights.pth')
    return tmp_path / 'weights.pth'


# What a source can be


@pytest.mark.parametrize(
    'source',
    [
        'torchvision://resnet18',
        'modelzoo://resnet50',
        'open-mmlab://detectron2/resnet50_caffe',
        'openmmlab://vgg16_caffe',
        'open-mmlab://resnet50_caffe',  # an old name, which mmengine translates
        'mmcls://mobilenet_v2',
        'https://download.pytorch.org/models/resnet18-f37072fd.pth',
        'http://some.where/weights.pth',
        's3://bucket/weights.pth',
        'petrel://bucket/weights.pth',
        'open-mmlab:s3://bucket/weights.pth',
    ],
)
def test_what_mmengine_can_look_for_passes(source):
    assert problems(named(source)) == []


@pytest.mark.parametrize(
    ('source', 'reason', 'cure'),
    [
        ('torchvision://resnet500', 'mmengine knows no address of torchvision://resnet500', 'name the address'),
        ('modelzoo://resnet500', 'mmengine knows no address of modelzoo://resnet500', 'name the address'),
        ('torchvison://resnet50', 'mmengine knows no loader of torchvison://', 'Correct it'),
        ('jhu://resnet50_gn_ws', 'mmengine knows no loader of jhu://', 'Correct it'),
        ('open-mmlab://resnet500', "not in mmengine's table", 'Correct it'),
        ('openmmlab://resnet500', "not in mmengine's table", 'Correct it'),
        ('mmcls://resnet500', "not in mmengine's table", 'Correct it'),
        ('pavi://resnet50', 'not loaded by name', 'name the file'),
        ('https://', 'names no file', 'Complete it'),
        ('https://download.pytorch.org/', 'names no file', 'Complete it'),
        ('none.pth', r'there is no such file \(looked at FOLDER/none\.pth\)', 'Put the file there'),
        ('folder', r'it is a folder \(looked at FOLDER/folder\)', 'correct the path'),
        ('half.pth', r'half\.pth \(\d+ bytes\) is truncated or corrupt', 'copy or download it again'),
        ('', 'it names nothing', 'Name a file'),
        (None, 'it names nothing', 'Name a file'),
        (Path('weights.pth'), 'it names nothing', 'Name a file'),
    ],
)
def test_what_is_missing_is_named_with_its_cure(source, reason, cure, weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    Path('folder').mkdir()
    Path('half.pth').write_bytes(weights.read_bytes()[:2000])
    (problem,) = problems(named(source))
    assert problem.startswith(f'model.backbone.init_cfg.checkpoint={source!r}: ')
    assert re.search(reason.replace('FOLDER', re.escape(str(weights.parent))), problem)
    assert cure in problem


def test_a_local_file_passes_from_where_the_training_starts(weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    monkeypatch.setenv('HOME', str(weights.parent))
    assert problems(dict(backbone=[named(path) for path in ('weights.pth', '~/weights.pth', str(weights))])) == []


def test_a_loader_of_the_users_own_is_left_to_him(monkeypatch):
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    CheckpointLoader.register_scheme('mine://', lambda filename, map_location=None: {})
    assert problems(named('mine://weights')) == []


# Where it can stand


@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit])
def test_everything_missing_is_listed_at_once_at_any_depth(kind):
    missing = dict(type=kind, checkpoint='none.pth')
    model = dict(
        backbone=dict(type='ResNet', init_cfg=missing),
        neck=[dict(type='FPN', init_cfg=[dict(type='Xavier', layer='Conv2d'), missing])],
        rpn_head=dict(init_cfg=dict(type='Normal', layer='Conv2d', override=dict(name='rpn_conv', **missing))),
        roi_head=dict(bbox_head=[dict(init_cfg=dict(checkpoint='none.pth'))]),  # PVT's and Swin's has no type
        detector=dict(backbone=dict(type='DetectoRS_ResNet', pretrained='none.pth')),
        distillers=dict(hint=dict(adapter=dict(init_cfg=missing))),
    )
    assert [problem.partition('=')[0] for problem in problems(model)] == [
        'model.backbone.init_cfg.checkpoint',
        'model.neck.0.init_cfg.1.checkpoint',
        'model.rpn_head.init_cfg.override.checkpoint',
        'model.roi_head.bbox_head.0.init_cfg.checkpoint',
        'model.detector.backbone.pretrained',
        'model.distillers.hint.adapter.init_cfg.checkpoint',
    ]


def test_what_loads_nothing_is_no_problem():
    model = dict(
        backbone=dict(type='ResNet', init_cfg=None, pretrained=None),
        neck=dict(init_cfg=[dict(type='Kaiming', layer='Conv2d', override=dict(name='x', type='Constant'))]),
        timm=dict(type='TimmBackbone', pretrained=True),
        clip=dict(type='SomebodysCLIP', pretrained='openai'),
        mmpretrains=dict(type='mmpretrain.ResNet', pretrained='a-name'),
    )
    assert problems(model) == []


@pytest.mark.parametrize('kind', ['ResNet', 'mmdet.ResNet', ResNet])
def test_mmdets_old_key_is_looked_at(kind):
    assert len(problems(dict(backbone=dict(type=kind, pretrained='none.pth')))) == 1


def test_a_teachers_own_are_not_looked_at():
    """They are left out when it is built."""
    teacher = dict(config=dict(model=named('none.pth')), checkpoint=None)
    assert problems(dict(teacher=teacher, teachers=dict(one=teacher))) == []


def test_all_of_mmdets_zoo_passes():
    """Each name in its configs is known; only files that its readers make themselves are missing."""
    missing = set()
    for path in sorted((MMDETS_CONFIGS).rglob('*.py')):
        for source in re.findall(r"'((?:torchvision|open-mmlab|mmcls|https?)://[^']+)'", path.read_text()):
            missing.update(problems(named(source)))
    assert missing == set()


# Dropping


def test_dropped_weights_are_not_looked_for():
    model = named('none.pth')
    model['neck'] = dict(init_cfg=[dict(type='Xavier', layer='Conv2d'), dict(type='Pretrained', checkpoint='none.pth')])
    model['head'] = dict(type='ResNet', pretrained='none.pth')
    model['pvt'] = dict(init_cfg=dict(checkpoint='none.pth'))
    assert len(problems(model)) == 4
    drop_pretrained(model)
    assert problems(model) == []
    assert model['neck']['init_cfg'] == [dict(type='Xavier', layer='Conv2d')]


# When it is said


def test_a_detector_says_it_before_it_initialises_anything(student_cfg, teacher_cfg):
    """For whoever trains with mmdet's own tools. The teacher's is not needed, though it is untrained."""
    cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint=HINT)
    for model in (cfg.model, cfg.model.teacher.config.model):
        model.backbone.init_cfg = dict(type='Pretrained', checkpoint='none.pth')
        model.neck.init_cfg = dict(type='Pretrained', checkpoint='open-mmlab://none')
    detector = build(cfg, init=False)
    before = copy.deepcopy(detector.state_dict())
    with pytest.raises(DistillationError) as caught:
        detector.init_weights()
    assert [problem.partition('=')[0] for problem in caught.value.problems] == [
        'model.backbone.init_cfg.checkpoint',
        'model.neck.init_cfg.checkpoint',
    ]
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


def test_a_detector_that_is_only_tested_does_not_say_it(student_cfg, teacher_cfg):
    from helpers.distil import raw_batch

    cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint=HINT)
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='none.pth')
    detector = build(cfg, init=False).eval()
    assert len(detector.test_step(raw_batch())) == 2

"""A teacher's config is found whatever the working directory, and an error says where was looked."""

import copy
from pathlib import Path

import pytest
from helpers.detr import detr
from helpers.distil import distilled_cfg
from mmengine.config import Config, ConfigDict

import mmdet_kd
from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import load_teacher_config
from mmdet_kd.teachers.config import find_config

IN_MMDET = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
CHECKOUT = Path(mmdet_kd.__file__).parents[1]


@pytest.fixture
def written(student_cfg, tmp_path):
    """A config file in a folder of its own."""
    path = tmp_path / 'some where' / 'teacher.py'
    path.parent.mkdir()
    student_cfg.dump(str(path))
    return path


def test_a_distilled_student_of_a_class_of_its_own_teaches_as_that(student_cfg):
    """Its `detector` is the name of a class, not a detector that it holds."""
    student = distilled_cfg(detr(student_cfg), 'teacher.py', 'teacher.pth')
    assert student.model.detector == 'DETR'
    assert load_teacher_config(student).model == detr(student_cfg).model


def test_absolute_path(written, student_cfg):
    assert load_teacher_config(str(written)).model == student_cfg.model
    assert load_teacher_config(written).model == student_cfg.model


def test_relative_to_the_working_directory(written, monkeypatch):
    monkeypatch.chdir(written.parent)
    assert find_config('teacher.py') == written
    monkeypatch.chdir(written.parents[1])
    assert find_config('some where/teacher.py') == written


def test_home(written, monkeypatch):
    monkeypatch.setenv('HOME', str(written.parent))
    assert find_config('~/teacher.py') == written


def test_relative_to_the_checkout_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = sorted((CHECKOUT / 'configs').rglob('*.py'))[0].relative_to(CHECKOUT)
    assert find_config(str(shipped)) == CHECKOUT / shipped
    inside = shipped.relative_to('configs')
    assert find_config(f'mmdet_kd::{inside}') == CHECKOUT / shipped


def test_the_working_directory_comes_before_the_checkout(tmp_path, monkeypatch):
    shipped = sorted((CHECKOUT / 'configs').rglob('*.py'))[0].relative_to(CHECKOUT)
    own = tmp_path / shipped
    own.parent.mkdir(parents=True)
    own.write_text('model = dict(type="Own")\n')
    monkeypatch.chdir(tmp_path)
    assert load_teacher_config(str(shipped)).model.type == 'Own'


def test_a_name_in_mmdet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_teacher_config(IN_MMDET)
    assert cfg.model.type == 'FasterRCNN'
    assert cfg.model.backbone.depth == 50


@pytest.mark.parametrize('wrap', [lambda c: c, lambda c: c.to_dict(), lambda c: ConfigDict(c.to_dict())])
def test_a_whole_config(wrap, student_cfg):
    assert load_teacher_config(wrap(student_cfg)).model == student_cfg.model
    assert 'train_dataloader' in load_teacher_config(wrap(student_cfg))


@pytest.mark.parametrize('wrap', [lambda m: m, lambda m: m.to_dict(), lambda m: Config(m.to_dict())])
def test_a_model_alone(wrap, student_cfg):
    assert load_teacher_config(wrap(student_cfg.model)).model == student_cfg.model


def test_what_was_given_is_left_alone(student_cfg):
    given = student_cfg.to_dict()
    before = copy.deepcopy(given)
    cfg = load_teacher_config(given)
    cfg.model.backbone.depth = 50
    cfg.model.train_cfg.rcnn.sampler.num = 1
    assert given == before


@pytest.mark.parametrize('kind', ['absolute', 'relative', 'mmdet', 'here'])
def test_a_missing_file_lists_where_was_looked(kind, tmp_path, monkeypatch):
    import mmdet

    monkeypatch.chdir(tmp_path)
    name, places = {
        'absolute': (f'{tmp_path}/no.py', [tmp_path / 'no.py']),
        'relative': ('configs/no.py', [tmp_path / 'configs/no.py', CHECKOUT / 'configs/no.py']),
        'mmdet': ('mmdet::faster_rcnn/no.py', [Path(mmdet.__file__).parent / '.mim/configs/faster_rcnn/no.py']),
        'here': ('mmdet_kd::no.py', [CHECKOUT / 'configs/no.py']),
    }[kind]
    with pytest.raises(DistillationError, match=r'there is no teacher config .*no\.py.*looked at') as caught:
        load_teacher_config(name)
    for place in places:
        assert str(place) in str(caught.value)


@pytest.mark.parametrize('package', ['no_such_package', '../mmdet', 'mmdet.models', ''])
def test_an_unknown_package(package):
    with pytest.raises(DistillationError, match='no such package is installed'):
        load_teacher_config(f'{package}::a.py')


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(DistillationError, match='there is no teacher config'):
        load_teacher_config(tmp_path)


@pytest.mark.parametrize('given', [{}, {'model': {}}, {'model': {'backbone': 1}}, {'backbone': {'type': 'ResNet'}}])
def test_a_config_without_a_detector(given):
    with pytest.raises(DistillationError, match='given as a dict has no `model` with a `type`'):
        load_teacher_config(given)


def test_a_file_without_a_model(tmp_path):
    path = tmp_path / 'data.py'
    path.write_text('train_dataloader = dict()\n')
    with pytest.raises(DistillationError, match=r'data\.py.* has no `model`'):
        load_teacher_config(str(path))


@pytest.mark.parametrize('given', [None, 3, ['a.py']])
def test_something_else(given):
    with pytest.raises(DistillationError, match=f'not {type(given).__name__}'):
        load_teacher_config(given)


def test_custom_imports_of_a_dict_are_imported(student_cfg, tmp_path, monkeypatch):
    (tmp_path / 'imported_by_a_teacher.py').write_text('done = True\n')
    monkeypatch.syspath_prepend(tmp_path)
    student_cfg.custom_imports = dict(imports=['imported_by_a_teacher'], allow_failed_imports=False)
    load_teacher_config(student_cfg)
    import imported_by_a_teacher

    assert imported_by_a_teacher.done

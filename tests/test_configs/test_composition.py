"""Student x teacher x method x data x schedule: five lines, each of which may be swapped alone."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from config_sweep import CONFIGS, FRAGMENTS, build, build_shape, fragments, load, shrink, train_step
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config

COCO = CONFIGS / 'chen2017/chen2017_faster-rcnn-r18-fpn-from-r50-fpn_1x_coco.py'
VOC = CONFIGS / 'chen2017/chen2017_faster-rcnn-r18-fpn-from-r50-fpn_4e_voc0712.py'
C4 = CONFIGS / 'chen2017/chen2017_faster-rcnn-r18-c4-from-r50-caffe-c4_1x_coco.py'
QR50 = CONFIGS / 'dicod/dicod_faster-rcnn-qr50-fpn-from-classifier-r50_1x_coco.py'
QR50_HINT = CONFIGS / 'dicod/dicod-hint_faster-rcnn-qr50-fpn-from-classifier-r50-and-r50-fpn_1x_coco.py'
RETINANET = CONFIGS / 'dicod/dicod_retinanet-r50-fpn-from-classifier-r50_2x_coco.py'
SSD512 = CONFIGS / 'dicod/dicod_ssd512-vgg16-from-classifier-r50-ssd_2x_coco.py'

METHODS_C4 = [name for name in fragments('distillers') if name.endswith('-c4')]
METHODS = [name for name in fragments('distillers') if name.startswith('chen2017') and name not in METHODS_C4]
FIELD_TWO_STAGE = ['cwd', 'fitnets', *(name for name in fragments('distillers') if name.endswith('-two-stage'))]
DICOD = [name for name in fragments('distillers') if name.startswith('dicod') and 'hint' not in name]
STUDENTS_C4 = [name for name in fragments('students') if name.endswith('_c4')]
STUDENTS = [name for name in fragments('students') if '-rcnn_' in name and name.endswith('_fpn')]
COCO_TEACHERS = [name for name in fragments('teachers') if '-rcnn_r' in name and name.endswith('_fpn_coco')]


#: Of variants of one method, these are tried at once, and the others in the sweep.
QUICK = ('chen2017', 'chen2017-hint-adapted', 'chen2017-ramp', 'dicod', 'dicod-sigmoid', 'dicod-std1')


def some_at_once(methods: list[str]) -> list:
    """Those of `QUICK`; the others are marked as slow."""
    return [pytest.param(method, marks=() if method in QUICK else pytest.mark.slow) for method in methods]


def covering(*axes: list[str]) -> list[tuple[str, ...]]:
    """A few of all combinations, among which every pair of values of two axes stands together once at least."""
    combinations = list(itertools.product(*axes))
    pairs_of = {each: set(itertools.combinations(enumerate(each), 2)) for each in combinations}
    missing, chosen = set().union(*pairs_of.values()), []
    while missing:
        chosen.append(max(combinations, key=lambda each: len(pairs_of[each] & missing)))
        missing -= pairs_of[chosen[-1]]
    return chosen


def swap(whole: Path, folder: Path, **by_kind: str | None) -> Path:
    """A copy of a whole config in which the line of each named kind names another fragment, or is gone."""
    lines = whole.read_text().splitlines()
    for kind, name in by_kind.items():
        (place,) = (i for i, line in enumerate(lines) if f'_base_/{kind}/' in line)
        lines[place] = f"    '../_base_/{kind}/{name}.py'," if name else ''
    path = folder / 'whole.py'
    path.write_text('\n'.join(lines).replace("'../_base_/", f"'{FRAGMENTS}/"))
    return path


def swapped(whole: Path, folder: Path, **by_kind: str | None) -> Config:
    return Config.fromfile(swap(whole, folder, **by_kind))


@pytest.mark.slow
def test_fragments_of_a_kind_define_the_same_keys() -> None:
    for kind, allowed in dict(
        students={'model', 'norm_cfg', 'pretrained'},
        teachers={'teacher', 'classifier'},
        classifiers={'model', 'custom_hooks'},
        pipelines={'ssd_train_pipeline', 'ssd_test_pipeline'},
        distillers={'distillers', 'custom_hooks'},
        schedules={'train_cfg', 'val_cfg', 'test_cfg', 'param_scheduler', 'optim_wrapper', 'auto_scale_lr'},
    ).items():
        for name in fragments(kind):
            assert load(f'_base_/{kind}/{name}.py').keys() <= allowed, name
    for name in fragments('pairs'):  # everything but a method
        keys = load(f'_base_/pairs/{name}.py').keys()
        assert {'model', 'num_classes', 'train_dataloader', 'optim_wrapper', 'default_hooks'} <= keys
        assert not {'teacher', 'distillers'} & keys
    for name in fragments('datasets'):
        assert {'num_classes', 'train_dataloader', 'val_dataloader', 'val_evaluator'} <= load(
            f'_base_/datasets/{name}.py'
        ).keys()


# Each line alone


@pytest.mark.parametrize('student', STUDENTS)
def test_swap_the_student(student: str, tmp_path: Path) -> None:
    cfg = swapped(COCO, tmp_path, students=student)
    plain = load(f'_base_/students/{student}.py').model
    assert cfg.model.backbone == plain.backbone
    assert cfg.model.roi_head == plain.roi_head
    assert cfg.model.teacher == load(COCO.relative_to(CONFIGS)).model.teacher
    build_shape(cfg)


@pytest.mark.parametrize('teacher', COCO_TEACHERS)
def test_swap_the_teacher(teacher: str, tmp_path: Path) -> None:
    cfg = swapped(COCO, tmp_path, teachers=teacher)
    assert cfg.model.teacher == load(f'_base_/teachers/{teacher}.py').teacher
    build_shape(cfg)


@pytest.mark.parametrize('method', [*some_at_once(METHODS), *FIELD_TWO_STAGE])
def test_swap_the_method(method: str, tmp_path: Path) -> None:
    cfg = swapped(COCO, tmp_path, distillers=method)
    assert cfg.model.distillers == load(f'_base_/distillers/{method}.py').distillers
    build_shape(cfg)


def head_classes(cfg: Config) -> list[int]:
    """Of every box head of the exported student."""
    plain = plain_student_config(cfg).model.roi_head.bbox_head
    return [head.num_classes for head in (plain if isinstance(plain, list) else [plain])]


@pytest.mark.parametrize(('student', 'count'), [('cascade-rcnn_r50_fpn', 3), ('faster-rcnn_r18_fpn', 1)])
def test_swap_the_student_on_a_set_of_other_classes(student: str, count: int, tmp_path: Path) -> None:
    cfg = swapped(VOC, tmp_path, students=student)
    assert head_classes(cfg) == [20] * count
    build_shape(cfg)


def test_swap_the_data(tmp_path: Path) -> None:
    cfg = swapped(VOC, tmp_path, datasets='voc07')
    assert cfg.train_dataloader.dataset.dataset.ann_file == 'VOC2007/ImageSets/Main/trainval.txt'
    assert head_classes(cfg) == [20]
    cfg = swapped(VOC, tmp_path, datasets='coco_detection')  # and then a teacher that knows these classes
    assert head_classes(cfg) == [80]
    with pytest.raises(DistillationError, match='the student knows 80 classes, the teacher 20'):
        build_shape(cfg)
    build_shape(swapped(VOC, tmp_path, datasets='coco_detection', teachers='faster-rcnn_r50_fpn_coco'))


@pytest.mark.parametrize('schedule', fragments('schedules'))
def test_swap_the_schedule(schedule: str, tmp_path: Path) -> None:
    cfg = swapped(COCO, tmp_path, schedules=schedule)
    assert cfg.train_cfg == load(f'_base_/schedules/{schedule}.py').train_cfg


@pytest.mark.parametrize('student', STUDENTS_C4)
def test_swap_the_student_without_a_neck(student: str, tmp_path: Path) -> None:
    build_shape(swapped(C4, tmp_path, students=student))


@pytest.mark.parametrize('method', some_at_once(DICOD))
def test_swap_the_method_of_dicod(method: str, tmp_path: Path) -> None:
    whole = RETINANET if method.endswith('-sigmoid') else SSD512 if method.endswith('-std1') else QR50
    cfg = swapped(whole, tmp_path, distillers=method)
    assert cfg.model.distillers == load(f'_base_/distillers/{method}.py').distillers
    build_shape(cfg)


@pytest.mark.parametrize('student', [STUDENTS[0], *(pytest.param(s, marks=pytest.mark.slow) for s in STUDENTS[1:])])
def test_swap_the_student_of_dicod(student: str, tmp_path: Path) -> None:
    build_shape(swapped(QR50, tmp_path, students=student))
    build_shape(swapped(QR50_HINT, tmp_path, students=student))


# All together


@pytest.mark.slow
@pytest.mark.parametrize(('student', 'teacher', 'method'), covering(STUDENTS, COCO_TEACHERS, METHODS))
def test_every_pair_of_fragments_builds(student: str, teacher: str, method: str, tmp_path: Path) -> None:
    """Two fragments may not suit each other; a third one has never been the reason."""
    build_shape(swapped(COCO, tmp_path, students=student, teachers=teacher, distillers=method))


@pytest.mark.slow
@pytest.mark.parametrize('method', [*METHODS, 'dicod-cls', 'dicod-loc'])
@pytest.mark.parametrize('student', ['cascade-rcnn_r50_fpn', 'mask-rcnn_r50_fpn'])
def test_every_method_trains_every_kind_of_head(student: str, method: str, tmp_path: Path) -> None:
    whole = QR50 if method in DICOD else COCO
    cfg = shrink(swapped(whole, tmp_path, students=student, distillers=method))
    step = train_step(build(cfg), cfg)
    assert step.total.isfinite()
    assert not step.unreached
    assert any(name.startswith('backbone.') for name in step.taught)


UNLIKE = 'retinanet-r50-fpn-from-fcos-x101-64x4d-fpn_1x_coco'  # anchors from points


@pytest.mark.slow
@pytest.mark.parametrize(
    ('pair', 'method'),
    [
        *((UNLIKE, method) for method in ('cwd', 'fgd', 'fgfi', 'fitnets', 'fkd', 'mgd', 'pkd')),
        ('faster-rcnn-r50-fpn-from-r101-fpn_1x_coco', 'fitnets'),
        ('faster-rcnn-r50-fpn-from-cascade-mask-rcnn-x101-dconv-fpn_2x_coco', 'gid-two-stage'),
    ],
)
def test_methods_train_pairs_of_which_no_whole_config_is(pair: str, method: str, tmp_path: Path) -> None:
    """With the whole configs, each method trains two-stage, one-stage and unlike pairs."""
    bases = [f'{FRAGMENTS}/pairs/{pair}.py', f'{FRAGMENTS}/distillers/{method}.py']
    path = tmp_path / 'whole.py'
    path.write_text(f'_base_ = {bases}\nmodel = dict(distillers=_base_.distillers)\ndel _base_.distillers\n')
    cfg = shrink(Config.fromfile(path))
    step = train_step(build(cfg), cfg)
    assert step.total.isfinite()
    assert not step.unreached
    assert any(name.startswith('backbone.') for name in step.taught)


# What does not go together is refused, with the reason


def test_two_methods_are_refused(tmp_path: Path) -> None:
    text = swap(COCO, tmp_path).read_text()
    other = f"    '{FRAGMENTS}/distillers/chen2017-hint.py',"
    (tmp_path / 'two.py').write_text(text.replace(']\n', f'{other}\n]\n', 1))
    with pytest.raises(KeyError, match=r"Duplicate key is not allowed among bases.*'distillers'"):
        Config.fromfile(tmp_path / 'two.py')


@pytest.mark.parametrize(('kind', 'key'), [('teachers', 'teacher'), ('distillers', 'distillers')])
def test_a_missing_fragment_is_refused(kind: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match=key):
        swapped(COCO, tmp_path, **{kind: None})


@pytest.mark.parametrize(
    ('whole', 'lines', 'reason'),
    [
        (COCO, dict(students='faster-rcnn_r18_c4'), 'has no .neck.'),
        (COCO, dict(teachers='faster-rcnn_r50-caffe-c4_coco'), 'strides'),
        (COCO, dict(teachers='faster-rcnn_r50_fpn_voc0712'), 'the student knows 80 classes, the teacher 20'),
        (C4, dict(teachers='faster-rcnn_r50_fpn_coco'), 'strides'),
        (QR50, dict(distillers='dicod-sigmoid'), 'sigmoid'),
        (RETINANET, dict(distillers='dicod'), 'sigmoid'),
    ],
    ids=['no neck', 'teacher without neck', 'other classes', 'teacher with neck', 'no sigmoids', 'sigmoids'],
)
def test_pairs_that_do_not_fit_are_refused(whole: Path, lines: dict[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=reason):
        build_shape(swapped(whole, tmp_path, **lines))


# What configs/README.md and docs/own_data.md tell users to write


def readme_example(containing: str) -> str:
    texts = [path.read_text() for path in (CONFIGS / 'README.md', CONFIGS.parent / 'docs' / 'own_data.md')]
    blocks = re.findall(r'```python\n(.*?)```', '\n'.join(texts), re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return block


def test_whole_config_of_the_readme_is_the_one_in_the_repository() -> None:
    shown = readme_example("datasets/coco_detection.py',\n")
    assert shown == (CONFIGS / 'chen2017/chen2017_faster-rcnn-r50-fpn-from-r101-fpn_1x_coco.py').read_text()


def test_config_on_a_pair_of_the_readme_is_the_one_in_the_repository() -> None:
    shown = readme_example('/pairs/')
    assert shown == (CONFIGS / 'pkd/pkd_faster-rcnn-r50-fpn-from-r101-fpn_2x_coco.py').read_text()


def test_two_methods_of_the_readme_add_up(tmp_path: Path) -> None:
    text = readme_example("['./pkd_").replace("'./", f"'{CONFIGS}/pkd/").replace("'../_base_", f"'{FRAGMENTS}")
    (tmp_path / 'two.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'two.py')
    assert cfg.model.distillers.keys() == {'pkd', 'rpn', 'roi'}
    assert 'distillers' not in cfg
    build_shape(cfg)


def test_users_own_configs_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # whatever the working directory
    mine = tmp_path / 'configs/mine'
    mine.mkdir(parents=True)
    (tmp_path / 'configs/_base_').symlink_to(FRAGMENTS)
    (mine / 'helmets_detection.py').write_text(readme_example("'data/helmets/'"))
    (mine / 'helmets_teacher.py').write_text(
        "_base_ = ['../_base_/students/faster-rcnn_r50_fpn.py', './helmets_detection.py']\n"
        'model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))\n'
    )
    text = readme_example("'./helmets_detection.py'")
    assert len(text.splitlines()) <= 15
    (mine / 'mine.py').write_text(text)

    cfg = Config.fromfile(mine / 'mine.py')
    assert cfg.train_dataloader.dataset.ann_file == 'coco/train.json'
    assert 'min_size' not in cfg.train_dataloader.dataset.filter_cfg  # small pictures count
    assert cfg.val_dataloader.dataset.ann_file == 'coco/val.json'
    assert cfg.test_dataloader.dataset.metainfo.classes == ('helmet', 'head', 'person')
    assert head_classes(cfg) == [3]
    build_shape(cfg)
    cfg.merge_from_dict({'model.teacher.checkpoint': 'other.pth', 'model.distillers.roi.mu': 0.8})
    assert cfg.model.teacher.checkpoint == 'other.pth'
    assert cfg.model.distillers.roi.mu == 0.8


def test_config_on_a_whole_student_of_the_readme(tmp_path: Path) -> None:
    (tmp_path / 'configs/mine').mkdir(parents=True)
    (tmp_path / 'configs/_base_').symlink_to(FRAGMENTS)
    (tmp_path / 'configs/mine/my_student.py').write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'\n"
    )
    path = tmp_path / 'configs/mine/mine.py'
    path.write_text(readme_example("['./my_student.py', "))
    cfg = Config.fromfile(path)
    assert cfg.model.teacher.config == 'my_teacher.py'
    assert cfg.default_hooks.keys() > {'exact_resume', 'checkpoint'}
    assert (cfg.default_hooks.checkpoint.type, cfg.default_hooks.checkpoint.interval) == ('WholeCheckpointHook', 1)
    cfg.model.teacher = load('_base_/teachers/faster-rcnn_r101_fpn_coco.py').teacher
    build_shape(cfg)


def test_change_of_an_inherited_config_of_the_readme(tmp_path: Path) -> None:
    text = readme_example('hint=None')
    base = CONFIGS / 'chen2017' / base_lines_of(text)[0]
    (tmp_path / 'mine.py').write_text(text.replace(base_lines_of(text)[0], str(base)))
    cfg = Config.fromfile(tmp_path / 'mine.py')
    assert cfg.model.distillers.hint is None
    assert cfg.model.distillers.roi.mu == 0.8
    assert cfg.model.distillers.roi.type == 'RoIDistiller'
    build_shape(cfg)


def base_lines_of(text: str) -> list[str]:
    return re.findall(r"^_base_ = '(.+?)'", text, re.MULTILINE)

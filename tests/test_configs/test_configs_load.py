"""Every config loads, is called what it holds, and names only what exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import mmdet
import pytest
from config_sweep import (
    CONFIGS,
    REPO,
    base_fragments,
    base_lines,
    check_each,
    config_files,
    fragments,
    read,
    teacher_configs,
    whole_configs,
)
from mmengine.config import Config
from mmengine.fileio import load as load_file

from mmdet_kd.class_names import classes_of_config
from mmdet_kd.config_writer.methods import VARIANTS
from mmdet_kd.export import plain_student_config
from mmdet_kd.teachers.config import find_config

MMDET = Path(mmdet.__file__).parent / '.mim'
# Folders whose configs are not called after a method: mmdet's own grammar, and the demo.
NOT_METHODS = ('baselines', 'bccd', 'demo')
FIELD = r'[a-z0-9.]+(?:-[a-z0-9.]+)*'
SCHEDULE_AND_DATASET = rf'(?P<schedule>\d+[xek])_(?P<dataset>{FIELD})'
DISTILLED = re.compile(rf'(?P<method>{FIELD})_(?P<student>{FIELD})-from-(?P<teacher>{FIELD})_{SCHEDULE_AND_DATASET}')
#: A whole config of mmdet, with what its name says of the training before the schedule: ms-poly-90k, 8xb2-12e.
OF_MMDET = re.compile(rf'(?P<detector>.+?)_(?:[a-z0-9]+-)*{SCHEDULE_AND_DATASET}(_instance)?')
PLAIN = re.compile(rf'(?P<detector>{FIELD}(_{FIELD})*)_{SCHEDULE_AND_DATASET}')


def in_folder(*folders: str) -> list[Path]:
    return [path for path in whole_configs() if path.parts[0] in folders]


def method_folders() -> list[str]:
    return sorted({path.parts[0] for path in whole_configs()} - set(NOT_METHODS))


def distilled_configs() -> list[Path]:
    return [path for path in in_folder(*method_folders()) if '-from-' in path.stem]


def plain_configs() -> list[Path]:
    """The baselines, and the classifiers that a method has for teachers."""
    return [path for path in in_folder('baselines', *method_folders()) if path not in distilled_configs()]


@pytest.mark.parametrize('step', [8, pytest.param(1, marks=pytest.mark.slow)])
def test_every_config(step: int) -> None:
    """All that is asked of each config, in one test: to read them all takes longer than to look at them.

    Each eighth one is looked at in each run, all of them in the sweeps.
    """
    assert len(config_files()) > len(whole_configs()) > 200
    check_each(config_files()[::step], loads)
    check_each(whole_configs()[::step], is_whole)
    check_each(distilled_configs()[::step], follows_the_grammar_of_distillation)
    check_each(plain_configs()[::step], follows_the_grammar_of_plain_detectors)
    check_each(distilled_configs()[::step], name_says_which_fragments)
    check_each(in_folder('fgd', 'mgd')[::step], clips_gradients_as_the_authors_do)
    check_each(whole_configs()[::step], heads_have_the_classes_of_the_data)
    check_each(of_dicod(distilled=True)[::step], suits_the_students_pixels_and_scores)
    check_each(of_dicod(distilled=False)[::step], is_judged_on_the_boxes_of_the_pictures_that_it_sees)


def loads(path: Path) -> None:
    assert len(read(path)) > 0


def is_whole(path: Path) -> None:
    cfg = read(path)
    for key in ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator', 'train_cfg', 'optim_wrapper'):
        assert key in cfg, key
    assert cfg.default_scope == 'mmdet'
    if teacher_configs(cfg):
        assert cfg.custom_imports.imports == ['mmdet_kd']
        # tools/train.py adds both hooks to any config; a whole config of a method resumes with mmdet's tool too
        if path.parts[0] not in NOT_METHODS:
            assert cfg.default_hooks.exact_resume == dict(type='ExactResumeHook')
            assert cfg.default_hooks.checkpoint.type == 'WholeCheckpointHook'
            assert cfg.default_hooks.checkpoint.interval > 0
        # in the model and nowhere else, or a change of the wrong one would go unnoticed
        assert not {'teacher', 'classifier', 'distillers'} & cfg.keys()


def survives_being_saved(cfg: Config, folder: Path) -> None:
    cfg.dump(folder / 'saved.py')
    assert Config.fromfile(folder / 'saved.py').to_dict() == cfg.to_dict()


def test_a_config_survives_being_saved(tmp_path: Path) -> None:
    """The Runner saves it in the work_dir and in every checkpoint."""
    survives_being_saved(read(in_folder('chen2017')[0]), tmp_path)


@pytest.mark.slow
def test_every_config_survives_being_saved(tmp_path: Path) -> None:
    """Without yapf, which takes seconds a config and changes no value."""

    def check(path: Path) -> None:
        survives_being_saved(Config(read(path).to_dict(), format_python_code=False), tmp_path)

    check_each(whole_configs(), check)


def test_names_are_unique() -> None:
    """``mim train mmdet_kd NAME`` looks for the name everywhere under configs/, fragments included."""
    names = Counter(path.name for path in config_files())
    assert [name for name, count in names.items() if count > 1] == []


def follows_the_grammar_of_distillation(path: Path) -> None:
    name = DISTILLED.fullmatch(path.stem)
    assert name
    assert name['method'].split('-')[0] == path.parts[0]
    cfg = read(path)
    assert teacher_configs(cfg)
    assert 'distillers' in cfg.model


def follows_the_grammar_of_plain_detectors(path: Path) -> None:
    assert PLAIN.fullmatch(path.stem)
    assert not teacher_configs(read(path))


def name_says_which_fragments(path: Path) -> None:
    name = DISTILLED.fullmatch(path.stem)
    lines = base_fragments(path)
    if 'mmdet' in lines:
        is_said_of_a_config_of_mmdet(path, name)
    else:
        is_said_of_fragments(name, lines)
    # with a student at a lower resolution, the teacher's own follows: voc07-344-from-688
    size, _, size_of_teacher = name['dataset'].partition('-from-')
    trained_on = f'{size.rpartition("-")[0]}-{size_of_teacher}' if size_of_teacher else size
    # a teacher of the student's own architecture is not said twice
    architecture = re.match(r'([a-z0-9]+-){0,2}rcnn-|[a-z0-9]+(-detr)?-', name['student']).group()
    for said, teacher in zip(name['teacher'].split('-and-'), lines['teachers'], strict=True):
        teacher, _, its_set = teacher.rpartition('_')
        assert said in (teacher.replace('_', '-'), teacher.replace('_', '-').removeprefix(architecture))
        assert its_set == trained_on
    # a fragment may be for a family of students, and two methods may add up
    family = f'-({"|".join(VARIANTS)})$'
    said = '-'.join(re.sub(family, '', method) for method in lines['distillers'])
    inherits = any(teacher.get('inherit') for teacher in teacher_configs(read(path)))
    assert name['method'] == f'{said}-inherit' if inherits else said


def is_said_of_fragments(name: re.Match[str], lines: dict[str, list[str]]) -> None:
    kinds = ('students', 'datasets', 'schedules', '_base_')
    (student,), (data,), (schedule,), (runtime,) = (lines[kind] for kind in kinds)
    # the anchors of SSD are made for a set
    assert student.removesuffix(f'_{name["dataset"]}').replace('_', '-') == name['student']
    assert data.split('_')[0] == name['dataset']
    assert schedule.split('_')[:2] == ['schedule', name['schedule']]
    assert runtime == 'default_runtime'


def is_said_of_a_config_of_mmdet(path: Path, name: re.Match[str]) -> None:
    """Its student, but for the depth of a ResNet, its schedule and its set."""
    lines = base_fragments(path)
    (whole,) = lines['mmdet']
    theirs = OF_MMDET.fullmatch(whole)
    assert theirs
    depth = read(path).model.backbone.get('depth')
    student = theirs['detector'].replace('_', '-')
    assert name['student'] == (student if depth is None else re.sub(r'-r\d+\b', f'-r{depth}', student))
    assert (name['schedule'], name['dataset']) == (theirs['schedule'], theirs['dataset'])
    assert lines['_base_'] == ['distillation_hooks']


def clips_gradients_as_the_authors_do(path: Path) -> None:
    assert read(path).optim_wrapper.clip_grad.max_norm == 35


def heads_have_the_classes_of_the_data(path: Path) -> None:
    cfg = plain_student_config(read(path))
    count = len(classes_of_config(cfg))
    assert cfg.get('num_classes', count) == count
    holder = cfg.model.get('roi_head', cfg.model)
    heads = holder.get('bbox_head', cfg.model)  # a classifier of crops is its own head
    heads = [*(heads if isinstance(heads, list) else [heads]), holder.get('mask_head', {})]
    assert [head.get('num_classes', count) for head in heads] == [count] * len(heads)


def strings(path: Path) -> list[str]:
    tree = ast.parse((CONFIGS / path).read_text())
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_named_configs_exist_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def check(path: Path) -> None:
        bases = base_lines(path)
        for text in strings(path):
            if text.startswith('mmdet::'):
                assert (MMDET / 'configs' / text.removeprefix('mmdet::')).is_file(), text
            elif text.endswith('.py') and '{{' not in text and text not in bases:
                assert find_config(text).is_file()
        for base in bases:
            assert base.startswith(('mmdet::', './', '../')), base

    check_each(config_files(), check)


@cache
def metafile_of(folder: Path) -> dict:
    """Of a folder of mmdet's configs."""
    return load_file(str(MMDET / folder / 'metafile.yml'))


def test_teachers_and_their_weights_belong_together() -> None:
    check_each(fragments('teachers'), teacher_and_its_weights_belong_together)


def teacher_and_its_weights_belong_together(name: str) -> None:
    (teacher,) = read(f'_base_/teachers/{name}.py').values()
    if teacher.config.startswith('mmdet::'):
        config = f'configs/{teacher.config.removeprefix("mmdet::")}'
        metafile = metafile_of(Path(config).parent)
        assert teacher.checkpoint in [model.get('Weights') for model in metafile['Models'] if model['Config'] == config]
    else:  # trained by hand: as many epochs as its own config says, into the folder that tools/train.py takes
        cfg = Config.fromfile(find_config(teacher.config))
        folder, checkpoint = Path(teacher.checkpoint).parts[-2:]
        assert folder == Path(teacher.config).stem
        assert checkpoint == f'epoch_{cfg.train_cfg.max_epochs}.pth'


NETS = ('alexnet', 'vgg-m', 'vgg16')
ABLATION = ('cls', 'cls-weighted', 'l2', 'l2-bounded', 'hint-adapted')
COMBINED = ('cls-weighted-l2-bounded', 'cls-weighted-hint-adapted', 'l2-bounded-hint-adapted')


@pytest.mark.parametrize('data', ['4e_voc07', '1x_coco', '2x_kitti', '1x_ilsvrc-det'])
def test_the_pairs_of_the_paper_have_configs(data: str) -> None:
    stems = {path.stem for path in in_folder('chen2017', 'baselines')}
    for student in (*NETS, 'alexnet-tucker37.5'):
        assert f'faster-rcnn_{student}_{data}' in stems
        assert {f'chen2017_faster-rcnn-{student}-from-{net}_{data}' for net in NETS} <= stems


def test_the_other_experiments_of_the_paper_have_configs() -> None:
    stems = {path.stem for path in in_folder('chen2017', 'baselines')}
    for share in ('20', '25', '30', '37.5', '45'):
        assert f'faster-rcnn_alexnet-tucker{share}_4e_voc07' in stems
        assert f'chen2017_faster-rcnn-alexnet-tucker{share}-from-vgg16_4e_voc07' in stems
    for net in ('alexnet', 'vgg16'):
        assert {f'faster-rcnn_{net}-344_4e_voc07-344', f'faster-rcnn_{net}_4e_voc07-688'} <= stems
        assert f'chen2017_faster-rcnn-{net}-344-from-{net}_4e_voc07-344-from-688' in stems
    for data in ('4e_voc07', '2x_kitti'):
        for part in ABLATION + COMBINED:
            assert f'chen2017-{part}_faster-rcnn-alexnet-tucker37.5-from-vgg16_{data}' in stems
        for part in ('hint', 'hint-adapted'):
            assert f'chen2017-{part}_faster-rcnn-alexnet-tucker37.5-from-alexnet_{data}' in stems


# DICOD's students, and its classifiers

SSDS = [f'{folder}_vgg16_2x_{data}' for folder in ('ssd300', 'ssd512') for data in ('coco', 'voc0712')]
COMPACT = {
    'ssd300-vgg16': '2x',
    'ssd512-vgg16': '2x',
    'faster-rcnn-qr50-fpn': '1x',
    'faster-rcnn-mobilenetv2-fpn': '1x',
}
LARGE = {'faster-rcnn-r50-fpn': '2x', 'retinanet-r50-fpn': '2x'}


def students_of(method: str, data: str) -> dict[str, str]:
    """Student -> schedule, of a method's configs for a set."""
    names = [DISTILLED.fullmatch(path.stem) for path in distilled_configs()]
    return {n['student']: n['schedule'] for n in names if (n['method'], n['dataset']) == (method, data)}


def test_the_cells_of_the_tables_of_dicod_have_configs() -> None:
    for part in ('dicod-cls', 'dicod-loc'):
        assert students_of(part, 'coco') == COMPACT
    assert students_of('dicod', 'coco') == {**COMPACT, **LARGE}
    assert students_of('dicod-hint', 'coco').keys() == {*COMPACT, *LARGE} - {'ssd300-vgg16'}
    for part in ('dicod-cls', 'dicod-loc', 'dicod'):
        assert students_of(part, 'voc0712').keys() == COMPACT.keys()
    baselines = {path.stem.replace('_', '-') for path in in_folder('baselines')}
    assert {f'{student}-{schedule}-coco' for student, schedule in COMPACT.items()} <= baselines


def test_the_rows_of_the_second_table_of_dicod_have_configs() -> None:
    """Each method for the students of which that table has a number."""
    names = [DISTILLED.fullmatch(path.stem) for path in distilled_configs()]
    found = {(n['method'], n['student'], n['schedule']) for n in names if n['dataset'] == 'coco'}
    faster, retinanet = LARGE.items()
    all_five = [
        *LARGE.items(),
        *((student, schedule) for student, schedule in COMPACT.items() if 'ssd300' not in student),
    ]
    table = {
        'chen2017': [faster],
        'fgfi': [faster, retinanet],
        'gid': [faster, retinanet],
        'fkd': all_five,
        'dicod': all_five,
        'dicod-fkd': all_five,
    }
    assert {(method, *cell) for method, cells in table.items() for cell in cells} <= found


def test_pairs_across_classes_have_configs() -> None:
    """Students of other classes than two-stage and one-stage, and teachers of another class than the student's."""
    names = [DISTILLED.fullmatch(path.stem) for path in distilled_configs()]
    assert {
        ('condinst-r50-fpn', 'mask-rcnn-r101-fpn'),
        ('solov2-r50-fpn', 'mask-rcnn-r101-fpn'),
        ('dino-4scale-r50', '5scale-swin-l'),
        ('deformable-detr-r18', 'r50'),
        ('rtmdet-tiny', 's'),
        ('yolox-tiny', 's'),
        ('tridentnet-r50-caffe', 'faster-rcnn-r101-caffe-fpn'),
        ('faster-rcnn-r50-fpn', 'dino-4scale-r50'),
        ('retinanet-r50-fpn', 'cascade-mask-rcnn-x101-dconv-fpn'),
    } <= {(name['student'], name['teacher']) for name in names}


#: Our fragment of a student -> mmdet's whole config of it.
STUDENTS_OF_MMDET = {
    'gfl_r50_fpn': 'gfl/gfl_r50_fpn_1x_coco.py',
    'fcos_r50-caffe_fpn': 'fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py',
    'reppoints_r50_fpn': 'reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py',
}


@pytest.mark.parametrize('name', STUDENTS_OF_MMDET)
def test_a_one_stage_student_is_mmdets(name: str) -> None:
    """But for the address of its pretrained weights."""
    ours = plain(read(f'_base_/students/{name}.py').model)
    theirs = plain(Config.fromfile(MMDET / 'configs' / STUDENTS_OF_MMDET[name]).model)
    if theirs['backbone'].get('init_cfg', {}).get('checkpoint') == 'torchvision://resnet50':
        theirs['backbone']['init_cfg']['checkpoint'] = read(
            '_base_/students/retinanet_r50_fpn.py'
        ).model.backbone.init_cfg.checkpoint
    theirs.setdefault('train_cfg', None)  # FCOS has none
    assert ours == theirs


@pytest.mark.parametrize('name', ['yolox', 'rtmdet'])
def test_the_distillation_stops_where_mmdet_lightens_the_augmentation(name: str) -> None:
    cfg = read(f'cwd/cwd-normed_{name}-tiny-from-s_300e_coco.py')
    switch = next(hook for hook in cfg.custom_hooks if 'SwitchHook' in hook.type)
    stop, of_mmdet = ('num_last_epochs',) * 2 if name == 'yolox' else ('stop_epoch', 'switch_epoch')
    assert cfg.model.distillers.cwd[stop] == switch[of_mmdet]


@pytest.mark.parametrize('name', SSDS)
def test_ssd_is_mmdets(name: str) -> None:
    """Its fragments say the same as mmdet's whole config of it."""
    size, _, _, data = name.split('_')
    folder = 'ssd' if data == 'coco' else 'pascal_voc'
    ours, theirs = read(f'baselines/{name}.py'), Config.fromfile(MMDET / f'configs/{folder}/{size}_{data}.py')
    assert plain(ours.model) == plain(theirs.model)
    for key in ('train_pipeline', 'test_pipeline', 'optim_wrapper', 'train_cfg'):
        assert plain(ours[key]) == plain(theirs[key]), key
    assert ours.auto_scale_lr.base_batch_size == theirs.auto_scale_lr.base_batch_size
    assert ours.train_dataloader.batch_size == theirs.train_dataloader.batch_size
    assert plain(ours.train_dataloader.dataset) == plain(theirs.train_dataloader.dataset)
    assert plain(ours.val_dataloader.dataset) == plain(theirs.val_dataloader.dataset)


def plain(cfg: object) -> object:
    """A part of a config with lists for tuples, and without what says that files are local and names are mmdet's."""
    if isinstance(cfg, dict):
        return {key: plain(value) for key, value in cfg.items() if key not in ('backend_args', '_scope_')}
    return [plain(value) for value in cfg] if isinstance(cfg, (list, tuple)) else cfg


def of_dicod(*, distilled: bool) -> list[Path]:
    return [path for path in in_folder('dicod') if (path in distilled_configs()) == distilled]


def suits_the_students_pixels_and_scores(path: Path) -> None:
    model = read(path).model
    (classifier,) = (teacher for teacher in teacher_configs(read(path)) if teacher.get('type') == 'ClassifierTeacher')
    assert Config.fromfile(find_config(classifier.config)).model.data_preprocessor == model.data_preprocessor
    loc, cls = model.distillers.kd_loc, model.distillers.kd_cls
    if loc:
        (pixels,) = (layer for layer in loc.layers if layer.name == 'pixels')
        assert pixels.get('weight', 1) == pytest.approx(model.data_preprocessor.std[1], abs=0.5)
    if cls:
        head = model.roi_head.bbox_head if 'roi_head' in model else model.bbox_head
        assert cls.loss_cls.get('use_sigmoid', False) == head.get('loss_cls', {}).get('use_sigmoid', False)


def is_judged_on_the_boxes_of_the_pictures_that_it_sees(path: Path) -> None:
    """Of a classifier."""
    cfg = read(path)
    assert cfg.model.type == 'CropClassifier'
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'CropAccuracy'
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        steps = [step.type for step in loader.dataset.pipeline]
        # a resizing leaves boxes that are loaded after it alone
        assert steps.index('LoadAnnotations') < steps.index('Resize')
        assert {'LoadImageFromFile', 'PackDetInputs'} < set(steps)


# What stands around the configs


def test_model_index_is_read_by_model_index() -> None:
    modelindex = pytest.importorskip('modelindex')
    index = modelindex.load(str(REPO / 'model-index.yml'))
    assert index.models
    assert index.collections


@pytest.mark.parametrize('folder', ['baselines', *method_folders()])
def test_metafile_lists_the_configs_of_its_folder(folder: str) -> None:
    index = load_file(str(REPO / 'model-index.yml'))
    assert f'configs/{folder}/metafile.yml' in index['Import']
    metafile = load_file(str(CONFIGS / folder / 'metafile.yml'))
    collections = [collection['Name'] for collection in metafile['Collections']]
    listed = []
    for model in metafile['Models']:
        assert model['In Collection'] in collections
        assert model['Name'] == Path(model['Config']).stem
        listed.append(model['Config'])
    assert sorted(listed) == [f'configs/{path.as_posix()}' for path in in_folder(folder)]
    (collection,) = metafile['Collections']
    assert (REPO / collection['README']).is_file()
    assert ('Methods' in collection['Metadata']) == (folder not in NOT_METHODS)
    for method in collection['Metadata'].get('Methods', []):
        assert set(method['Fragments']) <= set(fragments('distillers'))


@pytest.mark.parametrize('readme', sorted(CONFIGS.rglob('README.md')), ids=lambda path: path.parent.name)
def test_readme_names_only_what_exists(readme: Path) -> None:
    text = readme.read_text()
    for link in re.findall(r'\]\(([^)#]+)[^)]*\)', text):
        if not link.startswith(('http://', 'https://')):
            assert (readme.parent / link).exists(), link
    for path in re.findall(r'(?:configs|tools|docs)/[\w./-]+\.(?:py|md|yml|sh)', text):
        if not path.startswith('configs/mine/'):  # the reader's own, in the examples
            assert (REPO / path).exists(), path
    for name in re.findall(r'mmdet::([\w./-]+)', text):
        assert (MMDET / 'configs' / name).exists(), name


@pytest.mark.parametrize('folder', ['configs', *(f'configs/{name}' for name in method_folders())])
def test_folder_has_a_readme(folder: str) -> None:
    assert (REPO / folder / 'README.md').is_file()

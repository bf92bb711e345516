"""A teacher is built as mmengine's Runner builds it; what is not known to be a detector is refused with what serves."""

import copy
import re
from pathlib import Path

import mmdet
import pytest
import torch
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, soft_part
from helpers.one_stage import gfl
from mmdet.models.detectors import FasterRCNN, TwoStageDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import on_meta
from mmdet_kd.teachers import DetectorTeacher
from mmdet_kd.teachers.build import build_model

CPU = torch.device('cpu')
OTHER_MODELS = Registry('model', parent=MMENGINE_MODELS, scope='of_another_package')
MMDET_CONFIGS = Path(mmdet.__file__).parent / '.mim/configs'


@OTHER_MODELS.register_module(name='FasterRCNN')
class FasterRCNNOfAnotherPackage(TwoStageDetector):
    """Has the name of a detector of mmdet, so that only the scope tells them apart."""


def loaded(cfg, checkpoint, **options):
    teacher = DetectorTeacher(cfg, checkpoint, **AS_ALONE, **options)
    teacher.load(CPU)
    return teacher


def run_commands(text, folder, monkeypatch, **files):
    """Run the ``python -c`` of an error in ``folder``, as a user would who puts the file names in."""
    monkeypatch.chdir(folder)
    commands = re.findall(r'python -c "(.*?)"', text)
    for command in commands:
        for placeholder, path in files.items():
            command = command.replace(placeholder, str(path))
        exec(command, {})
    return len(commands)


@pytest.mark.parametrize('own', [True, False])
def test_a_data_preprocessor_beside_the_model_is_the_models_if_it_has_none(
    own, teacher_cfg, teacher_checkpoint, tmp_path
):
    """The same pictures as those of the model that mmengine's Runner builds from this config."""
    beside = {**teacher_cfg.model.data_preprocessor, 'mean': [1.0, 2.0, 3.0], 'bgr_to_rgb': False}
    teacher_cfg.data_preprocessor = beside
    if not own:
        teacher_cfg.model.pop('data_preprocessor')
    path = tmp_path / 'teacher.py'
    teacher_cfg.dump(path)
    keys = ('model', 'data_preprocessor', 'default_scope', 'work_dir')
    whole = Config({key: teacher_cfg[key] for key in keys} | dict(experiment_name=f'the model has one: {own}'))
    alone = Runner.from_cfg(whole).model
    pictures = raw_batch()['inputs']
    expected = alone.data_preprocessor(dict(inputs=pictures, data_samples=None))['inputs']
    seen = loaded(path, teacher_checkpoint).preprocess(pictures)
    assert torch.equal(seen, expected)
    assert (alone.data_preprocessor.mean.flatten().tolist() == [1.0, 2.0, 3.0]) is not own


def test_a_detector_that_learnt_from_a_teacher_does_not_load_that_one(teacher_cfg):
    """mmdet's localisation distillation holds a teacher, and would read its file while it is built."""
    cfg = gfl(teacher_cfg)
    inner = dict(model=copy.deepcopy(cfg.model))
    cfg.model.update(
        type='KnowledgeDistillationSingleStageDetector', teacher_config=inner, teacher_ckpt='gone_since.pth'
    )
    model = build_model(cfg)
    assert type(model).__name__ == cfg.model.type
    assert cfg.model.teacher_ckpt == 'gone_since.pth', 'the config is left alone'


def of_another_package(teacher_cfg):
    """The teacher's config as that package would write it: its own names bare, those of mmdet marked."""
    cfg = copy.deepcopy(teacher_cfg)
    cfg.default_scope = 'of_another_package'
    for part in ('data_preprocessor', 'backbone', 'neck', 'rpn_head', 'roi_head'):
        cfg.model[part]['_scope_'] = 'mmdet'
    return cfg


def test_a_teacher_is_of_its_own_scope_and_the_student_of_its_own(student_cfg, teacher_cfg, teacher_checkpoint):
    with DefaultScope.overwrite_default_scope('mmdet'):
        cfg = distilled_cfg(student_cfg, of_another_package(teacher_cfg), teacher_checkpoint)
        detector = build(cfg)
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
        assert type(detector.teacher.detector) is FasterRCNNOfAnotherPackage
        assert type(detector.teacher.build_shape()) is FasterRCNNOfAnotherPackage
        assert type(build(student_cfg)) is FasterRCNN
    same = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))
    losses = [soft_part(losses_of(each, raw_batch())) for each in (detector, same)]
    assert len(losses[0]) == 5
    assert all(torch.equal(loss, losses[1][name]) for name, loss in losses[0].items())


@pytest.mark.parametrize('scope', [None, 'mmdet', 'of_another_package'])
def test_the_scope_around_a_teacher_does_not_matter(scope, teacher_cfg):
    """A model alone, and a config without a default_scope, are meant in mmdet's names."""
    cfg = dict(model=teacher_cfg.model.to_dict())
    with DefaultScope.overwrite_default_scope(scope):
        assert type(DetectorTeacher(cfg, None).build_shape()) is FasterRCNN


def test_a_scope_that_is_not_installed(teacher_cfg):
    teacher_cfg.default_scope = 'no_such_package'
    with pytest.raises(DistillationError, match=r"scope 'no_such_package', which is not there: install .*custom_impor"):
        DetectorTeacher(teacher_cfg, None).build_shape()


def test_a_config_of_classes_instead_of_names(teacher_cfg, teacher_checkpoint, tmp_path):
    """mmengine's newer style, which needs no scope, and whose default_scope is None."""
    model = teacher_cfg.model.to_dict()
    for part in (model, model['backbone'], model['data_preprocessor']):
        part['type'] = f'@{part["type"]}@'
    text = re.sub("'@(.*?)@'", r'\1', f'model = {model}\n')
    (tmp_path / 'teacher.py').write_text(
        'from mmdet.models.backbones.resnet import ResNet\n'
        'from mmdet.models.data_preprocessors.data_preprocessor import DetDataPreprocessor\n'
        f'from mmdet.models.detectors.faster_rcnn import FasterRCNN\n\ndefault_scope = None\n{text}'
    )
    found, named = (loaded(cfg, teacher_checkpoint) for cfg in (tmp_path / 'teacher.py', teacher_cfg))
    assert type(found.detector) is FasterRCNN
    pictures = raw_batch()['inputs']
    maps = [each.knowledge_of(each.preprocess(pictures)).features('neck') for each in (found, named)]
    assert all(torch.equal(*level) for level in zip(*maps, strict=True))


@pytest.mark.parametrize('kind', ['file', 'dict'])
def test_custom_imports_make_its_classes_known(kind, teacher_cfg, tmp_path, monkeypatch):
    module = f'a_teachers_module_in_a_{kind}'
    (tmp_path / f'{module}.py').write_text(
        'from mmdet.models.backbones import ResNet\n'
        'from mmdet.registry import MODELS\n\n'
        f'MODELS.register_module(name="ResNetOfA{kind}", module=type("Imported", (ResNet,), {{}}))\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    teacher_cfg.custom_imports = dict(imports=[module], allow_failed_imports=False)
    teacher_cfg.model.backbone.type = f'ResNetOfA{kind}'
    teacher_cfg.dump(tmp_path / 'teacher.py')
    source = tmp_path / 'teacher.py' if kind == 'file' else teacher_cfg.to_dict()
    assert type(DetectorTeacher(source, None).build_shape().backbone).__name__ == 'Imported'


@pytest.mark.parametrize('kind', ['file', 'dict'])
def test_custom_imports_that_fail(kind, teacher_cfg, tmp_path):
    teacher_cfg.custom_imports = dict(imports=['no_such_module'], allow_failed_imports=False)
    teacher_cfg.dump(tmp_path / 'teacher.py')
    with pytest.raises(DistillationError, match='no_such_module'):
        DetectorTeacher(tmp_path / 'teacher.py' if kind == 'file' else teacher_cfg.to_dict(), None)


def test_its_shape_is_found_while_the_student_is_built_without_memory(student_cfg, teacher_cfg):
    """A Swin reads numbers out of tensors while it is built, which the meta device does not have."""
    swin = dict(type='SwinTransformer', embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
    teacher_cfg.model.backbone = swin
    teacher_cfg.model.neck.in_channels = [16, 32, 64, 128]
    cfg = distilled_cfg(student_cfg, teacher_cfg, None)
    student = on_meta(lambda: build(cfg, init=False))
    assert {p.device.type for p in student.backbone.parameters()} == {'meta'}
    assert student.distillers.state_dict().keys() == build(cfg, init=False).distillers.state_dict().keys()


@pytest.mark.parametrize(
    'change',
    [
        dict(type='NoSuchDetector'),
        dict(backbone=dict(type='NoSuchBackbone')),
        dict(no_such_key=1),
        dict(backbone=dict(type='ResNet', depth=19)),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(change, student_cfg, teacher_cfg):
    teacher_cfg.model.update(change)
    wrong = re.search(r'NoSuch\w+|no_such_key|19', str(change)).group()
    with pytest.raises(DistillationError, match=rf'teacher of the config given as a dict cannot be built \(.*{wrong}'):
        build(distilled_cfg(student_cfg, teacher_cfg, None), init=False)


class TestHowItSeesAPicture:
    @pytest.mark.parametrize('change', [None, dict(type='BaseDataPreprocessor'), dict(type='TrackDataPreprocessor')])
    def test_who_has_not_said_is_refused_when_the_student_is_built(self, change, student_cfg, teacher_cfg):
        teacher_cfg.model.data_preprocessor = change
        with pytest.raises(DistillationError, match=r'data_preprocessor|TrackDataPreprocessor|trackprocessor'):
            build(distilled_cfg(student_cfg, teacher_cfg, None), init=False)

    def test_mmengine_would_take_one_that_makes_no_batch(self, teacher_cfg):
        """Which is why none is no choice: the detector cannot be tested alone either."""
        teacher_cfg.model.data_preprocessor = None
        alone = MODELS.build(teacher_cfg.model)
        seen = alone.data_preprocessor(dict(inputs=raw_batch()['inputs'], data_samples=None))['inputs']
        assert isinstance(seen, list)

    def test_none_that_normalises_is_a_way_to_see_it(self, teacher_cfg, teacher_checkpoint):
        """As YOLOX sees it."""
        teacher_cfg.model.data_preprocessor = dict(type='DetDataPreprocessor', pad_size_divisor=32)
        pictures = raw_batch()['inputs']
        seen = loaded(teacher_cfg, teacher_checkpoint).preprocess(pictures)
        assert torch.equal(seen, torch.stack(pictures).float())


def soft_teacher(teacher_cfg, folder, predict_on):
    """Config and checkpoint of a SoftTeacher, whose two detectors have unlike weights."""
    cfg = copy.deepcopy(teacher_cfg)
    cfg.model = dict(
        type='SoftTeacher',
        detector=teacher_cfg.model,
        data_preprocessor=dict(
            type='MultiBranchDataPreprocessor', data_preprocessor=teacher_cfg.model.data_preprocessor
        ),
        semi_train_cfg=dict(freeze_teacher=True),
        semi_test_cfg=dict(predict_on=predict_on),
    )
    cfg.dump(folder / 'soft_teacher.py')
    model = MODELS.build(copy.deepcopy(cfg.model))
    meta = dict(dataset_meta=dict(classes=('x', 'y', 'z')))
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'soft_teacher.pth')
    return folder / 'soft_teacher.py', folder / 'soft_teacher.pth', model


class TestModelsThatHoldADetector:
    @pytest.mark.parametrize('predict_on', ['teacher', 'student'])
    def test_a_soft_teacher_is_refused_with_commands_that_give_the_detector_it_tests_with(
        self, predict_on, teacher_cfg, tmp_path, monkeypatch
    ):
        config, checkpoint, model = soft_teacher(teacher_cfg, tmp_path, predict_on)
        with pytest.raises(DistillationError, match='of a SoftTeacher, which holds a detector') as caught:
            DetectorTeacher(config, checkpoint)
        assert run_commands(str(caught.value), tmp_path, monkeypatch, **{'CHECKPOINT.pth': checkpoint}) == 2
        teacher = loaded(tmp_path / 'teacher.py', tmp_path / 'teacher.pth')
        expected, other = (getattr(model, name).state_dict() for name in sorted(('student', 'teacher')))
        if predict_on == 'teacher':
            expected, other = other, expected
        found = teacher.detector.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in found.items())
        assert not all(torch.equal(value, other[key]) for key, value in found.items())
        assert teacher.classes == ('x', 'y', 'z')

    def test_its_checkpoint_with_the_plain_config_too(self, teacher_cfg, tmp_path, monkeypatch):
        _, checkpoint, model = soft_teacher(teacher_cfg, tmp_path, 'teacher')
        with pytest.raises(DistillationError, match=r"lie under 'teacher\.' and 'student\.'") as caught:
            loaded(teacher_cfg, checkpoint)
        assert run_commands(str(caught.value), tmp_path, monkeypatch) == 1
        found = loaded(teacher_cfg, tmp_path / 'teacher.pth').detector.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in model.teacher.state_dict().items())

    @pytest.mark.parametrize(
        ('model', 'said'),
        [
            (dict(type='DetTTAModel', module=dict(type='FasterRCNN')), r'DetTTAModel.*model\.module'),
            (dict(type='ByteTrack', detector=dict(type='YOLOX')), r'ByteTrack.*model\.detector.*detector\.'),
            (dict(type='Detectron2Wrapper', detector=dict(MODEL=dict())), 'not one of mmdet'),
        ],
    )
    def test_others_are_refused(self, model, said, student_cfg):
        with pytest.raises(DistillationError, match=said):
            build(distilled_cfg(student_cfg, model, None), init=False)


#: Of the distinct detector types in mmdet's configs, those that cannot teach as they are, and why.
REFUSED = {
    'which holds a detector as its model.detector': {
        'ByteTrack', 'DeepSORT', 'Detectron2Wrapper', 'MaskTrackRCNN', 'OCSORT', 'QDTrack', 'SoftTeacher', 'StrongSORT'
    },
    'transformers is not installed': {'GLIP', 'GroundingDINO'},
    'skimage is not installed': {'BoxInst'},
    'mmpretrain': {'BaseReID'},
    'trackprocessor': {'Mask2FormerVideo'},  # it sees clips, not pictures
    "No such file or directory: 'configs/gfl/": {'KnowledgeDistillationSingleStageDetector'},  # of mmdet's checkout
}  # fmt: skip


@pytest.mark.slow
def test_every_detector_of_mmdet_is_built_or_refused_with_a_reason():
    """The first config of each type that loads here and that mmdet itself can build."""
    outcomes = {}
    for path in sorted(MMDET_CONFIGS.rglob('*.py')):
        if '_base_' in path.parts or 'cascade_rpn' in path.parts:  # CascadeRPNHead lacks an argument in mmdet 3.3.0
            continue
        try:
            kind = Config.fromfile(path).model.type
        except (AttributeError, FileNotFoundError, ImportError):  # no model, a missing base, mmpretrain
            continue
        if kind not in outcomes:
            outcomes[kind] = outcome(path)
    assert len(outcomes) > 60
    expected = {kind: reason for reason, kinds in REFUSED.items() for kind in kinds}
    for kind, problem in outcomes.items():
        reason = expected.get(kind)
        assert problem is None or (reason is not None and reason in problem), f'{kind}: {problem}'


def outcome(path):
    """None if the config builds, else the reason."""
    try:
        DetectorTeacher(path, None).build_shape()
    except DistillationError as error:
        return str(error)
    return None

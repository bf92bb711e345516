"""What a mistake of the user costs: one short message with the cure, from the tools as they are called."""

import re
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny_student_cfg, tiny_teacher_cfg, write_tiny_coco
from helpers.distil import distilled_cfg, save_teacher
from helpers.tiny import CLASSES, call_tool, log_of, run_tool
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import require_fit, require_start
from mmdet_kd.runtime import cli, read_checkpoint
from mmdet_kd.teachers import find_teacher_files, read_weights

train, run_test = (partial(call_tool, f'tools/{name}.py') for name in ('train', 'test'))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """`distilled.py` of one epoch, and its `teacher.py` and `teacher.pth`."""
    folder = tmp_path_factory.mktemp('messages')
    data = write_tiny_coco(folder / 'set', num_train=2, num_val=1)
    teacher = tiny_teacher_cfg(data, folder / 'teacher')
    teacher.dump(folder / 'teacher.py')
    save_teacher(teacher, folder / 'teacher.pth', dataset_meta={'classes': CLASSES})
    student = tiny_student_cfg(data, folder / 'run', **{'train_cfg.max_epochs': 1})
    student.dump(folder / 'alone.py')
    distilled_cfg(student, str(folder / 'teacher.py'), folder / 'teacher.pth').dump(folder / 'distilled.py')
    return folder


def error(call, *arguments):
    """The one message with which a tool ends."""
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    start, message = str(caught.value).split('error: ', 1)
    assert start == '\n'
    return message


@pytest.mark.parametrize('tool', [train, run_test])
def test_a_work_dir_that_cannot_be_made_is_named(folder, tmp_path, tool):
    (tmp_path / 'file').write_text('')
    checkpoint = [folder / 'teacher.pth'] if tool is run_test else []
    assert error(tool, folder / 'teacher.py', *checkpoint, '--work-dir', tmp_path / 'file' / 'run') == (
        f"nothing can be written into the work dir '{tmp_path}/file/run' (Not a directory: {tmp_path}/file/run). Name "
        'another by --work-dir'
    )


class TestTheCheckpointOfAnotherNetwork:
    def test_test_py_refuses_it(self, folder, tmp_path):
        message = error(run_test, folder / 'distilled.py', folder / 'teacher.pth', '--work-dir', tmp_path / 'run')
        first, keys = message.splitlines()
        assert first == (
            f'the weights in {folder}/teacher.pth are not those of the detector in the config: name a pair of one run.'
        )
        assert keys.count(', in the config (') == 3
        assert keys.endswith(' more')

    @pytest.mark.parametrize(
        ('change', 'said'),
        [
            (
                lambda state: state.pop('rpn_head.rpn_cls.bias'),
                r'missing from the checkpoint: rpn_head\.rpn_cls\.bias$',
            ),
            (lambda state: state.update({'neck.x': torch.zeros(1)}), None),
            (lambda state: [state.update({f'module.{key}': state.pop(key)}) for key in list(state)], None),
            (lambda state: [state.pop(key) for key in list(state) if 'num_batches' in key], None),
        ],
    )
    def test_every_weight_of_the_detector_must_be_there(self, folder, change, said):
        checkpoint = torch.load(folder / 'teacher.pth', map_location='meta', weights_only=True)
        change(checkpoint['state_dict'])
        detector = MODELS.build(Config.fromfile(folder / 'teacher.py').model)
        before = {key: value.clone() for key, value in detector.state_dict().items()}
        if said is None:
            require_fit(detector, checkpoint, 'a.pth')
        else:
            with pytest.raises(DistillationError, match=said):
                require_fit(detector, checkpoint, 'a.pth')
        assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())

    def test_what_it_has_besides_is_one_line(self, folder, warned):
        weights = torch.load(folder / 'teacher.pth', map_location='meta', weights_only=True)['state_dict']
        weights |= {f'neck.x{number}': torch.zeros(1) for number in range(5)} | {'distillers.a': torch.zeros(1)}
        require_fit(MODELS.build(Config.fromfile(folder / 'teacher.py').model), weights, 'a.pth')
        assert warned == [
            'Of a.pth, these are not in the detector of the config, and play no part: neck.x0, neck.x1, neck.x2 and 2 '
            'more'
        ]

    def test_bare_weights_serve(self, folder):
        weights = torch.load(folder / 'teacher.pth', map_location='meta', weights_only=True)['state_dict']
        require_fit(MODELS.build(Config.fromfile(folder / 'teacher.py').model), weights, 'a.pth')


class TestTheWeightsThatATrainingStartsFrom:
    """``load_from``, of which mmengine loads what fits and lists all that does not."""

    def start(self, folder, tmp_path, weights):
        return train, folder / 'alone.py', '--work-dir', tmp_path / 'run', '--cfg-options', f'load_from={weights}'

    def test_those_of_another_network_are_refused(self, folder, tmp_path, capsys):
        message = error(*self.start(folder, tmp_path, folder / 'teacher.pth'))
        first, keys = message.splitlines()
        assert re.fullmatch(
            rf'the weights in {folder}/teacher\.pth are those of another network: \d+ of 130 fit the detector in the '
            r'config\. Correct load_from, or the config\.',
            first,
        )
        assert keys.count(', in the config (') == 3
        assert keys.endswith(' more')
        assert 'size mismatch' not in capsys.readouterr().out

    def test_those_of_other_classes_start_it_and_one_line_says_what_does_not_fit(self, folder, tmp_path, capsys):
        cfg = Config.fromfile(folder / 'alone.py')
        cfg.model.roi_head.bbox_head.num_classes = 5
        save_teacher(cfg, tmp_path / 'five.pth')
        call, *arguments = self.start(folder, tmp_path, tmp_path / 'five.pth')
        call(*arguments)
        said, log = capsys.readouterr().out, log_of(tmp_path / 'run')
        assert 'Epoch(train) [1][1/1]' in said
        for text in (said, log):
            line = (
                f'WARNING - Of the 130 weights in {tmp_path}/five.pth, 126 fit the detector, which starts with these.'
            )
            assert text.count(line) == 1
            assert 'of another shape: roi_head.bbox_head.fc_cls.weight (6, 32), in the config (4, 32), ' in text
            assert 'size mismatch' not in text

    @pytest.fixture(scope='class')
    def detectors(self, folder):
        """The student as it is distilled, and alone."""
        return [MODELS.build(Config.fromfile(folder / f'{name}.py').model) for name in ('distilled', 'alone')]

    @pytest.mark.parametrize(
        ('change', 'line'),
        [
            (lambda state: state, None),
            (lambda state: state | {'distillers.hint.adapters.0.conv.bias': torch.zeros(1)}, None),
            (lambda state: {f'module.{key}': value for key, value in state.items()}, None),
            (lambda state: {key: value for key, value in state.items() if 'backbone.' in key}, 'missing from'),
            (lambda state: state | {'mask_head.a': torch.zeros(1)}, 'unknown to the config: mask_head.a'),
        ],
    )
    def test_what_is_said(self, detectors, change, line, warned):
        for model in detectors:
            before = {key: value.clone() for key, value in model.state_dict().items()}
            require_start(model, dict(state_dict=change(detectors[1].state_dict())), 'a.pth')
            assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        assert len(warned) == (2 if line else 0)
        assert all(line in each for each in warned)

    def test_no_part_of_them_fits_under_other_names(self, detectors):
        state = detectors[1].state_dict()
        backbone = {key.removeprefix('backbone.'): value for key, value in state.items() if 'backbone.' in key}
        student = {f'student.{key}': value for key, value in state.items()}
        for weights, said in ((backbone, ': 0 of 100 fit'), (student, ': 0 of 130 fit')):
            with pytest.raises(DistillationError, match=said):
                require_start(detectors[0], dict(state_dict=weights), 'a.pth')


def test_to_resume_from_a_plain_checkpoint_points_to_load_from(folder):
    message = error(train, folder / 'distilled.py', '--resume', folder / 'teacher.pth')
    assert "it lacks a whole number 0 or more as meta['epoch'], " in message
    assert message.endswith(f"leave --resume out and start from its weights with load_from='{folder}/teacher.pth'")
    assert len(message.replace(str(folder), '')) < 400


@pytest.fixture(scope='module')
def jpeg(tmp_path_factory):
    path = tmp_path_factory.mktemp('pictures') / 'a.jpg'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return path


def test_a_jpeg_is_no_checkpoint(folder, jpeg):
    message = f'the checkpoint {jpeg} is a JPEG picture. Name a file that a training saved (.pth)'
    assert error(run_test, folder / 'teacher.py', jpeg) == message
    assert error(train, folder / 'teacher.py', '--cfg-options', f'load_from={jpeg}') == message
    with pytest.raises(DistillationError) as caught:
        read_weights(jpeg)
    assert str(caught.value) == message.replace('checkpoint', 'teacher checkpoint')


@pytest.mark.parametrize(
    ('content', 'kind'),
    [
        (b'\x89PNG\r\n\x1a\n', 'is a PNG picture'),
        (b'<!DOCTYPE html><html></html>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'is a pointer of git LFS, which `git lfs pull` replaces'),
        (b'', 'is truncated or corrupt'),
        (b'hello', 'is truncated or corrupt'),
    ],
)
def test_nothing_else_is_a_checkpoint_and_nobody_advises_to_load_it_unsafely(tmp_path, content, kind):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(DistillationError) as caught:
        read_checkpoint(tmp_path / 'a.pth')
    assert f'a.pth {kind}' in str(caught.value).replace(f' ({len(content)} bytes)', '')
    assert not {'weights_only', 'weights only', 'trust'} & set(str(caught.value).lower().split())
    assert len(str(caught.value).replace(str(tmp_path), '')) < 200


def test_unknown_hooks_their_keys_and_the_type_of_the_model(folder, tmp_path):
    cfg = Config.fromfile(folder / 'distilled.py')
    cfg.work_dir, cfg.model.type = str(tmp_path / 'run'), 'KnowledgeDistilationTwoStageDetector'
    cfg.custom_hooks = [
        dict(type='LossWeightRampHook', path='a', start=0, stop=1, bgein=0, end=1, priority='LOW'),
        dict(type='LossWeightRampHok'),
        dict(type='EMAHok'),
    ]
    cfg.default_hooks.checkpoint = dict(type='WholeCheckpointHook', max_keep_ckpts=1)
    with pytest.raises(DistillationError) as caught:
        cli.build_runner(cfg)
    assert caught.value.problems == [
        "custom_hooks.0: LossWeightRampHook has no 'bgein'. Did you mean begin?",
        "custom_hooks.1: there is no type 'LossWeightRampHok'. Did you mean LossWeightRampHook?",
        "custom_hooks.2: there is no type 'EMAHok'. Did you mean EMAHook?",
        "model: there is no type 'KnowledgeDistilationTwoStageDetector'. Did you mean "
        'KnowledgeDistillationTwoStageDetector or KnowledgeDistillationOneStageDetector or '
        'KnowledgeDistillationSingleStageDetector?',
    ]
    assert not (tmp_path / 'run').exists()


@RUNNERS.register_module()
class RunnerOfTheUser(Runner):
    """Of a class of its own."""


def test_a_runner_that_nobody_knows(folder, tmp_path):
    cfg = Config.fromfile(folder / 'distilled.py')
    cfg.work_dir, cfg.runner_type = str(tmp_path / 'run'), 'Runer'
    with pytest.raises(DistillationError, match=r"^runner_type: there is no type 'Runer'\. Did you mean Runner\?$"):
        cli.build_runner(cfg)


#: As of a DETR's schedule, for which mmengine logs some lines a parameter.
BY_PARAMETER = ['model.backbone.frozen_stages=1', 'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1']


@pytest.mark.parametrize('options', [BY_PARAMETER, ['runner_type=RunnerOfTheUser']])
def test_before_the_first_step_the_terminal_shows_what_matters(folder, tmp_path, capsys, options):
    """The config, the environment and what packages say to each other are in the log file; our warnings are in both."""
    options = ['--cfg-options', 'model.teacher.checkpoint=None', *options]
    train(folder / 'distilled.py', '--work-dir', tmp_path, *options)
    shown, first_step, _ = capsys.readouterr().out.partition('Epoch(train) [1][1/1]')
    assert first_step
    lines = shown.splitlines()
    assert len(lines) <= 12, shown
    assert max(map(len, lines)) < 250
    log = log_of(tmp_path)
    for ours in (
        f'INFO - Seed 0. The config, the environment and the order of the hooks: {tmp_path}/',
        'INFO - 3 pictures are as annotated',
        'WARNING - The teacher is untrained (teacher.checkpoint=None): it teaches noise. Give it a checkpoint',
        'INFO - To make the teacher (FasterRCNN) faster: batch norm folded',
    ):
        assert shown.count(ours) == log.count(ours) == 1, ours
    assert ('paramwise_options -- backbone' in log) is (BY_PARAMETER[0] in options)
    for long in ('System environment:', 'Config:\n', 'before_train_epoch:'):
        assert long in log
        assert long not in shown
    assert 'HardDiskBackend' not in shown  # mmengine logs it once a process
    kept = Config.fromfile(tmp_path / 'distilled.py')
    assert kept.model.distillers == Config.fromfile(folder / 'distilled.py').model.distillers


@pytest.mark.slow
def test_packages_are_silent_about_each_other(folder, tmp_path):
    """A `mmdet::` config has mmengine import pkg_resources, which warns; mmdet calls torch.meshgrid, which did."""
    (tmp_path / 'base.py').write_text(
        "_base_ = 'mmdet::_base_/default_runtime.py'\ncustom_imports = dict(imports=['mmdet_kd'])\n"
    )
    text = (folder / 'distilled.py').read_text()
    (tmp_path / 'distilled.py').write_text(f"_base_ = './base.py'\n{text}")
    done = run_tool(['tools/train.py', tmp_path / 'distilled.py', '--work-dir', tmp_path / 'run'])
    assert 'Epoch(train)' in done.stdout
    assert done.stderr == ''


class TestWhereTheFilesOfATeacherAre:
    @pytest.fixture
    def cfg(self, folder, tmp_path, monkeypatch):
        """A config in a folder that is not where the training is started; its teacher's files have no folder."""
        (tmp_path / 'configs').mkdir()
        (tmp_path / 'start').mkdir()
        monkeypatch.chdir(tmp_path / 'start')
        cfg = Config.fromfile(folder / 'distilled.py')
        cfg.model.teacher = dict(config='teacher.py', checkpoint='teacher.pth')
        cfg.work_dir = str(tmp_path / 'run')
        cfg.dump(tmp_path / 'configs' / 'distilled.py')
        return Config.fromfile(tmp_path / 'configs' / 'distilled.py')

    def put(self, folder, where):
        for name in ('teacher.py', 'teacher.pth'):
            (where / name).write_bytes((folder / name).read_bytes())

    def test_beside_the_config_as_a_base(self, cfg, folder, tmp_path):
        self.put(folder, tmp_path / 'configs')
        train('../configs/distilled.py')
        assert (tmp_path / 'run' / 'epoch_1.pth').exists()
        kept = Config.fromfile(tmp_path / 'run' / 'distilled.py').model.teacher  # which lies elsewhere
        assert kept.to_dict() == {key: f'{tmp_path}/configs/teacher.{end}' for key, end in self.ENDS.items()}

    ENDS = dict(config='py', checkpoint='pth')

    def test_where_the_training_is_started(self, cfg, folder, tmp_path):
        self.put(folder, tmp_path / 'start')
        find_teacher_files(cfg)
        assert cfg.model.teacher.to_dict() == dict(config='teacher.py', checkpoint='teacher.pth')

    def test_in_both_is_asked(self, cfg, folder, tmp_path):
        self.put(folder, tmp_path / 'start')
        self.put(folder, tmp_path / 'configs')
        with pytest.raises(DistillationError) as caught:
            find_teacher_files(cfg)
        assert caught.value.problems == [
            f'model.teacher.{key}={f"teacher.{end}"!r} may be {tmp_path}/start/teacher.{end} or '
            f'{tmp_path}/configs/teacher.{end}: write the whole path of the one that is meant'
            for key, end in self.ENDS.items()
        ]

    def test_nowhere_is_said_with_all_places(self, cfg, tmp_path):
        cfg.model.teachers = dict(one=cfg.model.pop('teacher'), none=None)
        with pytest.raises(DistillationError) as caught:
            find_teacher_files(cfg)
        config, checkpoint = caught.value.problems
        assert config.startswith("model.teachers.one.config='teacher.py': there is no such file (looked at: ")
        for place in (tmp_path / 'start', tmp_path / 'configs'):
            assert f'{place}/teacher.py' in config
        assert checkpoint.endswith('Correct the path, train the teacher first, or write checkpoint=None')

    def test_other_names_are_left_to_the_teacher(self, cfg):
        names = dict(config='mmdet::a.py', checkpoint='https://a/b.pth')
        cfg.model.teacher = dict(names)
        find_teacher_files(cfg)
        assert cfg.model.teacher.to_dict() == names

"""Faults planted in pairs whose teacher was trained; each is found, and the pair without it is not blamed."""

import copy
from types import SimpleNamespace

import pytest
import torch
from helpers.architectures import faster
from helpers.classifier import kd_cls, tiny_classifier_cfg
from helpers.coloured import COLOURS, train_detector, write_coloured_set
from helpers.distil import HINT, ROI, distilled_cfg, save_teacher
from helpers.one_stage import retinanet
from helpers.tiny import REPO, call_tool, tiny_student_cfg
from mmengine.config import Config

pytestmark = pytest.mark.slow
FAMILIES = {'faster': faster, 'retinanet': retinanet}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """The set, and of each family the config and the checkpoint of a teacher that finds most of its objects."""
    folder = tmp_path_factory.mktemp('coloured')
    root = write_coloured_set(folder / 'set')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        teachers = {name: train_detector(root, folder / name, family) for name, family in FAMILIES.items()}
    return SimpleNamespace(root=root, folder=folder, teachers=teachers)


@pytest.fixture
def pair(world, tmp_path):
    """Makes the config of a distillation of the trained teacher."""

    def make(family='faster', weights=None, teacher=(), taught_on=None, **distillers):
        cfg, checkpoint = world.teachers[family]
        if weights is not None:
            state = torch.load(checkpoint, weights_only=True)['state_dict']
            checkpoint = tmp_path / 'teacher.pth'
            torch.save(dict(state_dict=weights(state)), checkpoint)
        model = copy.deepcopy(cfg.model.to_dict())
        model['data_preprocessor'].update(teacher)
        student = FAMILIES[family](tiny_student_cfg(world.root, tmp_path / 'run'))
        # no names: the last resort is to look at what the teacher finds
        config = dict(model=model) | ({} if taught_on is None else dict(train_dataloader=student[taught_on].to_dict()))
        return distilled_cfg(student, config, checkpoint, **(distillers or {'roi': ROI}))

    return make


@pytest.fixture
def check(tmp_path, capsys, monkeypatch):
    """Runs the tool; returns the exit code, and the failed lines with their cures."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')

    def run(cfg):
        cfg.dump(tmp_path / 'pair.py')
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            call_tool('tools/check.py', tmp_path / 'pair.py', '--pictures', 12, '--steps', 2)
        lines = capsys.readouterr().out.splitlines()
        assert not list((tmp_path / 'here').iterdir())
        failed = [
            (line.removeprefix('FAILED').strip(), lines[number + 1].strip())
            for number, line in enumerate(lines)
            if line.startswith('FAILED')
        ]
        return end.value.code, failed, '\n'.join(lines)

    return run


def fragment(name):
    return Config.fromfile(REPO / f'configs/_base_/distillers/{name}.py').distillers


@pytest.mark.parametrize(
    ('family', 'name'),
    [
        *(('faster', name) for name in ('chen2017', 'cwd', 'pkd-two-stage', 'mgd-two-stage', 'fgd-two-stage')),
        *(('retinanet', name) for name in ('cwd', 'pkd', 'mgd', 'fgd')),
        *((family, name) for family in FAMILIES for name in ('chen2017-hint-adapted', 'fitnets')),
    ],
)
def test_a_correct_pair_is_not_blamed(pair, check, family, name):
    code, failed, said = check(pair(family, **fragment(name)))
    assert failed == []
    assert code == 0
    assert float(said.partition('AP50 ')[2].split()[0]) > 40


@pytest.mark.parametrize(('taught_on', 'is_said'), [('val_dataloader', True), ('train_dataloader', False)])
def test_a_teacher_of_the_pictures_on_which_the_student_is_judged_is_said(pair, check, taught_on, is_said):
    code, failed, said = check(pair(taught_on=taught_on))
    assert (code, failed) == (0, [])
    assert ('; its config trains it on 12 of these pictures, so its AP here is too high' in said) == is_said


def turned(order):
    """The weights of a teacher that was trained on the classes in another order."""
    order = torch.tensor(order)

    def turn(state):
        state = dict(state)
        for key, kept in (('fc_cls.weight', 1), ('fc_cls.bias', 1), ('fc_reg.weight', 0), ('fc_reg.bias', 0)):
            key = f'roi_head.bbox_head.{key}'
            rows = state[key].unflatten(0, (3 + kept, -1))
            state[key] = torch.cat([rows[order], rows[3:]]).flatten(0, 1)
        return state

    return turn


@pytest.mark.parametrize('distiller', [HINT, ROI])
def test_random_weights_are_found(pair, check, world, tmp_path, distiller):
    cfg = pair(one=distiller)
    cfg.model.teacher.checkpoint = str(save_teacher(world.teachers['faster'][0], tmp_path / 'random.pth'))
    code, failed, _ = check(cfg)
    (teacher, cure), *others = failed
    assert code == 1
    assert teacher.startswith('teacher: AP 0.')
    assert cure.startswith('it does not know these pictures: is it trained')
    assert others == []


@pytest.mark.parametrize(
    ('order', 'calls'), [([1, 2, 0], 'red blue, green red, blue green'), ([1, 0, 2], 'red green, green red')]
)
def test_another_order_of_the_classes_is_found(pair, check, order, calls):
    code, failed, _ = check(pair(weights=turned(order)))
    ((teacher, cure),) = failed
    assert code == 1
    assert f'; it calls {calls}; AP50 ' in teacher
    assert cure.startswith("its classes are in another order than the data's: ")
    assert 'classes_by_name=True' in cure


def test_an_order_that_nobody_asks_for_is_not_blamed(pair, check):
    code, failed, said = check(pair(weights=turned([1, 2, 0]), hint=HINT))
    assert (code, failed) == (0, [])
    assert float(said.partition('AP50 ')[2].split()[0]) > 40


def test_classes_found_by_name_are_judged_by_name(pair, check):
    names = tuple(COLOURS)
    for given, right in (((names[1], names[2], names[0]), True), (names, False)):
        cfg = pair(weights=turned([1, 2, 0]))
        cfg.model.teacher.config.train_dataloader = dict(dataset=dict(type='CocoDataset', metainfo=dict(classes=given)))
        cfg.model.teacher.classes_by_name = True
        code, failed, _ = check(cfg)
        assert code == int(not right)
        assert right or failed[0][1] == (
            'its classes are in another order than its checkpoint or its config names them: correct their order'
        )


@pytest.mark.parametrize('distiller', [HINT, ROI])
@pytest.mark.parametrize(
    ('reading', 'found', 'cure'),
    [
        (dict(bgr_to_rgb=False), 'with red and blue exchanged', 'bgr_to_rgb=True'),
        (
            dict(mean=[0.0] * 3, std=[255.0] * 3),
            "with torchvision's mean and std",
            'mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True',
        ),
    ],
)
def test_pictures_that_are_read_otherwise_are_found(pair, check, reading, found, cure, distiller):
    code, failed, _ = check(pair(teacher=reading, one=distiller))
    if distiller is HINT and 'bgr_to_rgb' in reading:  # squares and circles are found whatever their colour
        assert (code, failed) == (0, [])
        return
    ((teacher, advice),) = failed
    assert code == 1
    assert teacher.endswith(found)
    assert advice.endswith(f"write this into the config's data_preprocessor: {cure}")


@pytest.mark.parametrize(
    'change', [dict(student_scale=0.5), dict(val_dataloader=None, val_cfg=None, val_evaluator=None)]
)
def test_a_teacher_is_shown_pictures_as_the_training_loads_them(pair, check, change, monkeypatch):
    """At their own size where the student sees smaller ones, and where there are no others."""
    monkeypatch.setattr('mmdet_kd.checks.verdict._PATIENCE', 0.0)
    cfg = pair(hint=HINT)
    (cfg.model if 'student_scale' in change else cfg).update(change)
    if 'student_scale' in change:
        small(cfg.val_dataloader)
    code, failed, said = check(cfg)
    assert (code, failed) == (0, [])
    assert ' on 12 training pictures' in said
    assert said.count(' will take about ') == 2  # the tests of the teacher, and the steps
    assert float(said.partition('AP50 ')[2].split()[0]) > 40


def small(loader):
    """Have a loader resize pictures to half of what they are resized to."""
    (resize,) = [step for step in loader.dataset.pipeline if step['type'] == 'Resize']
    resize['scale'] = tuple(side // 2 for side in resize['scale'])


def test_a_student_that_is_judged_at_the_teachers_size_is_found(pair, check):
    """Its own pipeline resizes the pictures of a test, and the teacher's size was written there."""
    cfg = pair(hint=HINT)
    cfg.model.student_scale = 0.5
    code, failed, _ = check(cfg)
    assert code == 1
    ((found, cure),) = failed
    assert 'trained at 0.5 of 1 times the size of the files, judged at 1 times' in found
    assert "write 0.5 times the scale into the Resize of val_dataloader's pipeline" in cure
    small(cfg.val_dataloader)
    assert check(cfg)[:2] == (0, [])


def test_a_weight_of_the_response_that_is_far_off_is_found(pair, check):
    for weight, cure in ((1e-6, 'raise its loss_weight'), (1.0, None), (1e4, 'lower its loss_weight')):
        roi = copy.deepcopy(ROI)
        roi['loss_cls']['loss_weight'] = weight
        code, failed, _ = check(pair(roi=roi))
        assert code == int(cure is not None)
        assert [(line.split(':')[0], advice.split(': ')[-1]) for line, advice in failed] == (
            [('distillers.roi.loss_cls', cure)] if cure else []
        )


def test_a_ramp_is_judged_by_what_it_does_and_not_by_where_it_ends(pair, check):
    """From 1 to 0 it ends the distillation: at its end nothing is taught, and at the start of others nothing is yet."""
    cfg = pair(hint=HINT, roi=ROI)
    falling = dict(path='distillers.hint.weight', start=1.0, stop=0.0)
    rising = dict(path='distillers.roi.mu', start=1.0, stop=0.5)
    cfg.custom_hooks = [dict(type='LossWeightRampHook', begin=0, end=4, **ramp) for ramp in (falling, rising)]
    assert check(cfg)[:2] == (0, [])


@pytest.fixture(scope='module')
def classifier(world):
    """The config and the weights of a classifier that was trained."""
    cfg = tiny_classifier_cfg(world.root, world.folder / 'classifier')
    return train_detector(world.root, world.folder / 'classifier', lambda _: cfg)


def test_classifiers_and_detectors_are_judged_beside_each_other(pair, check, classifier, world, tmp_path):
    cfg, checkpoint = classifier
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    untrained = save_teacher(cfg, tmp_path / 'untrained.pth')
    turned_ = dict(state, **{key: state[key][torch.tensor([1, 2, 0])] for key in ('fc.weight', 'fc.bias')})
    torch.save(dict(state_dict=turned_), tmp_path / 'turned.pth')
    for weights, cure in (
        (checkpoint, None),
        (untrained, 'it does not know these objects'),
        (tmp_path / 'turned.pth', "its classes are in another order than the data's"),
        (None, 'name its checkpoint'),
    ):
        both = pair(hint=HINT, kd_cls=kd_cls())
        detector = both.model.pop('teacher')
        config = dict(model=cfg.model.to_dict())
        both.model.teachers = dict(
            detector=detector,
            classifier=dict(type='ClassifierTeacher', config=config, checkpoint=weights and str(weights)),
        )
        code, failed, said = check(both)
        assert 'ok      teachers.detector: AP ' in said
        assert code == int(cure is not None)
        assert [advice[: len(cure or '')] for line, advice in failed if 'classifier' in line] == (
            [cure] if cure else []
        )
        assert all('classifier' in line for line, _ in failed)

"""All weights of a checkpoint and no others: what is known to be no weight is left out, any other misfit refused."""

import copy
import re

import pytest
import torch
from helpers.distil import AS_ALONE, save_teacher
from helpers.training import train
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import DetectorTeacher, fit
from mmdet_kd.teachers.checkpoint import Weights

MEAN, STD = 'data_preprocessor.mean', 'data_preprocessor.std'


def loaded(cfg, checkpoint):
    teacher = DetectorTeacher(cfg, checkpoint, **AS_ALONE)
    teacher.load(torch.device('cpu'))
    return teacher


def refused(cfg, checkpoint):
    with pytest.raises(DistillationError) as caught:
        loaded(cfg, checkpoint)
    return str(caught.value)


def changed(checkpoint, change):
    """Write a checkpoint anew after ``change`` has worked on its weights."""
    content = torch.load(checkpoint, weights_only=True)
    change(content['state_dict'])
    torch.save(content, checkpoint)
    return checkpoint


@pytest.fixture
def said(monkeypatch):
    """The lines that loading logs."""
    lines = []
    monkeypatch.setattr(fit, 'print_log', lambda line, logger: lines.append(line))
    return lines


def holds(teacher, state_dict):
    found = teacher.detector.state_dict()
    return found.keys() == state_dict.keys() and all(torch.equal(found[k], v) for k, v in state_dict.items())


class TestTheNormalisationInACheckpoint:
    """RTMDet's and Deformable DETR's, released with the first versions of mmdet 3."""

    def saved(self, cfg, checkpoint, mean=None, std=None):
        own = cfg.model.data_preprocessor
        values = {MEAN: own.mean if mean is None else mean, STD: own.std if std is None else std}
        return changed(checkpoint, lambda s: s.update({k: torch.tensor(v).view(-1, 1, 1) for k, v in values.items()}))

    def test_the_same_is_left_out_and_said(self, teacher_cfg, teacher_checkpoint, said):
        expected = torch.load(teacher_checkpoint, weights_only=True)['state_dict']
        assert holds(loaded(teacher_cfg, self.saved(teacher_cfg, teacher_checkpoint)), expected)
        (line,) = said
        assert f'all {len(expected)} tensors' in line
        assert f'no weights of the detector: {MEAN}, {STD} (the same as in its config).' in line

    def test_rounded_by_an_average_or_by_half_precision_it_is_the_same(self, teacher_cfg, teacher_checkpoint):
        mean = [value * (1 + 2e-4) for value in teacher_cfg.model.data_preprocessor.mean]
        self.saved(teacher_cfg, teacher_checkpoint, mean=mean)
        changed(teacher_checkpoint, lambda s: s.update({STD: s[STD].half()}))
        loaded(teacher_cfg, teacher_checkpoint)

    @pytest.mark.parametrize(
        ('mean', 'std'),
        [
            ([103.53, 116.28, 123.675], [57.375, 57.12, 58.395]),  # the other order of channels
            ([102.9801, 115.9465, 122.7717], [1.0, 1.0, 1.0]),  # of Caffe
            ([0.0], [255.0]),
        ],
    )
    def test_another_one_is_refused(self, mean, std, teacher_cfg, teacher_checkpoint):
        teacher_cfg.model.data_preprocessor.update(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
        message = refused(teacher_cfg, self.saved(teacher_cfg, teacher_checkpoint, mean, std))
        for name, values, own in (('mean', mean, [123.675, 116.28, 103.53]), ('std', std, [58.395, 57.12, 57.375])):
            rounded = [round(value, 3) for value in values]
            assert f"with the {name} {rounded}, and the {name} in the teacher's config is {own}" in message

    def test_std_of_the_nearest_kin_are_not_the_same(self, teacher_cfg, teacher_checkpoint):
        """57.12 and 57.375 both stand in mmdet's configs."""
        teacher_cfg.model.data_preprocessor.std = [58.395, 57.12, 57.12]
        message = refused(teacher_cfg, self.saved(teacher_cfg, teacher_checkpoint, std=[58.395, 57.12, 57.375]))
        assert '57.375' in message
        assert 'mean' not in message.replace('data_preprocessor.mean', '')

    def test_a_config_that_does_not_normalise_is_another_one(self, teacher_cfg, teacher_checkpoint):
        self.saved(teacher_cfg, teacher_checkpoint)
        for name in ('mean', 'std'):
            teacher_cfg.model.data_preprocessor.pop(name)
        assert "mean in the teacher's config is none" in refused(teacher_cfg, teacher_checkpoint)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.bool, torch.int64])
def test_weights_of_another_kind_of_number_are_refused(dtype, teacher_cfg, teacher_checkpoint):
    """torch would copy them into the floats of the model."""
    key = next(key for key, value in torch.load(teacher_checkpoint)['state_dict'].items() if value.is_floating_point())
    changed(teacher_checkpoint, lambda weights: weights.update({key: weights[key].to(dtype)}))
    message = refused(teacher_cfg, teacher_checkpoint)
    assert f"holds what is no weight of a network: '{key} ({dtype})'" in message


@pytest.fixture
def yolox_cfg(teacher_cfg):
    """The smallest YOLOX of mmdet, narrower."""
    cfg = Config.fromfile(_in_mmdet('yolox/yolox_tiny_8xb8-300e_coco.py'))
    cfg.model.backbone.update(deepen_factor=0.1, widen_factor=0.125)
    cfg.model.neck.update(in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1)
    cfg.model.bbox_head.update(in_channels=32, feat_channels=32, num_classes=3)
    return cfg


def _in_mmdet(name):
    from mmdet_kd.teachers.config import find_config

    return find_config(f'mmdet::{name}')


class TestTheAverageInACheckpoint:
    def old_hook(self, state_dict):
        """What mmdet 2.x's EMA hook leaves in a state dict: each tensor once more, as a buffer of the whole."""
        state_dict.update({f'ema_{key.replace(".", "_")}': value * 2 + 1 for key, value in list(state_dict.items())})

    def test_that_of_mmdet_2_is_under_the_plain_names(self, yolox_cfg, tmp_path, said):
        checkpoint = save_teacher(yolox_cfg, tmp_path / 'yolox.pth')
        expected = torch.load(checkpoint, weights_only=True)['state_dict']
        changed(checkpoint, self.old_hook)
        assert holds(loaded(yolox_cfg, checkpoint), expected)
        (line,) = said
        assert f'{len(expected)} ema_* (' in line

    @pytest.mark.parametrize(
        ('key', 'value'),
        [
            ('ema_neck_surplus', torch.ones(1)),
            ('ema_neck.fpn_convs.0.conv.bias', torch.ones(64)),
            ('ema_rpn_head_rpn_cls_weight', torch.ones(1)),  # of another shape than that of rpn_head.rpn_cls.weight
        ],
    )
    def test_what_only_begins_so_is_refused(self, key, value, teacher_cfg, teacher_checkpoint):
        changed(teacher_checkpoint, self.old_hook)
        changed(teacher_checkpoint, lambda s: s.update({key: value}))
        assert f'unknown to the config: {key}\n' in refused(teacher_cfg, teacher_checkpoint)

    def test_that_of_mmengine_is_what_state_dict_holds(self, teacher_cfg, tmp_path):
        """Trained with its EMAHook, by its Runner; ``ema_state_dict`` is the last step, whatever its name."""
        teacher_cfg.work_dir = str(tmp_path)
        teacher_cfg.train_cfg.update(max_epochs=1, val_interval=5)
        teacher_cfg.custom_hooks = [dict(type='EMAHook', momentum=0.3, update_buffers=True)]
        last = Last()
        train(teacher_cfg, exact=False, hooks=[last])
        found = loaded(teacher_cfg, tmp_path / 'epoch_1.pth').detector.state_dict()
        assert found.keys() == last.average.keys()
        assert all(torch.equal(value, last.average[key]) for key, value in found.items())
        assert not all(torch.equal(value, last.step[key]) for key, value in found.items())


class Last(Hook):
    """Keeps the weights of the last step, and their average."""

    def after_train(self, runner):
        (ema,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
        self.step = copy.deepcopy(runner.model.state_dict())
        self.average = copy.deepcopy(ema.ema_model.module.state_dict())


@pytest.mark.parametrize('versions', [True, False])
def test_counts_of_batches_may_be_missing(versions, teacher_cfg, teacher_checkpoint):
    """PyTorch 0.4 and mmdet 1.x knew none, and mmengine does without; in eval mode nothing reads them."""
    content = torch.load(teacher_checkpoint, weights_only=True)
    kept = content['state_dict'] if versions else dict(content['state_dict'])
    counts = [key for key in kept if key.endswith('num_batches_tracked')]
    for key in counts:
        del kept[key]
    torch.save({'state_dict': kept}, teacher_checkpoint)
    found = loaded(teacher_cfg, teacher_checkpoint).detector.state_dict()
    assert counts
    assert all(torch.equal(found[key], value) for key, value in kept.items())


@pytest.mark.parametrize('number', [float('nan'), float('inf'), float('-inf')])
def test_a_weight_that_is_not_finite(number, teacher_cfg, teacher_checkpoint):
    changed(teacher_checkpoint, lambda s: s['neck.fpn_convs.0.conv.bias'][:1].fill_(number))
    assert 'neck.fpn_convs.0.conv.bias (NaN or infinite)' in refused(teacher_cfg, teacher_checkpoint)


class TestMisfits:
    """Each sort is named, in a list that ends, with what would serve for it."""

    def test_missing(self, teacher_cfg, teacher_checkpoint):
        parts = ('rpn_head', 'roi_head')
        lost = []
        changed(teacher_checkpoint, lambda s: [(lost.append(k), s.pop(k)) for k in list(s) if k.startswith(parts)])
        message = refused(teacher_cfg, teacher_checkpoint)
        listed = ', '.join(lost[:3])
        assert f'missing from the checkpoint: {listed} and {len(lost) - 3} more\n' in message
        assert 'holds a part of the detector only: give one that was saved with this config' in message
        assert 'unknown' not in message
        assert 'shape' not in message

    def test_unknown(self, teacher_cfg, teacher_checkpoint, tmp_path, monkeypatch):
        changed(teacher_checkpoint, lambda s: s.update({f'mask_head.{i}': torch.ones(1) for i in range(12)}))
        message = refused(teacher_cfg, teacher_checkpoint)
        listed = ', '.join(f'mask_head.{i}' for i in range(3))
        assert f'unknown to the config: {listed} and 9 more\n' in message
        assert 'All weights of this detector are there, and these besides' in message
        command = re.search(r'python -c "(.*)", and name that file', message, re.DOTALL).group(1)
        monkeypatch.chdir(tmp_path)
        exec(command, {})
        loaded(teacher_cfg, tmp_path / 'teacher.pth')
        assert 'missing' not in message

    @pytest.mark.parametrize('named', [True, False])
    def test_another_number_of_classes(self, named, teacher_cfg, tmp_path):
        meta = dict(dataset_meta=dict(classes=tuple('abcde'))) if named else {}
        other = copy.deepcopy(teacher_cfg)
        other.model.roi_head.bbox_head.num_classes = 5
        checkpoint = save_teacher(other, tmp_path / 'five.pth', **meta)
        message = refused(teacher_cfg, checkpoint)
        head = 'roi_head.bbox_head.fc_cls.weight'
        shapes = {
            key: tuple(MODELS.build(cfg.model).state_dict()[head].shape)
            for key, cfg in (('t', teacher_cfg), ('o', other))
        }
        assert f'of another shape: {head} {shapes["o"]}, in the config {shapes["t"]}, ' in message
        said = 'The checkpoint knows 5 classes, and num_classes in the config is 3: set num_classes=5'
        assert (said in message) is named
        assert 'missing' not in message

    def test_all_sorts_at_once(self, teacher_cfg, teacher_checkpoint):
        def change(state_dict):
            del state_dict['neck.fpn_convs.0.conv.bias']
            state_dict['rpn_head.rpn_cls.weight'] = state_dict['rpn_head.rpn_cls.weight'][:1]
            state_dict['neck.surplus'] = torch.ones(1)

        message = refused(teacher_cfg, changed(teacher_checkpoint, change))
        assert 'missing from the checkpoint: neck.fpn_convs.0.conv.bias\n' in message
        assert 'unknown to the config: neck.surplus\n' in message
        assert re.search(r'of another shape: rpn_head\.rpn_cls\.weight \(1, \d+, 1, 1\), in the config', message)

    @pytest.mark.parametrize('prefix', ['', 'backbone.'])
    def test_a_backbone_alone(self, prefix, teacher_cfg, teacher_checkpoint):
        content = torch.load(teacher_checkpoint, weights_only=True)['state_dict']
        backbone = {k.removeprefix('backbone.'): v for k, v in content.items() if k.startswith('backbone.')}
        torch.save({prefix + k: v for k, v in backbone.items()}, teacher_checkpoint)
        cure = 'weights of a backbone alone' if not prefix else 'holds a part of the detector only'
        assert cure in refused(teacher_cfg, teacher_checkpoint)

    def test_under_a_prefix(self, teacher_cfg, teacher_checkpoint, tmp_path, monkeypatch):
        """A tracker's checkpoint. The command of the error makes one that loads."""
        content = torch.load(teacher_checkpoint, weights_only=True)
        expected = content['state_dict']
        torch.save({**content, 'state_dict': {f'detector.{k}': v for k, v in expected.items()}}, teacher_checkpoint)
        message = refused(teacher_cfg, teacher_checkpoint)
        assert "The weights of this detector lie under 'detector.'" in message
        monkeypatch.chdir(tmp_path)
        (command,) = re.findall(r'python -c "(.*?)"', message)
        teacher_checkpoint = teacher_checkpoint.rename(tmp_path / 'tracker.pth')
        exec(command.replace(str(tmp_path / 'teacher.pth'), str(teacher_checkpoint)), {})
        assert holds(loaded(teacher_cfg, tmp_path / 'teacher.pth'), expected)


@pytest.mark.parametrize('ending', ['running_mean', 'running_var', 'bias'])
def test_what_a_norm_was_trained_to_must_be_there(ending, teacher_cfg, teacher_checkpoint):
    key = f'backbone.layer3.0.bn1.{ending}'
    changed(teacher_checkpoint, lambda state_dict: state_dict.pop(key))
    assert f'missing from the checkpoint: {key}' in refused(teacher_cfg, teacher_checkpoint)


class Halved(torch.nn.Module):
    """Its second version holds half the weight of its first, as modules of torch and mmcv convert older ones."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if (local_metadata.get('version') or 1) < 2:
            state_dict[f'{prefix}weight'] = state_dict[f'{prefix}weight'] / 2
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


@pytest.mark.parametrize(('version', 'expected'), [(1, 0.5), (2, 1.0)])
def test_the_version_of_a_module_reaches_it(version, expected):
    model = torch.nn.ModuleDict(dict(head=Halved()))
    state_dict = model.state_dict()
    state_dict._metadata['head']['version'] = version
    fit.load_strictly(model, Weights(state_dict, None), Config(dict(model={})), 'teacher.pth')
    assert model['head'].weight.tolist() == [expected] * 2

"""stop_epoch and num_last_epochs: keys of any distiller, counted as mmdet's hooks count."""

import re
from types import SimpleNamespace

import pytest
import torch
from helpers.distil import METHOD, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from mmdet.engine.hooks import PipelineSwitchHook, YOLOXModeSwitchHook
from mmengine.logging import MessageHub
from torch import nn

from mmdet_kd.distillers import Stop, stop_of
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import TeacherKnowledge


@pytest.fixture
def training(request):
    """Says in which epoch of how many a training is, as mmengine's RuntimeInfoHook does."""
    hub = MessageHub.get_instance(request.node.name)  # the newest is the current one

    def note(epoch, of=4):
        for name, value in dict(loop_stage='train', epoch=epoch, iter=2 * epoch, max_epochs=of).items():
            hub.update_info(name, value)

    yield note
    hub.pop_info('loop_stage', None)


def runner_in(epoch, of):
    loader = SimpleNamespace(dataset=SimpleNamespace(pipeline=None, update_skip_type_keys=lambda keys: None))
    model = nn.Module()
    model.bbox_head = nn.Module()
    return SimpleNamespace(
        epoch=epoch, max_epochs=of, train_dataloader=loader, model=model, logger=SimpleNamespace(info=print)
    )


@pytest.mark.parametrize(('of', 'count'), [(300, 15), (4, 1), (3, 0), (12, 280), (5, 3)])
def test_it_stops_in_the_epoch_in_which_mmdets_hooks_switch(of, count):
    pairs = (
        (PipelineSwitchHook(count, []), Stop(stop_epoch=count)),
        (YOLOXModeSwitchHook(count), Stop(num_last_epochs=count)),
    )
    for hook, stop in pairs:
        for epoch in range(of):
            hook.before_train_epoch(runner_in(epoch, of))
            assert hook._has_switched == (epoch >= stop.first_epoch(of)), (stop, epoch)


@pytest.fixture
def cfg(student_cfg, teacher_cfg, teacher_checkpoint):
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
    for name, distiller in cfg.model.distillers.items():
        distiller.update(dict(num_last_epochs=1) if name == 'roi' else dict(stop_epoch=2))
    return cfg


def test_once_all_have_stopped_the_student_trains_as_if_alone(cfg, student_cfg, training, monkeypatch, log):
    detector, alone, batch = build(cfg), build(student_cfg), raw_batch()
    training(epoch=1)
    assert all(loss > 0 for loss in soft_part(losses_of(detector, batch)).values())
    assert not [line for line in log if 'from now on' in line]

    def asked(*_):
        raise AssertionError('the teacher was asked')

    monkeypatch.setattr(TeacherKnowledge, '__init__', asked)
    training(epoch=2)
    for _ in range(2):  # said once
        losses, plain = losses_of(detector, batch), losses_of(alone, batch)
    (line,) = (line for line in log if 'from now on' in line)
    assert line.startswith('Epoch 3 of 4: distillers.hint (stop_epoch=2), distillers.rpn (stop_epoch=2), ')
    assert 'distillers.roi (num_last_epochs=1) have stopped. The losses of hint, rpn, roi are 0 from now on, no' in line
    assert set(soft_part(losses)) == {f'{n}.loss_{p}' for n in METHOD for p in detector.distillers[n].parts}
    assert not any(soft_part(losses).values())
    for name, value in plain.items():  # mu takes nothing from the labels any more
        ours = losses[name] if isinstance(value, list) else [losses[name]]
        for mine, theirs in zip(ours, value if isinstance(value, list) else [value], strict=True):
            assert torch.equal(mine, theirs), name
    total(losses).backward()
    total(plain).backward()
    gradients = {name: parameter.grad for name, parameter in detector.named_parameters() if parameter.requires_grad}
    assert not any(gradient is None for gradient in gradients.values())  # or DDP would stop
    for name, parameter in alone.named_parameters():
        assert parameter.grad is None or torch.equal(parameter.grad, gradients[name]), name
    assert any(name.startswith('distillers.') for name in gradients)

    with torch.no_grad():  # the guard of the losses still looks
        bias = detector.distillers.hint.adapters[0].conv.bias
        bias[0], before = float('nan'), bias[0].item()
        with pytest.raises(FloatingPointError, match=r'hint\.loss_feat is not finite'):
            losses_of(detector, batch)
        bias[0] = before

    monkeypatch.undo()
    training(epoch=1)  # a run that is resumed from before
    assert all(loss > 0 for loss in soft_part(losses_of(detector, batch)).values())


@pytest.mark.slow
def test_one_may_stop_before_the_others(cfg, training, log):
    cfg.model.distillers.hint.stop_epoch = 1
    cfg.model.distillers.rpn.stop_epoch = None
    detector = build(cfg)
    training(epoch=1)
    stopped = [name for name, loss in soft_part(losses_of(detector, raw_batch())).items() if loss == 0]
    assert stopped == ['hint.loss_feat']
    assert [line for line in log if 'from now on' in line] == [
        'Epoch 2 of 4: distillers.hint (stop_epoch=1) has stopped. The losses of hint are 0 from now on.'
    ]


@pytest.mark.slow
def test_outside_of_a_training_nothing_stops_and_the_log_says_that(cfg, training, log):
    training(epoch=3)
    MessageHub.get_current_instance().pop_info('loop_stage')  # as after a training
    detector = build(cfg)
    assert all(loss > 0 for loss in soft_part(losses_of(detector, raw_batch())).values())
    losses_of(detector, raw_batch())
    assert sum('Nobody says in which epoch this step is' in line for line in log) == 1


NEVER = 'with stop_epoch=12 it does not stop, since the training has 12 epochs'
NOTHING = 'with num_last_epochs=11 it stops before the first of 12 epochs, so nothing would be distilled'
WITHOUT = r'stop_epoch=2 counts epochs, and this training counts iterations alone. Leave it out; .*begin=N, end=N\)\]'


@pytest.mark.parametrize(
    ('stop', 'epochs', 'message'),
    [(dict(stop_epoch=12), 12, NEVER), (dict(num_last_epochs=11), 12, NOTHING), (dict(stop_epoch=2), None, WITHOUT)],
)
def test_a_training_in_which_it_cannot_stop_is_refused(stop, epochs, message):
    (problem,) = Stop(**stop).problems('hint', epochs)
    assert re.match(f'distillers.hint: {message}', problem)
    assert Stop(**stop).problems('hint', 13) == []


@pytest.mark.slow
def test_it_is_refused_before_the_first_step_or_in_it(student_cfg, teacher_cfg, training):
    """Before it where TrainingClassesHook told how long the training is."""
    hint = dict(METHOD['hint'], stop_epoch=4)
    detector = build(distilled_cfg(student_cfg, teacher_cfg, None, hint=hint))
    training(epoch=0, of=1)  # so it is in an IterBasedTrainLoop
    with pytest.raises(DistillationError, match=r'has 1 epoch \(an IterBasedTrainLoop counts as one\)'):
        losses_of(detector, raw_batch((1,)))
    detector.set_epochs(4)
    with pytest.raises(DistillationError, match='with stop_epoch=4 it does not stop'):
        detector.init_weights()


@pytest.mark.parametrize(
    ('stop', 'message'),
    [
        (dict(stop_epoch=2, num_last_epochs=1), 'say the same thing in two ways'),
        (dict(stop_epoch=0), 'stop_epoch must be a number of epochs, at least 1, not 0'),
        (dict(stop_epoch=True), 'stop_epoch must be a number of epochs, at least 1, not True'),
        (dict(num_last_epochs=-1), 'num_last_epochs must be a number of epochs, at least 0, not -1'),
        (dict(num_last_epochs='2'), "num_last_epochs must be a number of epochs, at least 0, not '2'"),
    ],
)
def test_no_number_of_epochs_is_refused(stop, message):
    with pytest.raises(DistillationError, match=message):
        stop_of(dict(type='FeatureDistiller', **stop))


def test_a_wrong_key_is_refused_at_build(student_cfg, teacher_cfg):
    hint, rpn = dict(METHOD['hint'], stop_epochs=2), dict(METHOD['rpn'], stop_epoch=0)
    with pytest.raises(DistillationError) as error:
        build(distilled_cfg(student_cfg, teacher_cfg, None, hint=hint, rpn=rpn), init=False)
    unknown, zero = error.value.problems
    assert re.match(r'distillers\.hint: .*stop_epochs.*stop_epoch', unknown)
    assert zero == 'distillers.rpn: stop_epoch must be a number of epochs, at least 1, not 0'

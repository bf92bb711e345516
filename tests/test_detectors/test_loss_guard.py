"""Verdicts on losses that are still on their way from a GPU."""

import copy

import pytest
import torch
from helpers.distil import HINT, build, distilled_cfg

from mmdet_kd.detectors.loss_guard import FiniteLossGuard


class Event:
    """Of a GPU: passed, or not yet."""

    def __init__(self, passed):
        self.passed = passed

    def query(self):
        return self.passed

    def synchronize(self):
        self.passed = True


def pending(*verdicts):
    """A guard as some steps on a GPU leave it: of each, whether its loss was finite, and its event."""
    guard = FiniteLossGuard()
    for step, (finite, event) in enumerate(verdicts):
        guard._pending.append(([f'step{step}.loss_feat'], torch.tensor([finite]), event))
    return guard


def test_what_has_not_arrived_is_not_waited_for():
    event = Event(passed=False)
    guard = pending((False, event))
    guard.watch({})
    assert not event.passed
    event.passed = True
    with pytest.raises(FloatingPointError, match=r'step0\.loss_feat is not finite'):
        guard.watch({})


def test_draining_waits_for_every_verdict():
    events = [Event(passed=False) for _ in range(3)]
    guard = pending((True, events[0]), (True, events[1]), (False, events[2]))
    with pytest.raises(FloatingPointError, match=r'step2\.loss_feat is not finite'):
        guard.drain()
    assert all(event.passed for event in events)
    guard.drain()  # nothing is left


def test_a_detector_is_not_saved_after_a_loss_that_was_not_finite(student_cfg, teacher_cfg):
    detector = build(distilled_cfg(student_cfg, teacher_cfg, None, hint=HINT), init=False)
    detector._guard = pending((False, Event(passed=False)))
    assert set(copy.deepcopy(detector).state_dict())  # a copy has computed nothing
    with pytest.raises(FloatingPointError, match='is not finite'):
        detector.state_dict()


def watch_to_the_end(guard, losses):
    guard.watch(losses)
    guard.drain()


@pytest.mark.parametrize('number', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize(
    'device',
    ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))],
)
def test_each_number_that_is_none_is_named(number, device):
    guard, fine = FiniteLossGuard(), torch.tensor(1.0, device=device)
    bad = torch.tensor(number, device=device)
    with pytest.raises(FloatingPointError, match=r'loss roi\.loss_cls, rpn\.loss_cls is not finite'):
        watch_to_the_end(guard, {'hint.loss_feat': fine, 'roi.loss_cls': bad, 'rpn.loss_cls': bad})
    watch_to_the_end(guard, {'hint.loss_feat': fine})

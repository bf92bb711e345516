"""Over how many places of the teacher's maps the softmax of a loss spreads."""

import copy
import math
import re
from statistics import median

import pytest
import torch
from helpers.distil import HINT, build, distilled_cfg, raw_batch
from helpers.tiny import REPO
from mmengine.config import Config

from mmdet_kd.checks.gradients import take_steps
from mmdet_kd.checks.places import watched_places

METHODS = {'cwd': 'cwd.py', 'fgd': 'fgd-two-stage.py', 'fkd': 'fkd-two-stage.py'}


def method(name, temperature):
    distiller = Config.fromfile(REPO / 'configs/_base_/distillers' / METHODS[name]).distillers[name]
    distiller.loss.temperature = temperature
    return {name: distiller}


@pytest.fixture
def described(student_cfg, teacher_cfg):
    """The lines on two steps with some distillers, and the maps of the teacher's neck in them, level by level."""

    def look(distillers):
        detector = build(distilled_cfg(student_cfg, teacher_cfg.to_dict(), None, **distillers))
        with torch.no_grad():  # maps as large as those of a trained teacher
            for each in detector.teacher.detector.neck.fpn_convs:
                each.conv.weight.mul_(100)
        maps = [[], [], [], [], []]
        detector.teacher.detector.neck.register_forward_hook(
            lambda module, args, out: [own.append(each) for own, each in zip(maps, out, strict=True)] and None
        )
        batches = [raw_batch(seed=seed) for seed in (0, 1)]
        with watched_places(detector) as places:
            take_steps(detector, copy.deepcopy(batches), len(batches), tell=pytest.fail)
        left = [hook for module in detector.distillers.modules() for hook in module._forward_pre_hooks.values()]
        assert not [hook for hook in left if 'places' in hook.__module__]
        return list(places.describe()), maps

    return look


def numbers(verdict):
    """Of each map, the places that are taken and all that there are."""
    return [(float(taken), int(total)) for taken, total in re.findall(r'([\d.e+]+) of (\d+)', verdict.found)]


def by_loops(values, temperature):
    """The exponential of the entropy of a softmax."""
    top = max(values)
    shares = [math.exp((value - top) / temperature) for value in values]
    return math.exp(-sum(s / sum(shares) * math.log(s / sum(shares)) for s in shares if s))


@pytest.mark.parametrize('name', METHODS)
def test_the_line_has_the_places_that_the_teachers_maps_have_at_the_temperature(described, name):
    (verdict,), maps = described(method(name, 2.0))
    assert verdict.passed
    assert verdict.subject == f'distillers.{name}'
    assert verdict.found.startswith('at temperature 2 the softmax takes ')
    found, maps = numbers(verdict), maps[: 5 if name == 'cwd' else 4]  # two fragments leave the last level out
    assert [total for _, total in found] == [level[0].shape[-2] * level[0].shape[-1] for level in maps]
    assert found[0][0] < found[0][1] / 2  # so that the temperature matters
    for (taken, _), level in zip(found, maps, strict=True):
        rows = torch.cat(level).flatten(2)
        rows = rows.flatten(0, 1) if name == 'cwd' else rows.abs().mean(dim=1)
        each = sorted(by_loops(row.tolist(), 2.0) for row in rows)
        # torch's median is the lower one of two
        assert taken == pytest.approx(each[(len(each) - 1) // 2], rel=6e-3)
        assert taken <= median(each) * 1.01


def test_a_hot_softmax_takes_all_places_and_a_cold_one_takes_one(described):
    (hot,), _ = described(method('cwd', 1e6))
    assert all(taken == pytest.approx(total, rel=6e-3) for taken, total in numbers(hot))
    (cold,), _ = described(method('cwd', 1e-6))
    assert {taken for taken, _ in numbers(cold)} == {1.0}


def test_a_loss_without_a_softmax_over_places_has_no_line(described):
    lines, _ = described({'hint': HINT, **method('cwd', 1.0)})
    assert [line.subject for line in lines] == ['distillers.cwd']


def test_a_loss_that_does_not_count_has_no_line(described):
    lines, _ = described({'hint': HINT, 'cwd': {**method('cwd', 1.0)['cwd'], 'weight': 0.0}})
    assert lines == []

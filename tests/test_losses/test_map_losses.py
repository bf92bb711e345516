"""Losses on maps against plain loops over their formulas."""

import math
from functools import partial
from inspect import signature
from statistics import fmean, stdev

import pytest
import torch
from helpers.numeric import finite_differences
from torch import nn

from mmdet_kd.losses import CWDLoss, FGDLoss, FKDLoss, Frame, MGDLoss, PKDLoss
from mmdet_kd.losses.fgd_loss import GlobalContext
from mmdet_kd.losses.functional import (
    attention,
    attention_loss,
    channel_wise_kl,
    focal_loss,
    focal_masks,
    masked_generation,
    pearson_loss,
)


def maps(shape=(2, 3, 3, 4), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))


def frame(shape=(2, 3, 4), boxes=None):
    boxes = boxes or [torch.zeros(0, 4)] * shape[0]
    return Frame(boxes, torch.ones(shape, dtype=torch.bool), torch.Generator().manual_seed(3))


def softmax(numbers, temperature):
    exps = [math.exp(number / temperature) for number in numbers]
    return [value / sum(exps) for value in exps]


def channel_wise_by_loops(feat_s, feat_t, temperature):
    total, (images, channels) = 0.0, feat_s.shape[:2]
    for n in range(images):
        for c in range(channels):
            p_s, p_t = (softmax(feat[n, c].flatten().tolist(), temperature) for feat in (feat_s, feat_t))
            total += sum(t * math.log(t / s) for s, t in zip(p_s, p_t, strict=True))
    return temperature**2 * total / (images * channels)


def pearson_by_loops(feat_s, feat_t):
    total = 0.0
    for c in range(feat_s.shape[1]):
        standard = []
        for feat in (feat_s, feat_t):
            values = feat[:, c].flatten().tolist()
            standard.append([(value - fmean(values)) / (stdev(values) + 1e-6) for value in values])
        total += sum((s - t) ** 2 for s, t in zip(*standard, strict=True))
    return total / 2 / feat_s.numel()


LOOPS = {
    **{
        f'channel-wise, {temperature}': (
            partial(channel_wise_kl, temperature=temperature),
            partial(channel_wise_by_loops, temperature=temperature),
        )
        for temperature in (1.0, 2.0)
    },
    'pearson': (pearson_loss, pearson_by_loops),
}


@pytest.mark.parametrize('name', LOOPS)
def test_value_and_gradient_are_the_loops(name):
    loss, loops = LOOPS[name]
    feat_s, feat_t = maps()
    feat_s.requires_grad_()
    found = loss(feat_s, feat_t)
    assert found.item() == pytest.approx(loops(feat_s, feat_t), rel=1e-9)
    found.backward()
    torch.testing.assert_close(
        feat_s.grad, finite_differences(lambda f: loops(f, feat_t), feat_s), rtol=1e-5, atol=1e-8
    )


def test_pearson_is_one_minus_the_correlation():
    feat_s, feat_t = maps()
    correlations = [
        torch.corrcoef(torch.stack([f[:, c].flatten() for f in (feat_s, feat_t)]))[0, 1].item() for c in range(3)
    ]
    n = feat_s[:, 0].numel()
    assert pearson_loss(feat_s, feat_t).item() == pytest.approx((1 - fmean(correlations)) * (n - 1) / n, rel=1e-5)
    assert pearson_loss(3 * feat_s - 2, feat_t).item() == pytest.approx(pearson_loss(feat_s, feat_t).item(), rel=1e-5)


@pytest.mark.parametrize('value', [0.0, 2.0, 0.1, 1 / 3, 123.4])
@pytest.mark.parametrize('shape', [(1, 3, 1, 1), (2, 3, 2, 2), (2, 3, 7, 8)])
def test_a_channel_that_does_not_vary_has_the_gradient_of_deviation_1(shape, value):
    """The mean of such a channel may differ from it by rounding, and is no deviation either."""
    feat_s, feat_t = torch.full(shape, value, requires_grad=True), torch.randn(shape)
    loss = pearson_loss(feat_s, feat_t)
    loss.backward()
    n = shape[0] * shape[2] * shape[3]
    deviation = feat_t.std(dim=(0, 2, 3), keepdim=True) if n > 1 else 1.0
    standard = (feat_t - feat_t.mean(dim=(0, 2, 3), keepdim=True)) / deviation
    torch.testing.assert_close(feat_s.grad, -standard / feat_s.numel(), rtol=1e-4, atol=1e-6)
    assert loss.item() == pytest.approx(0.5 * (n - 1) / n, rel=1e-4)


def test_attention_by_loops():
    feat, _ = maps()
    spatial, channel = attention(feat, 0.5)
    for n in range(2):
        of_places = [fmean(abs(feat[n, c, y, x].item()) for c in range(3)) for y in range(3) for x in range(4)]
        assert spatial[n].flatten().tolist() == pytest.approx([12 * p for p in softmax(of_places, 0.5)])
        of_channels = [fmean(abs(v) for v in feat[n, c].flatten().tolist()) for c in range(3)]
        assert channel[n].flatten().tolist() == pytest.approx([3 * p for p in softmax(of_channels, 0.5)])


def test_focal_masks_by_loops():
    """Boxes that overlap, that reach beyond the map, that are a point; padding; a picture without any."""
    boxes = [
        torch.tensor([[0.5, 1.2, 2.5, 2.8], [1.0, 0.0, 1.4, 1.0], [3.2, 2.1, 9.0, 2.9]]),
        torch.zeros(0, 4),
        torch.tensor([[2.0, 1.0, 2.0, 1.0]]),
    ]
    valid = torch.ones(3, 4, 5, dtype=torch.bool)
    valid[1, :, 3:] = False
    foreground, background = focal_masks(boxes, valid)
    assert foreground.shape == background.shape == (3, 1, 4, 5)
    for n, own in enumerate(boxes):
        expected = [[0.0] * 5 for _ in range(4)]
        for x1, y1, x2, y2 in own.tolist():
            left, top, right, bottom = math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    if y < 4 and x < 5:
                        expected[y][x] = max(expected[y][x], 1 / ((bottom - top + 1) * (right - left + 1)))
        free = [(y, x) for y in range(4) for x in range(5) if expected[y][x] == 0 and valid[n, y, x]]
        for y in range(4):
            for x in range(5):
                assert foreground[n, 0, y, x].item() == pytest.approx(expected[y][x])
                assert background[n, 0, y, x].item() == pytest.approx(1 / len(free) if (y, x) in free else 0)


def test_focal_and_attention_loss_by_loops():
    feat_s, feat_t = maps()
    foreground, background = (torch.rand(2, 1, 3, 4, dtype=torch.float64) for _ in range(2))
    of_student, of_teacher = (attention(feat, 0.5) for feat in (feat_s, feat_t))
    found = focal_loss(feat_s, feat_t, foreground, background, of_teacher)
    spatial, channel = of_teacher
    for mask, loss in zip((foreground, background), found, strict=True):
        expected = sum(
            mask[n, 0, y, x] * spatial[n, 0, y, x] * channel[n, c, 0, 0] * (feat_t - feat_s)[n, c, y, x] ** 2
            for n in range(2)
            for c in range(3)
            for y in range(3)
            for x in range(4)
        )
        assert loss.item() == pytest.approx(expected.item() / 2)
    distance = sum((s - t).abs().sum() for s, t in zip(of_student, of_teacher, strict=True))
    assert attention_loss(of_student, of_teacher).item() == pytest.approx(distance.item() / 2)


def test_the_whole_of_fgd_is_the_sum_of_its_parts():
    feat_s, feat_t = maps(shape=(2, 4, 3, 4))
    told = frame(boxes=[torch.tensor([[0.5, 0.5, 2.0, 1.5]], dtype=torch.float64), torch.zeros(0, 4).double()])
    weights = dict(foreground_weight=2.0, background_weight=3.0, attention_weight=5.0, global_weight=7.0)
    loss = FGDLoss(4, temperature=0.8, loss_weight=0.5, **weights).double()
    for context in (loss.student_context, loss.teacher_context):
        nn.init.normal_(context.transform[-1].weight)
    of_student, of_teacher = (attention(feat, 0.8) for feat in (feat_s, feat_t))
    foreground, background = focal_loss(feat_s, feat_t, *focal_masks(told.boxes, told.valid), of_teacher)
    contexts = [context(feat) for context, feat in ((loss.student_context, feat_s), (loss.teacher_context, feat_t))]
    expected = (
        2 * foreground
        + 3 * background
        + 5 * attention_loss(of_student, of_teacher)
        + 7 * (contexts[0] - contexts[1]).square().sum() / 2
    )
    assert loss(feat_s, feat_t, told).item() == pytest.approx(0.5 * expected.item())


def test_a_global_context_by_loops():
    feat, _ = maps(shape=(1, 4, 2, 3))
    block = GlobalContext(4).double()
    assert torch.equal(block(feat), feat), 'at first it changes nothing'
    nn.init.normal_(block.transform[-1].weight)
    weights = block.mask.weight[0, :, 0, 0]
    scores = [(weights @ feat[0, :, y, x]).item() + block.mask.bias.item() for y in range(2) for x in range(3)]
    places = softmax(scores, 1.0)
    context = sum(p * feat[0, :, i // 3, i % 3] for i, p in enumerate(places))
    hidden = block.transform[0](context)
    hidden = (hidden - hidden.mean()) / (hidden.var(unbiased=False) + 1e-5).sqrt()
    added = block.transform[-1].weight @ hidden.clamp(min=0)
    torch.testing.assert_close(block(feat), feat + added[None, :, None, None])


def test_masked_generation_by_hand():
    feat_s, feat_t = maps(shape=(2, 3, 3, 4))
    kept = torch.rand(2, 1, 3, 4, dtype=torch.float64) > 0.5
    found = masked_generation(feat_s, feat_t, kept, lambda feat: 2 * feat + 1)
    expected = sum(
        ((2 * feat_s[n, c, y, x] * kept[n, 0, y, x] + 1 - feat_t[n, c, y, x]) ** 2).item()
        for n in range(2)
        for c in range(3)
        for y in range(3)
        for x in range(4)
    )
    assert found.item() == pytest.approx(expected / 2)


def test_masks_have_their_ratio_and_are_drawn_by_their_own_generator():
    loss = MGDLoss(2, 2, mask_ratio=0.65, loss_weight=1.0)
    seen = []
    loss.generation.register_forward_pre_hook(lambda _, args: seen.append((args[0] == 0).float().mean().item()))
    ones = torch.ones(2, 2, 100, 100)
    before = torch.get_rng_state()
    values = [loss(ones, ones, frame((2, 100, 100))).item() for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert values[0] == values[1]
    assert seen == [pytest.approx(0.65, abs=0.01)] * 2


@pytest.mark.parametrize(
    ('loss', 'told'),
    [
        (CWDLoss(), False),
        (PKDLoss(), False),
        (MGDLoss(3, 3), True),
        (FGDLoss(3), True),
        (FKDLoss(3, 3, stride=8), False),
    ],
    ids=lambda each: type(each).__name__,
)
class TestEveryLoss:
    def call(self, loss, told, feat_s, feat_t):
        return loss(feat_s, feat_t, *([frame((len(feat_s), *feat_s.shape[-2:]))] if told else []))

    def test_it_computes_in_single_precision_under_autocast(self, loss, told):
        feat_s, feat_t = (feat.float() for feat in maps())
        with torch.autocast('cpu', dtype=torch.bfloat16):
            found = self.call(loss, told, feat_s.bfloat16(), feat_t.bfloat16())
        assert found.dtype == torch.float32
        expected = self.call(loss, told, feat_s.bfloat16().float(), feat_t.bfloat16().float())
        torch.testing.assert_close(found, expected)

    def test_its_gradient_reaches_the_student_and_all_that_it_trains(self, loss, told):
        feat_s, feat_t = (feat.float().requires_grad_() for feat in maps())
        if isinstance(loss, FGDLoss):
            for context in (loss.student_context, loss.teacher_context):
                nn.init.normal_(context.transform[-1].weight)
        self.call(loss, told, feat_s, feat_t).backward()
        assert feat_s.grad.abs().sum() > 0
        assert feat_t.grad is None
        assert all(parameter.grad is not None for parameter in loss.parameters())

    def test_other_shapes_are_refused(self, loss, told):
        feat_s, feat_t = (feat.float() for feat in maps())
        with pytest.raises((ValueError, RuntimeError)):
            self.call(loss, told, feat_s, feat_t[..., :-1])

    def test_a_weight_below_zero_is_refused(self, loss, told):
        parameters = signature(type(loss)).parameters.items()
        of_a_level = {name: 3 for name, parameter in parameters if parameter.default is parameter.empty}
        with pytest.raises(ValueError, match='loss_weight must be at least 0'):
            type(loss)(**of_a_level, loss_weight=-1.0)

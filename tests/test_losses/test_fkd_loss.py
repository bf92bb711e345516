"""FKD against plain loops over its formulas, in float64."""

import math
from itertools import product
from statistics import fmean

import pytest
import torch
from torch import nn

from mmdet_kd.losses import FKDLoss

TERMS = ('mask_weight', 'channel_weight', 'spatial_weight', 'non_local_weight')
EPS = 1e-12


def alone(term):
    return {name: 0.7 if name == term else 0.0 for name in TERMS}


def loss_and_maps(channels=(3, 4), size=(5, 6), images=2, **settings):
    """A loss whose every parameter is drawn, also those that begin at 0, and two maps of unlike spread."""
    torch.manual_seed(0)
    loss = FKDLoss(*channels, **{'stride': 16, 'temperature': 0.3, **settings}).double()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.normal_()
    feat_s, feat_t = (torch.randn(images, count, *size, dtype=torch.float64) for count in channels)
    return loss, feat_s.requires_grad_(), 1.5 * feat_t


# The formulas. A map is read cell by cell; what is computed of it has a graph.


def cells(feat):
    """Of each picture: (row, column) -> the values of the channels there."""
    rows, columns = feat.shape[-2:]
    return [{at: picture[:, at[0], at[1]] for at in product(range(rows), range(columns))} for picture in feat]


def pointwise(conv, feat):
    """A 1x1 convolution of cells."""
    return [{at: conv.weight[:, :, 0, 0] @ values + conv.bias for at, values in picture.items()} for picture in feat]


def softmax(numbers, temperature):
    exps = [math.exp(number / temperature) for number in numbers]
    return [value / sum(exps) for value in exps]


def attention(picture, temperature):
    """Of one picture: of each place, of each channel."""
    magnitudes = {at: [abs(value) for value in values.tolist()] for at, values in picture.items()}
    places = softmax([fmean(values) for values in magnitudes.values()], temperature)
    channels = softmax([fmean(values) for values in zip(*magnitudes.values(), strict=True)], temperature)
    return (
        {at: len(places) * share for at, share in zip(magnitudes, places, strict=True)},
        [len(channels) * share for share in channels],
    )


def mask_term(loss, feat_s, feat_t):
    total, temperature = 0.0, loss.temperature
    bare, adapted, taught = cells(feat_s), pointwise(loss.adapter, cells(feat_s)), cells(feat_t)
    alike = feat_s.shape[1] == feat_t.shape[1]
    for own, picture_s, picture_t in zip(bare, adapted, taught, strict=True):
        places_s, places_t = (attention(picture, temperature)[0] for picture in (own, picture_t))
        channels_s, channels_t = (
            attention(picture, temperature)[1] for picture in (own if alike else picture_s, picture_t)
        )
        for at in picture_s:
            for channel in range(feat_t.shape[1]):
                weight = (places_s[at] + places_t[at]) / 2
                if loss.channel_mask:
                    weight *= (channels_s[channel] + channels_t[channel]) / 2
                total = total + weight * (picture_t[at][channel] - picture_s[at][channel]) ** 2
    return (total + EPS).sqrt()


def channel_term(loss, feat_s, feat_t):
    total = 0.0
    for picture_s, picture_t in zip(cells(feat_s), cells(feat_t), strict=True):
        mean_s, mean_t = (sum(picture.values()) / len(picture) for picture in (picture_s, picture_t))
        adapted = loss.channel_adapter.weight @ mean_s + loss.channel_adapter.bias
        total = total + sum((mean_t[c] - adapted[c]) ** 2 for c in range(len(mean_t)))
    return (total + EPS).sqrt()


def spatial_term(loss, feat_s, feat_t):
    total, kernel = 0.0, loss.spatial_adapter.weight[0, 0]
    for picture_s, picture_t in zip(cells(feat_s), cells(feat_t), strict=True):
        means = {at: values.mean() for at, values in picture_s.items()}
        for y, x in picture_t:
            around = product(range(3), range(3))
            adapted = sum(kernel[i, j] * means.get((y + i - 1, x + j - 1), 0.0) for i, j in around)
            total = total + (picture_t[y, x].mean() - adapted - loss.spatial_adapter.bias[0]) ** 2
    return (total + EPS).sqrt()


def non_local(block, picture, window):
    """What each place of one picture gathers of all, before the batch norm."""
    (theta,), (both,) = pointwise(block.theta, [picture]), pointwise(block.phi_and_g, [picture])
    windows = {}
    for (y, x), values in both.items():
        windows.setdefault((y // window, x // window), []).append(values)
    hidden = block.theta.out_channels
    pooled = [torch.stack(inside).amax(dim=0) for inside in windows.values()]
    gathered = {}
    for at, query in theta.items():
        answer = sum((query @ entry[:hidden]) * entry[hidden:] for entry in pooled) / len(pooled)
        gathered[at] = block.out.weight @ answer
    return gathered


def related(block, feat, window):
    """The block: a batch norm over all pictures and places, and the map itself."""
    pictures = cells(feat)
    gathered = [non_local(block, picture, window) for picture in pictures]
    every = [values for picture in gathered for values in picture.values()]
    mean = sum(every) / len(every)
    deviation = (sum((values - mean) ** 2 for values in every) / len(every) + 1e-5).sqrt()
    return [
        {
            at: picture[at] + (values - mean) / deviation * block.norm.weight + block.norm.bias
            for at, values in own.items()
        }
        for picture, own in zip(pictures, gathered, strict=True)
    ]


def non_local_term(loss, feat_s, feat_t, window=2):
    total = 0.0
    of_student = pointwise(loss.relations_adapter, related(loss.student_relations, feat_s, window))
    for picture_s, picture_t in zip(of_student, related(loss.teacher_relations, feat_t, window), strict=True):
        for at in picture_t:
            for channel in range(feat_t.shape[1]):
                total = total + (picture_t[at][channel] - picture_s[at][channel]) ** 2
    return (total + EPS).sqrt()


LOOPS = dict(zip(TERMS, (mask_term, channel_term, spatial_term, non_local_term), strict=True))


def check(loss, feat_s, expected, found):
    """Same value, and same gradient of the student's map and of all that is trained."""
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    trained = dict(student=feat_s, **dict(loss.named_parameters()))
    gradients = [
        torch.autograd.grad(value, list(trained.values()), allow_unused=True, materialize_grads=True)
        for value in (found, expected)
    ]
    for name, ours, loops in zip(trained, *gradients, strict=True):
        torch.testing.assert_close(ours, loops, rtol=1e-7, atol=1e-9, msg=lambda text, name=name: f'{name}: {text}')
    assert gradients[1][0].abs().sum() > 0 or found.item() == 0


@pytest.mark.parametrize('channels', [(3, 4), (4, 4)], ids=str)
@pytest.mark.parametrize('term', TERMS)
def test_a_term_is_the_loops(term, channels):
    """Two pictures, whose last windows are cut off by the border; with channels of either side alike and unlike."""
    loss, feat_s, feat_t = loss_and_maps(channels, **alone(term))
    check(loss, feat_s, 0.7 * LOOPS[term](loss, feat_s, feat_t), loss(feat_s, feat_t))


def test_the_mask_of_mmrazor_leaves_channels_out():
    loss, feat_s, feat_t = loss_and_maps(**alone('mask_weight'), channel_mask=False)
    check(loss, feat_s, 0.7 * mask_term(loss, feat_s, feat_t), loss(feat_s, feat_t))


def test_the_whole_is_the_weighted_sum_of_the_terms():
    weights = dict(zip(TERMS, (2.0, 3.0, 5.0, 7.0), strict=True))
    loss, feat_s, feat_t = loss_and_maps(**weights, loss_weight=0.5)
    expected = sum(weight * LOOPS[term](loss, feat_s, feat_t) for term, weight in weights.items())
    check(loss, feat_s, 0.5 * expected, loss(feat_s, feat_t))


@pytest.mark.parametrize('pool_factor', [1, 2])
@pytest.mark.parametrize(
    ('stride', 'window', 'hidden'), [(4, 8, 2), (5, 4, 2), (8, 4, 2), (16, 2, 4), (32, 2, 4), (128, 2, 4)]
)
def test_windows_and_channels_of_a_block_are_those_of_the_stride(stride, window, hidden, pool_factor):
    loss, feat_s, feat_t = loss_and_maps((8, 8), (9, 10), 1, stride=stride, pool_factor=pool_factor)
    for block, feat in ((loss.student_relations, feat_s), (loss.teacher_relations, feat_t)):
        assert block.theta.out_channels == hidden
        (expected,) = related(block, feat, window * pool_factor)
        found = block(feat)[0]
        for (y, x), values in expected.items():
            torch.testing.assert_close(found[:, y, x], values)


@pytest.mark.parametrize('stride', [4, 16])
@pytest.mark.parametrize(('images', 'size'), [(1, (1, 1)), (2, (1, 1)), (1, (1, 3)), (2, (3, 2))], ids=str)
def test_maps_smaller_than_a_window_and_of_one_place(images, size, stride):
    """A batch norm of one value a channel gives its bias."""
    weights = dict.fromkeys(TERMS, 1.0)
    loss, feat_s, feat_t = loss_and_maps(size=size, images=images, stride=stride, **weights)
    terms = [LOOPS[term](loss, feat_s, feat_t) for term in TERMS[:3]]
    whole = sum(terms) + non_local_term(loss, feat_s, feat_t, window=8 if stride == 4 else 2)
    check(loss, feat_s, whole, loss(feat_s, feat_t))


def test_maps_that_are_equal_have_a_gradient():
    """The roots are cut off at 1e-6, so none divides by 0."""
    loss = FKDLoss(3, 3, 16, **dict.fromkeys(TERMS, 1.0))
    with torch.no_grad():
        for conv in (loss.adapter, loss.relations_adapter):
            conv.weight.copy_(torch.eye(3)[..., None, None])
            conv.bias.zero_()
        loss.channel_adapter.weight.copy_(torch.eye(3))
        loss.channel_adapter.bias.zero_()
        nn.init.dirac_(loss.spatial_adapter.weight)
        loss.spatial_adapter.bias.zero_()
    feat = torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4) / 32
    feat_s = feat.clone().requires_grad_()
    found = loss(feat_s, feat)
    found.backward()
    assert found.item() == pytest.approx(4e-6, rel=0.01)
    assert feat_s.grad.abs().max() < 1e-6
    assert all(parameter.grad.isfinite().all() for parameter in loss.parameters())


def test_blocks_begin_as_if_they_were_not_there_and_keep_no_averages():
    loss = FKDLoss(3, 4, 16)
    feat = torch.randn(2, 4, 5, 6)
    assert torch.equal(loss.teacher_relations(feat), feat)
    assert list(loss.buffers()) == []
    loss, feat_s, feat_t = loss_and_maps()
    assert loss.eval()(feat_s, feat_t).item() == loss.train()(feat_s, feat_t).item()


@pytest.mark.parametrize(
    ('settings', 'match'),
    [
        *((dict(alone(term), **{term: -1.0}), f'{term} must be at least 0') for term in TERMS),
        (dict(temperature=0), 'temperature must be greater than 0'),
        (dict(pool_factor=0), 'pool_factor must be at least 1'),
        (dict(pool_factor=1.5), 'pool_factor must be a whole number, not 1.5'),
    ],
)
def test_bad_settings_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        FKDLoss(4, 4, 8, **settings)

"""Which instances are chosen, against plain loops; and what is cut out of the maps, against mmdet's own extractor."""

import itertools

import pytest
import torch
from helpers.dense_heads import detector_of, pictures
from helpers.one_stage import atss, fcos, retinanet, ssd
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures.bbox import bbox2roi
from torch._subclasses.fake_tensor import FakeTensorMode

from mmdet_kd.distillers.general_instances import Candidates, choose_instances, find_candidates
from mmdet_kd.distillers.instance_features import cut_out, levels_of
from mmdet_kd.heads import DensePredictions, DenseView, find_view

SIZES = torch.tensor([[60.0, 90.0], [50.0, 40.0]])  # height and width of two pictures


def random_boxes(count, seed, size=90.0, least=2.0):
    """Boxes that overlap, that reach beyond the pictures, and that are small."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, count, 2, generator=generator) * size - 10
    extent = torch.rand(2, count, 2, generator=generator) ** 2 * size * 0.6 + least
    return torch.cat([corner, corner + extent], dim=2)


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def chosen_by_loops(boxes, scores, size, count, threshold, least):
    height, width = size
    kept = []
    for score, (x1, y1, x2, y2) in sorted(zip(scores, boxes, strict=True), reverse=True):
        clipped = [min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height)]
        large = clipped[2] - clipped[0] > least and clipped[3] - clipped[1] > least
        if score >= 0 and large and all(overlap(clipped, other) <= threshold for other in kept):
            kept.append(clipped)
    return kept[:count]


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize(('count', 'threshold'), [(10, 0.3), (3, 0.3), (40, 0.0), (10, 1.0)])
def test_the_choice_is_that_of_plain_suppression(seed, count, threshold):
    boxes = random_boxes(60, seed)
    scores = torch.rand(2, 60, generator=torch.Generator().manual_seed(seed + 10))
    scores[1, ::3] = -1  # no candidates
    found = choose_instances(Candidates(boxes, scores), SIZES, count, threshold, 10.0)
    assert found.boxes.shape == (2, count, 4)
    for n in range(2):
        expected = chosen_by_loops(boxes[n].tolist(), scores[n].tolist(), SIZES[n].tolist(), count, threshold, 10.0)
        assert 1 <= len(expected) <= count
        assert found.valid[n].tolist() == [True] * len(expected) + [False] * (count - len(expected))
        torch.testing.assert_close(found.boxes[n][found.valid[n]], torch.tensor(expected), rtol=1e-5, atol=1e-4)


def test_the_sides_of_an_instance_are_above_the_least():
    """After it was clipped to its own picture, not to the canvas."""
    boxes = torch.tensor([[[0.0, 0, 10, 30], [0, 0, 30, 10], [20, 5, 30.5, 15.5], [29.0, 0, 60, 30]]]).repeat(2, 1, 1)
    sizes = torch.tensor([[40.0, 70.0], [40.0, 39.0]])
    found = choose_instances(Candidates(boxes, torch.ones(2, 4)), sizes, 4, 0.3, 10.0)
    assert found.valid.sum(dim=1).tolist() == [2, 1]
    assert found.boxes[1, 0].tolist() == [20, 5, 30.5, 15.5]


def test_a_score_of_zero_is_a_score():
    """Two sides that agree have instances all the same; where no candidate is, there is none."""
    boxes = torch.tensor([[[0.0, 0, 20, 20], [30, 30, 50, 50]]])
    found = choose_instances(Candidates(boxes, torch.tensor([[0.0, -1.0]])), SIZES[:1], 2, 0.3, 10.0)
    assert found.valid.tolist() == [[True, False]]
    assert found.boxes[0, 0].tolist() == [0, 0, 20, 20]


#: The layers that score classes.
SCORES = ('retina_cls', 'conv_cls', 'atss_cls', *(f'cls_convs.{level}.0' for level in range(5)))


def predictions(cfg, seed):
    """What a tiny head with biases of its own predicts for two pictures of noise."""
    detector = detector_of(cfg, seed)
    view = find_view(detector.bbox_head, DenseView)
    generator = torch.Generator().manual_seed(seed)
    data = detector.data_preprocessor(pictures(), training=True)
    with torch.no_grad():
        for name, parameter in detector.bbox_head.named_parameters():
            if name.rpartition('.')[0] in SCORES:
                spread = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(spread * 0.5 if name.endswith('weight') else spread * 0 - 1)
        raw = detector.bbox_head(detector.extract_feat(data['inputs']))
    return DensePredictions(view, view.maps(raw, training=True))


@pytest.fixture(params=[retinanet, fcos, ssd, atss])
def sides(request, student_cfg):
    return [predictions(request.param(student_cfg), seed) for seed in (0, 1)]


@pytest.mark.parametrize('by', ['class', 'maximum'])
def test_candidates_are_the_priors_with_the_largest_difference(sides, by):
    """With the box of the surer side; of a softmax without its background."""
    known = torch.ones_like(sides[0].scores[..., 0])
    known[:, ::5] = 0
    found = find_candidates(*sides, known, 200, by)
    from_teacher = 0
    for n in range(2):
        rows = []
        for place, (z_s, z_t) in enumerate(zip(sides[0].scores[n], sides[1].scores[n], strict=True)):
            if place % 5 == 0:
                continue
            p_s, p_t = (z.sigmoid() if len(z) == 3 else z.softmax(dim=0)[:3] for z in (z_s, z_t))
            p_s, p_t = p_s.tolist(), p_t.tolist()
            score = abs(max(p_s) - max(p_t))
            if by == 'class':
                score = max(abs(a - b) for a, b in zip(p_s, p_t, strict=True))
            rows.append((score, place, max(p_t) > max(p_s)))
        rows = sorted(rows, reverse=True)[:200]
        assert found.scores[n].tolist() == pytest.approx([score for score, *_ in rows], abs=1e-6)
        from_teacher += sum(surer for *_, surer in rows)
        own = [sides[surer].boxes[n, place] for _, place, surer in rows]
        gaps = [first[0] - second[0] > 1e-6 for first, second in itertools.pairwise(rows)]
        clear = [before and after for before, after in zip([True, *gaps], [*gaps, True], strict=True)]
        assert sum(clear) > 100, 'alike scores may change places'
        clear = torch.tensor(clear)
        torch.testing.assert_close(found.boxes[n][clear], torch.stack(own)[clear], rtol=1e-4, atol=1e-3)
    assert 0 < from_teacher < 400, 'both sides were to be surer somewhere'


def test_fewer_priors_than_candidates(sides):
    found = find_candidates(*sides, None, 10**6)
    assert found.scores.shape == sides[0].scores.shape[:2]
    assert (found.scores[:, :-1] >= found.scores[:, 1:]).all()


def test_nothing_waits_for_the_device(sides):
    """Fake tensors have no numbers: whoever asks for one gets an error."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = [
            DensePredictions(each.view, type(each.maps)(*(m and [mode.from_tensor(f) for f in m] for m in each.maps)))
            for each in sides
        ]
        found = find_candidates(*fakes, None, 100)
        chosen = choose_instances(found, mode.from_tensor(SIZES), 10, 0.3, 10.0)
        levels = levels_of(chosen.boxes, (4, 8))
    assert chosen.boxes.shape == (2, 10, 4)
    assert levels.shape == (2, 10)


def test_the_choice_has_no_gradient(sides):
    for each in sides:
        each.maps = type(each.maps)(*(m and [f.clone().requires_grad_() for f in m] for m in each.maps))
    found = find_candidates(*sides, None, 100)
    chosen = choose_instances(found, SIZES, 10, 0.3, 10.0)
    assert not any(each.requires_grad for each in (*found, *chosen))


STRIDES = (4, 8, 16, 32)


@pytest.mark.parametrize(('first', 'finest_scale'), [(4, 56), (8, 112)])
def test_levels_are_those_of_mmdets_extractor(first, finest_scale):
    """224 pixels belong to the stride of 16, whichever level is the first."""
    strides = [first * 2**level for level in range(4)]
    extractor = extractor_of(strides, finest_scale)
    generator = torch.Generator().manual_seed(0)
    boxes = torch.cat(
        [torch.rand(1, 200, 2, generator=generator), torch.rand(1, 200, 2, generator=generator) * 1500], dim=2
    )
    boxes[0, 0] = torch.tensor([0.0, 0, 224, 224])
    boxes[0, 1] = torch.tensor([0.0, 0, 223.9, 224])
    found = levels_of(boxes, strides)
    assert strides[found[0, 0]] == 16
    assert strides[found[0, 1]] == 8
    assert torch.equal(found[0], extractor.map_roi_levels(bbox2roi([boxes[0]]), 4))
    assert set(found.flatten().tolist()) == {0, 1, 2, 3}


def extractor_of(strides, finest_scale):
    layer = dict(type='RoIAlign', output_size=10, sampling_ratio=2)
    return SingleRoIExtractor(layer, out_channels=3, featmap_strides=strides, finest_scale=finest_scale)


def test_features_and_gradients_are_those_of_mmdets_extractor():
    """Of boxes of every level, in maps that lie in memory channel by channel or cell by cell."""
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 3, 1024 // stride, 512 // stride, generator=generator) for stride in STRIDES]
    maps[1] = maps[1].to(memory_format=torch.channels_last)
    sides = torch.tensor([20.0, 60, 130, 250, 470]).repeat(2, 1)
    corner = torch.rand(2, 5, 2, generator=generator) * 40
    boxes = torch.cat([corner, corner + sides[..., None] * torch.tensor([0.8, 1.25])], dim=2)
    found, expected = ([feat.clone().requires_grad_() for feat in maps] for _ in range(2))
    levels = levels_of(boxes, STRIDES)
    assert set(levels.flatten().tolist()) == {0, 1, 2, 3}
    features = cut_out(found, STRIDES, boxes, levels)
    theirs = extractor_of(STRIDES, 56)([feat.contiguous() for feat in expected], bbox2roi(list(boxes)))
    assert features.shape == (10, 3, 10, 10)
    torch.testing.assert_close(features, theirs, rtol=1e-5, atol=1e-5)
    weights = torch.randn(features.shape, generator=generator)
    (features * weights).sum().backward()
    (theirs * weights).sum().backward()
    for ours, own in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.grad, own.grad, rtol=1e-4, atol=1e-4)

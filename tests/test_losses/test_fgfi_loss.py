"""FGFI against plain loops over its formula: the mask from anchors and truth, the value and the gradient."""

import pytest
import torch
from helpers.numeric import finite_differences
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmdet_kd.losses import Anchors, FGFILoss, Frame
from mmdet_kd.losses.functional import anchor_mask, best_overlap, imitation_loss

H, W = 4, 5
#: Of a cell: a square, a tall one and a wide one, whose centres are not that of the cell.
ANCHORS = torch.tensor([[-1.0, -1, 1, 1], [-0.5, -2, 1, 2], [-1.5, 0, 2.5, 1]], dtype=torch.float64)[None]
UNIT = torch.ones(2, dtype=torch.float64)
#: Boxes that overlap, leave the map, are smaller than a cell, have no area, lie in the padding; and none.
BOXES = [
    torch.tensor([[0.3, 0.2, 2.4, 2.1], [1.0, 0.5, 3.0, 3.9], [2.6, 1.4, 9.0, 7.0]], dtype=torch.float64),
    torch.zeros(0, 4, dtype=torch.float64),
    torch.tensor(
        [[1.2, 1.3, 1.5, 1.7], [2.0, 2.0, 2.0, 2.0], [-7.0, -3.0, 1.0, 1.0], [4.2, 0.1, 5.0, 0.9]], dtype=torch.float64
    ),
]
VALID = torch.zeros(3, H, W, dtype=torch.bool)
VALID[0], VALID[1, :2], VALID[2, :3, :4] = True, True, True


def iou(first, second):
    sides = [min(first[i + 2], second[i + 2]) - max(first[i], second[i]) for i in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (areas[0] + areas[1] - common)


def overlaps_by_loops(boxes, valid, first=ANCHORS, spacing=UNIT):
    """(picture, box) -> (row, column) of each valid cell -> IoU of the box with each of its anchors."""
    found = {}
    for n, own in enumerate(boxes):
        for g, box in enumerate(own.tolist()):
            cells = found[n, g] = {}
            for y, x in torch.nonzero(valid[n]).tolist():
                dx, dy = x * spacing[0].item(), y * spacing[1].item()
                of_cell = first[n % len(first)].tolist()
                cells[y, x] = [iou((a + dx, b + dy, c + dx, d + dy), box) for a, b, c, d in of_cell]
    return found


def mask_by_loops(overlaps, shape, best, threshold=0.5):
    mask = torch.zeros(shape, dtype=torch.bool)
    for (n, g), cells in overlaps.items():
        for (y, x), of_cell in cells.items():
            if any(value > threshold * best[n, g] for value in of_cell):
                mask[n, y, x] = True
    return mask


def largest(overlaps):
    return {key: max(max(of_cell) for of_cell in cells.values()) for key, cells in overlaps.items()}


def frame_of(boxes=BOXES, valid=VALID, first=ANCHORS, spacing=UNIT, elsewhere=None):
    """A level, as the distiller tells it; ``elsewhere`` is the largest IoU on the other levels."""
    best = best_overlap(boxes, valid, first, spacing)
    of_all = best if elsewhere is None else torch.maximum(best, elsewhere)
    return Frame(list(boxes), valid, torch.Generator(), Anchors(first, spacing, best, of_all))


def maps(shape=(3, 2, H, W), dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))


@pytest.mark.parametrize(
    ('first', 'spacing'),
    [
        (ANCHORS, UNIT),
        (ANCHORS[:, :1], UNIT),
        (ANCHORS + torch.arange(3.0).view(3, 1, 1) / 4, torch.tensor([1.25, 0.8], dtype=torch.float64)),
    ],
    ids=['three shapes', 'one shape', 'other places in each picture'],
)
class TestTheMask:
    def test_the_largest_overlap_is_that_of_the_loops(self, first, spacing):
        found = best_overlap(BOXES, VALID, first, spacing)
        assert found.shape == (3, 4)
        expected = torch.zeros(3, 4, dtype=torch.float64)
        for key, value in largest(overlaps_by_loops(BOXES, VALID, first, spacing)).items():
            expected[key] = value
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)

    @pytest.mark.parametrize('threshold', [0.0, 0.5, 0.9])
    def test_it_is_that_of_the_loops(self, first, spacing, threshold):
        overlaps = overlaps_by_loops(BOXES, VALID, first, spacing)
        best = best_overlap(BOXES, VALID, first, spacing)
        found = anchor_mask(BOXES, VALID, first, spacing, threshold * best)
        expected = mask_by_loops(overlaps, VALID.shape, largest(overlaps), threshold)
        assert torch.equal(found[:, 0], expected)
        assert found.shape == (3, 1, H, W)
        assert 0 < expected.sum() < VALID.sum() or threshold == 0


def test_a_cell_with_just_half_of_the_largest_overlap_is_off():
    """Boxes of 3 x 1: one place further the overlap is 2 / (3 + 3 - 2) = 0.5, two places further 1 / 5."""
    boxes = [torch.tensor([[1.0, 0.0, 4.0, 1.0]])]
    first, valid = torch.tensor([[[0.0, 0.0, 3.0, 1.0]]]), torch.ones(1, 1, 5, dtype=torch.bool)
    best = best_overlap(boxes, valid, first, torch.ones(2))
    assert best.tolist() == [[1.0]]
    masks = {t: anchor_mask(boxes, valid, first, torch.ones(2), t * best)[0, 0, 0].tolist() for t in (0.5, 0.49, 0.15)}
    assert masks == {
        0.5: [False, True, False, False, False],
        0.49: [True, True, True, False, False],
        0.15: [True, True, True, True, False],
    }


def test_the_mask_of_a_picture_does_not_depend_on_its_padding():
    """Also where the anchors nearest to a box are in the padding."""
    boxes = [torch.tensor([[2.8, 0.0, 5.0, 1.5]])]
    masks = []
    for extent in (3, 6):
        valid = torch.zeros(1, extent, extent, dtype=torch.bool)
        valid[:, :3, :3] = True
        best = best_overlap(boxes, valid, ANCHORS.float(), torch.ones(2))
        masks.append(anchor_mask(boxes, valid, ANCHORS.float(), torch.ones(2), 0.5 * best)[..., :3, :3])
        assert not anchor_mask(boxes, valid, ANCHORS.float(), torch.ones(2), 0 * best)[..., 3:, :].any()
    whole = best_overlap(boxes, torch.ones(1, 6, 6, dtype=torch.bool), ANCHORS.float(), torch.ones(2))
    assert whole > 2 * best, 'the example would prove nothing'
    assert masks[0].any()
    assert torch.equal(*masks)


@pytest.mark.parametrize('maximum', ['all levels', 'level'])
@pytest.mark.parametrize('threshold', [0.5, 0.3])
def test_value_and_gradient_are_the_loops(maximum, threshold):
    feat_s, feat_t = maps()
    elsewhere = torch.tensor([[0.9, 0.0, 0.2, 0], [0, 0, 0, 0], [0.7, 0, 0.1, 0.3]], dtype=torch.float64)
    overlaps = overlaps_by_loops(BOXES, VALID)
    best = largest(overlaps)
    if maximum == 'all levels':
        best = {key: max(value, elsewhere[key].item()) for key, value in best.items()}
    on = torch.nonzero(mask_by_loops(overlaps, VALID.shape, best, threshold)).tolist()
    assert on

    def loops(feat):
        total = sum(((feat[n, c, y, x] - feat_t[n, c, y, x]) ** 2).item() for n, y, x in on for c in range(2))
        return 0.25 / (2 * len(on)) * total

    loss = FGFILoss(threshold=threshold, maximum=maximum, loss_weight=0.25)
    feat_s.requires_grad_()
    found = loss(feat_s, feat_t, frame_of(elsewhere=elsewhere))
    assert found.item() == pytest.approx(loops(feat_s), rel=1e-9)
    found.backward()
    torch.testing.assert_close(feat_s.grad, finite_differences(loops, feat_s), rtol=1e-5, atol=1e-8)


def test_the_two_maxima_differ():
    feats, elsewhere = maps(), torch.full((3, 4), 0.9, dtype=torch.float64)
    values = [FGFILoss(maximum=m)(*feats, frame_of(elsewhere=elsewhere)).item() for m in ('all levels', 'level')]
    assert values[0] != pytest.approx(values[1], rel=0.01)


def test_channels_are_summed_and_cells_averaged_over_the_batch():
    (feat_s, feat_t), told = maps(), frame_of()
    value = FGFILoss()(feat_s, feat_t, told).item()
    channels_twice = FGFILoss()(*(feat.repeat(1, 2, 1, 1) for feat in (feat_s, feat_t)), told)
    assert channels_twice.item() == pytest.approx(2 * value)
    batch_twice = frame_of(BOXES * 2, VALID.repeat(2, 1, 1))
    assert FGFILoss()(*(feat.repeat(2, 1, 1, 1) for feat in (feat_s, feat_t)), batch_twice).item() == pytest.approx(
        value
    )


@pytest.mark.parametrize('size', [(H, W), (1, 1)])
def test_without_truth_it_is_an_attached_zero(size):
    feat_s, feat_t = maps((3, 2, *size))
    told = frame_of([BOXES[1]] * 3, torch.ones(3, *size, dtype=torch.bool))
    found = FGFILoss(loss_weight=5.0)(feat_s.requires_grad_(), feat_t, told)
    found.backward()
    assert found.item() == 0
    assert torch.equal(feat_s.grad, torch.zeros_like(feat_s))


def test_a_map_of_one_place():
    feat_s, feat_t = maps((1, 2, 1, 1))
    told = frame_of([BOXES[0]], torch.ones(1, 1, 1, dtype=torch.bool))
    found = FGFILoss(loss_weight=1.0)(feat_s, feat_t, told)
    assert found.item() == pytest.approx((feat_s - feat_t).square().sum().item() / 2)


def test_it_computes_in_single_precision_under_autocast():
    feat_s, feat_t = maps(dtype=torch.bfloat16)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = FGFILoss()(feat_s, feat_t, frame_of())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, FGFILoss()(feat_s.float(), feat_t.float(), frame_of()))


def test_the_teacher_gets_no_gradient():
    feat_s, feat_t = (feat.requires_grad_() for feat in maps())
    FGFILoss()(feat_s, feat_t, frame_of()).backward()
    assert feat_t.grad is None


class LargestTensor(TorchDispatchMode):
    """How many values the largest tensor has that is made."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        made = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.values = max([self.values, *made])
        return result


def test_nothing_is_held_that_is_larger_than_the_map_times_the_boxes():
    boxes, valid = [torch.rand(6, 4).sort()[0] * 20] * 2, torch.ones(2, 30, 40, dtype=torch.bool)
    first = torch.rand(1, 9, 4).sort()[0]
    with LargestTensor() as seen:
        mask = anchor_mask(boxes, valid, first, torch.ones(2), 0.5 * best_overlap(boxes, valid, first, torch.ones(2)))
    assert mask.any()
    assert seen.values == 2 * 6 * 30 * 40


def test_other_shapes_are_refused():
    feat_s, feat_t = maps()
    with pytest.raises(ValueError, match='cannot be compared'):
        imitation_loss(feat_s, feat_t[..., :-1], VALID[:, None], 1)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(threshold=-0.1), 'threshold must be at least 0'),
        (dict(threshold=1.0), r'threshold must be less than 1, not 1\.0'),
        (dict(maximum='levels'), "maximum must be one of .*, not 'levels'"),
        (dict(loss_weight=-1), 'loss_weight must be at least 0'),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FGFILoss(**settings)

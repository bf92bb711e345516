"""Cells of one side in the maps of the other, by loops over cells."""

import pytest
import torch
from helpers.numeric import bilinear

from mmdet_kd.distillers.alignment import cell_positions, crop_to_common_cells, sample_map
from mmdet_kd.distillers.prior_maps import at_anchors_of
from mmdet_kd.heads import RPNOutputs, rows_of


def ramp(height, width, stride, channels=2, images=1):
    """A map whose cells hold the x, then the y, of their centres in pixels."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) * stride, (torch.arange(width) + 0.5) * stride, indexing='ij')
    return torch.stack([x, y]).repeat(images, channels // 2, 1, 1)


@pytest.mark.parametrize('ratio', [(2.0, 2.0), (1.0, 1.0), (2.7, 1.9)])
def test_a_map_on_another_grid_holds_what_lies_there(ratio):
    # the teacher's cells of stride 16, in a picture that is `ratio` times larger
    points = cell_positions((5, 6), 16 / torch.tensor([ratio]), offset=0.5)
    got = sample_map(ramp(7, 9, 8), 8, points)[0]
    for row in range(5):
        for column in range(6):
            x, y = (column + 0.5) * 16 / ratio[0], (row + 0.5) * 16 / ratio[1]
            expected = min(max(x, 4), 8.5 * 8), min(max(y, 4), 6.5 * 8)  # beyond the border centres, the nearest cell
            assert got[:, row, column].tolist() == pytest.approx(expected, abs=1e-3)


def test_on_its_own_grid_a_map_is_itself():
    feat = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    points = cell_positions((5, 7), torch.full((2, 2), 16.0, dtype=torch.float64), offset=0.5)
    torch.testing.assert_close(sample_map(feat, 16, points), feat)


def test_the_cells_that_both_have_are_counted_from_the_upper_left():
    grid = torch.arange(20.0).view(1, 1, 4, 5)
    for first, second in ((grid[..., :3, :], grid[..., :4]), (grid[..., :4], grid[..., :3, :])):
        found = crop_to_common_cells(first, second)
        assert all(torch.equal(feat, grid[..., :3, :4]) for feat in found)


def test_gradients_reach_the_map():
    feat = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    points = cell_positions((6, 6), torch.full((1, 2), 5.1, dtype=torch.float64), offset=0.5)
    assert torch.autograd.gradcheck(lambda f: sample_map(f, 8, points), feat)


def rpn_outputs(*shapes, images=2):
    generator = torch.Generator().manual_seed(0)
    scores = [torch.randn(images, 3, *shape, generator=generator) for shape in shapes]
    return RPNOutputs(scores, [torch.randn(images, 12, *shape, generator=generator) for shape in shapes])


@pytest.mark.parametrize(
    ('ratios', 'strides'),
    [
        ([[2.0, 2.0], [2.0, 2.0]], [(8, 8), (16, 16)]),
        ([[2.1, 1.9], [2.0, 2.3]], [(8, 8), (16, 16)]),
        ([[2.0, 2.0], [2.0, 2.0]], [(8, 16), (16, 32)]),  # a level of the teacher's with the same cells
    ],
)
def test_the_teacher_is_read_where_the_students_anchors_lie(ratios, strides):
    student = rpn_outputs((5, 6), (3, 3))
    teacher = rpn_outputs((11, 12), (5, 6)) if strides[0] == (8, 8) else rpn_outputs((6, 6), (2, 3))
    fitted, judged = at_anchors_of(student, teacher, strides, 1, torch.tensor(ratios))
    rows = rows_of(fitted.cls_scores, 1)[..., 0], rows_of(fitted.bbox_preds, 4)
    place = 0
    for level, (stride_s, stride_t) in enumerate(strides):
        height, width = student.cls_scores[level].shape[-2:]
        for row in range(height):
            for column in range(width):
                for image, (ratio_x, ratio_y) in enumerate(ratios):
                    x, y = column * stride_s * ratio_x / stride_t, row * stride_s * ratio_y / stride_t
                    scores, deltas = teacher.cls_scores[level][image], teacher.bbox_preds[level][image]
                    inside = x <= scores.shape[2] - 0.5 and y <= scores.shape[1] - 0.5
                    anchors = slice(place, place + 3)
                    assert judged[image, anchors].tolist() == [float(inside)] * 3
                    torch.testing.assert_close(rows[0][image, anchors], bilinear(scores, x, y), atol=1e-4, rtol=0)
                    expected = bilinear(deltas, x, y).view(3, 4)
                    torch.testing.assert_close(rows[1][image, anchors], expected, atol=1e-4, rtol=0)
                place += 3
    assert place == judged.shape[1]
    assert 0 < judged.mean() <= 1


def test_one_object_has_one_box_whichever_anchor_is_asked():
    """Deltas of a fixed box, at anchors every 16 px: read between them, they are the box's deltas there."""
    size, centre = 32.0, torch.tensor([37.0, 21.0])
    cells = torch.arange(6) * 16.0
    dx, dy = ((centre[axis] - cells) / size for axis in (0, 1))
    deltas = torch.stack([dx.expand(6, 6), dy[:, None].expand(6, 6), torch.zeros(6, 6), torch.zeros(6, 6)])[None]
    teacher = RPNOutputs([torch.zeros(1, 1, 6, 6)], [deltas])
    student = RPNOutputs([torch.zeros(1, 1, 3, 3)], [torch.zeros(1, 4, 3, 3)])
    ratio = 1.7
    fitted, _ = at_anchors_of(student, teacher, [(16, 16)], 1, torch.tensor([[ratio, ratio]]))
    for row in range(3):
        for column in range(3):
            x, y = (min(cell * 16 * ratio, 80.0) for cell in (column, row))
            got = fitted.bbox_preds[0][0, :2, row, column] * size + torch.tensor([x, y])
            torch.testing.assert_close(got, centre, atol=1e-3, rtol=0)

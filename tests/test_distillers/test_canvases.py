"""Two sides that pad alike pictures to canvases of different size."""

import torch

from mmdet_kd.distillers.alignment import crop
from mmdet_kd.distillers.prior_maps import flatten_levels, on_the_grids_of
from mmdet_kd.knowledge import RPNOutputs


def outputs(*sides):
    """One anchor a cell; each cell's score says where it is."""
    scores = [torch.arange(side)[:, None] * 100.0 + torch.arange(side) for side in sides]
    maps = [score.expand(2, 1, side, side) for score, side in zip(scores, sides, strict=True)]
    return RPNOutputs(maps, [m.repeat(1, 4, 1, 1) for m in maps])


def test_crop_keeps_the_cells_that_touch_the_canvas():
    feat = torch.arange(24 * 24.0).view(1, 1, 24, 24)
    for canvas, side in (((72, 72), 18), ((73, 72), 19), ((96, 96), 24), ((400, 400), 24)):
        assert torch.equal(crop(feat, canvas, 4), feat[..., :side, : -(-canvas[1] // 4)])


def test_a_larger_grid_of_the_teachers_is_cropped():
    fitted, judged = on_the_grids_of(outputs(6, 3), outputs(8, 4), channels=1)
    assert all(torch.equal(a, b) for a, b in zip(fitted.cls_scores, outputs(6, 3).cls_scores, strict=True))
    assert judged.shape == (2, 6 * 6 + 3 * 3)
    assert judged.all()


def test_beyond_a_smaller_grid_the_teacher_says_nothing():
    fitted, judged = on_the_grids_of(outputs(6, 3), outputs(5, 2), channels=1)
    expected = flatten_levels(outputs(6, 3).cls_scores, 1).view(2, -1)
    got = flatten_levels(fitted.cls_scores, 1).view(2, -1)
    assert torch.equal(got[judged > 0], expected[judged > 0])
    assert judged.sum() == 2 * (25 + 4)
    assert [m.shape[-1] for m in fitted.bbox_preds] == [6, 3]

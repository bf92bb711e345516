"""What is cut out of a picture, on pixels; and the gradient towards the box."""

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.classifiers import crop_boxes

PICTURE = torch.arange(2 * 3 * 8 * 12, dtype=torch.float64).view(2, 3, 8, 12)


def box(*xyxy):
    return torch.tensor([xyxy], dtype=torch.float64)


def test_a_box_of_whole_pixels_is_cut_out_as_it_is():
    crops = crop_boxes(PICTURE, [box(2, 3, 6, 7), box(0, 0, 4, 4)], size=4)
    torch.testing.assert_close(crops[0], PICTURE[0, :, 3:7, 2:6])
    torch.testing.assert_close(crops[1], PICTURE[1, :, 0:4, 0:4])


def test_a_box_of_half_the_size_is_enlarged_bilinearly():
    crop = crop_boxes(PICTURE[:1], [box(4, 2, 6, 4)], size=4)[0, 0]
    # centres of the new pixels at 4.25, 4.75, 5.25, 5.75; a picture's value grows by 1 a column and 12 a row
    columns = torch.tensor([4.25, 4.75, 5.25, 5.75]) - 0.5
    rows = torch.tensor([2.25, 2.75, 3.25, 3.75]) - 0.5
    expected = 12 * rows[:, None] + columns[None]
    torch.testing.assert_close(crop, expected.double())


def test_beyond_the_outermost_centres_the_border_continues():
    crop = crop_boxes(1 + PICTURE[:1], [box(0, 0, 2, 2)], size=4)[0, 0]
    # centres of the new pixels at 0.25, 0.75, 1.25, 1.75; the first lies before the centre of the first old pixel
    steps = torch.tensor([0.0, 0.25, 0.75, 1.25])
    torch.testing.assert_close(crop, (1 + 12 * steps[:, None] + steps[None]).double())


def test_the_aspect_ratio_is_not_kept():
    crop = crop_boxes(PICTURE[:1], [box(0, 0, 12, 4)], size=4)[0, 0]
    expected = 12 * torch.arange(4)[:, None] + torch.tensor([1.0, 4.0, 7.0, 10.0])
    torch.testing.assert_close(crop, expected.double())


def test_the_order_is_that_of_the_pictures_and_their_boxes():
    boxes = [torch.cat([box(i, i, i + 2, i + 2) for i in range(n)]) if n else box(0, 0, 1, 1)[:0] for n in (3, 1)]
    alone = [
        crop_boxes(PICTURE[i : i + 1], [each[j : j + 1]], 3) for i, each in enumerate(boxes) for j in range(len(each))
    ]
    torch.testing.assert_close(crop_boxes(PICTURE, boxes, 3), torch.cat(alone))


@pytest.mark.parametrize('chunk', [1, 2, 3, 100])
def test_chunks_change_nothing(chunk):
    boxes = [torch.cat([box(i, 0, i + 3, 5) for i in range(5)]), box(1, 1, 4, 4)]
    torch.testing.assert_close(crop_boxes(PICTURE, boxes, 4, chunk), crop_boxes(PICTURE, boxes, 4))


@pytest.mark.parametrize(
    ('xyxy', 'inside'),
    [
        ((-5, -5, 4, 4), (0, 0, 4, 4)),
        ((8, 4, 90, 90), (8, 4, 12, 8)),
        ((3, 3, 3, 3), (3, 3, 4, 4)),
        ((5, 5, 2, 2), (5, 5, 6, 6)),
        ((20, 20, 30, 30), (11, 7, 12, 8)),
        ((-9, -9, -3, -3), (0, 0, 1, 1)),
    ],
)
def test_what_is_outside_or_flat_is_brought_inside(xyxy, inside):
    torch.testing.assert_close(crop_boxes(PICTURE[:1], [box(*xyxy)], 4), crop_boxes(PICTURE[:1], [box(*inside)], 4))


def test_no_box_gives_no_crop():
    assert crop_boxes(PICTURE, [box(0, 0, 1, 1)[:0]] * 2, 4).shape == (0, 3, 4, 4)


def test_the_gradient_towards_the_box_is_that_of_finite_differences():
    smooth = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at = box(2.3, 1.6, 9.1, 6.7)
    weight = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def value(xyxy):
        return (crop_boxes(smooth, [xyxy], 5) * weight).sum()

    wanted = at.clone().requires_grad_()
    value(wanted).backward()
    numeric = finite_differences(lambda xyxy: value(xyxy).item(), at.clone())
    torch.testing.assert_close(wanted.grad, numeric, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_moves_no_pixel(dtype):
    picture = torch.arange(1344.0).expand(1, 3, 8, 1344)
    boxes = [torch.tensor([[1000.0, 2.0, 1040.0, 6.0]])]
    with torch.autocast('cpu', dtype):
        crop = crop_boxes(picture, boxes, size=80)
    torch.testing.assert_close(crop, crop_boxes(picture, boxes, size=80))
    assert crop[0, 0, 0].diff().min() > 0.4  # half a pixel of the picture apart

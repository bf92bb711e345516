"""What a distiller is told of a step: boxes and places of either side, and numbers of its own."""

import pytest
import torch

from mmdet_kd.heads import Truth
from mmdet_kd.knowledge import Step

TRUTH = Truth([torch.tensor([[8.0, 4.0, 24.0, 20.0]]), torch.zeros(0, 4)], [torch.tensor([1]), torch.tensor([])])
HERE = torch.device('cpu')


def step(ratios=None, **more):
    return Step(TRUTH, [(30, 50), (64, 17)], (64, 64), (128, 128), ratios, **more)


def test_boxes_of_either_side():
    alike, larger = step(), step(torch.tensor([[2.0, 1.5], [2.0, 2.0]]))
    assert torch.equal(alike.boxes('teacher')[0], TRUTH.boxes[0])
    assert larger.boxes('teacher')[0].tolist() == [[16.0, 6.0, 48.0, 30.0]]
    assert larger.boxes('student')[0].tolist() == TRUTH.boxes[0].tolist()
    assert larger.boxes_on(8, 'teacher')[0].tolist() == [[2.0, 0.75, 6.0, 3.75]]
    assert larger.boxes('teacher')[1].shape == (0, 4)


@pytest.mark.parametrize(('side', 'ratios'), [('student', None), ('teacher', None), ('teacher', 2.0)])
def test_places_that_show_a_picture(side, ratios):
    told = step(None if ratios is None else torch.full((2, 2), ratios))
    valid = told.valid((8, 8), 8, side, HERE)
    for picture, (height, width) in enumerate(told.img_shapes):
        for row in range(8):
            for column in range(8):
                inside = row * 8 < height * (ratios or 1) and column * 8 < width * (ratios or 1)
                assert valid[picture, row, column].item() == inside


def test_numbers_depend_on_the_place_in_the_training_alone():
    def drawn(*key, **place):
        return torch.rand(3, generator=step(**place).generator(HERE, *key)).tolist()

    before = torch.get_rng_state()
    same = drawn(1, iteration=5, seed=3)
    assert same == drawn(1, iteration=5, seed=3)
    others = [drawn(2, iteration=5, seed=3), drawn(1, iteration=6, seed=3), drawn(1, iteration=5, seed=4)]
    assert same not in others
    assert torch.equal(before, torch.get_rng_state())


def test_a_training_says_where_it_is(student_cfg, tmp_path):
    """mmengine's hooks note the iteration before the step in which it is asked."""
    from mmengine.logging import MessageHub

    from mmdet_kd.knowledge import progress

    hub = MessageHub.get_instance('a training')
    hub.update_info_dict(dict(iter=7, epoch=2, seed=11))
    assert progress() == dict(iteration=7, epoch=2, seed=11)

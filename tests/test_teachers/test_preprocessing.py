"""Whether two detectors see the same bits of the same picture."""

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_kd.teachers import preprocess_alike, preprocess_images
from mmdet_kd.teachers.preprocessing import normalise_alike

SETTINGS = dict(
    type='DetDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)


def build(**changes):
    return MODELS.build({**SETTINGS, **changes})


def test_the_same_settings_are_alike():
    assert preprocess_alike(build(), build())


@pytest.mark.parametrize(
    'changes',
    [
        {'mean': [123.675, 116.28, 103.54]},
        {'mean': [103.53, 116.28, 123.675]},
        {'std': [1.0, 1.0, 1.0]},
        {'std': [58.395, 57.375, 57.12]},
        {'bgr_to_rgb': False},
        {'pad_size_divisor': 1},
        {'pad_size_divisor': 16},
        {'pad_size_divisor': 64},
        {'pad_value': 114},
        {'pad_value': 1e-3, 'pad_size_divisor': 32},
        {'mean': [0, 0, 0], 'std': [1, 1, 1]},
    ],
)
def test_each_difference_shows(changes):
    assert not preprocess_alike(build(), build(**changes))
    assert not preprocess_alike(build(**changes), build())


def test_channel_order_shows_also_where_all_channels_are_normalised_alike():
    equal = dict(mean=[100.0] * 3, std=[50.0] * 3)
    assert not preprocess_alike(build(**equal), build(**equal, bgr_to_rgb=False))


def test_padding_shows_also_where_only_the_other_pictures_of_a_batch_ask_for_it():
    loose = dict(pad_size_divisor=1)
    assert preprocess_alike(build(**loose), build(**loose))
    assert not preprocess_alike(build(**loose), build(**loose, pad_value=114))


def test_two_settings_that_say_the_same_are_alike():
    """Swapping the channels to and fro is the same swap."""
    assert preprocess_alike(build(), build(bgr_to_rgb=False, rgb_to_bgr=True))
    assert preprocess_alike(build(pad_mask=True, mask_pad_value=3), build())


def test_it_is_asked_on_the_cpu():
    """A GPU ends the process where a grey picture has no second channel; the meta device stands for it here."""
    elsewhere = dict(mean=None, std=None)  # a meta device would lose the numbers
    assert preprocess_alike(build(**elsewhere).to('meta'), build(**elsewhere))
    assert not preprocess_alike(build(**elsewhere).to('meta'), build(**elsewhere, bgr_to_rgb=False))
    assert normalise_alike(build(**elsewhere).to('meta'), build(**elsewhere, pad_size_divisor=1))
    assert not normalise_alike(build(**elsewhere).to('meta'), build(**elsewhere, bgr_to_rgb=False))
    model = build(**elsewhere).to('meta')
    preprocess_alike(model, model)
    assert model.device.type == 'meta', 'the preprocessor itself was moved'


def test_batch_augmentation_is_not_preprocessing():
    augmented = build(batch_augments=[dict(type='BatchFixedSizePad', size=(96, 96), pad_mask=False)])
    assert preprocess_alike(build(), augmented)


@pytest.mark.parametrize('as_batch', [False, True])
def test_images_are_normalised_padded_and_left_alone(as_batch):
    pictures = [torch.full((3, 20, 30), 7, dtype=torch.uint8), torch.full((3, 20, 30), 9, dtype=torch.uint8)]
    pictures[0][0], pictures[0][2] = 1, 3
    raw = torch.stack(pictures) if as_batch else pictures
    seen = preprocess_images(build(), raw)
    assert seen.shape == (2, 3, 32, 32)
    expected = [(3 - 123.675) / 58.395, (7 - 116.28) / 57.12, (1 - 103.53) / 57.375]  # red first
    torch.testing.assert_close(seen[0, :, 5, 5], torch.tensor(expected))
    assert (seen[:, :, 20:] == 0).all()
    assert pictures[0][0, 0, 0] == 1
    assert pictures[0].dtype == torch.uint8

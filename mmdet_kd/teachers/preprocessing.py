"""Whether two models look at a picture in the same way."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Channels of the pictures that preprocessors are shown: grey, colour, and colour with a fourth, of depth or infrared.
_CHANNELS = (1, 3, 4)
# How a preprocessor says that it does not take pictures of so many channels.
_REFUSALS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)


def preprocess_images(preprocessor: nn.Module, images: list[Tensor] | Tensor) -> Tensor:
    """Normalise, reorder and pad raw pictures as a detector does at test time.

    Args:
        preprocessor: the detector's ``data_preprocessor``.
        images: raw pictures (C, H, W) each, or a batch (N, C, H, W).

    Returns:
        The batch (N, C, H, W) that the detector's backbone sees.
    """
    return preprocessor({'inputs': images, 'data_samples': None}, training=False)['inputs']


def preprocess_alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether two preprocessors make the same bits of the same pictures.

    They are asked, not compared by their settings: a picture of one pixel and a larger one show a difference in channel
    order, mean, std, padding and padding value. They are shown grey, colour and
    four-channel pictures; those that one of them refuses say nothing.
    """
    sides = (_on_the_cpu(each) for each in (first, second))
    return _alike(*([_answer(each, _pictures(channels)) for channels in _CHANNELS] for each in sides))


def normalise_alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether two preprocessors make the same of a pixel, however they pad."""
    sides = (_on_the_cpu(each) for each in (first, second))
    return _alike(*([_answer(each, _pictures(channels)[:1]) for channels in _CHANNELS] for each in sides), 1)


def suitable_channels(preprocessor: nn.Module, wanted: int, loaded: Iterable[int]) -> set[int]:
    """How many channels loaded pictures may have, so that those that a preprocessor makes of them have ``wanted``.

    Args:
        preprocessor: a detector's ``data_preprocessor``, on a CPU; its numbers do not matter.
        wanted: channels that the detector's backbone takes.
        loaded: numbers of channels to try.
    """
    answers = {channels: _answer(preprocessor, _pictures(channels)) for channels in loaded}
    return {channels for channels, made in answers.items() if made is not None and made.shape[1] == wanted}


def _on_the_cpu(preprocessor: nn.Module) -> nn.Module:
    """A copy that can be asked about pictures that it does not take, as at test time.

    On a GPU an index out of range (a second channel of a grey picture) is no exception: it ends all work of the process
    there. What a detector hooks into its preprocessor for trainings, such as a smaller view, is not meant.
    """
    return copy.deepcopy(preprocessor).to('cpu').eval()


def _pictures(channels: int) -> list[Tensor]:
    """A picture of one pixel and a larger one, whose values all differ."""
    pixel, larger = (torch.arange(count, device='cpu') for count in (channels, 6 * channels))
    pixel = 10 + 40 * pixel
    return [pixel.to(torch.uint8).view(channels, 1, 1), larger.to(torch.uint8).view(channels, 2, 3)]


def _answer(preprocessor: nn.Module, pictures: list[Tensor]) -> Tensor | None:
    """What a preprocessor makes of pictures; None if it takes none of so many channels."""
    try:
        with torch.device('cpu'):  # also where the student is built on the meta device
            return preprocess_images(preprocessor, pictures)
    except _REFUSALS:
        return None


def _alike(first: list[Tensor | None], second: list[Tensor | None], extent: int | None = None) -> bool:
    """Whether what both take comes out the same, as far as ``extent`` pixels of each side; and whether there is any."""
    both = [
        (a[..., :extent, :extent], b[..., :extent, :extent])
        for a, b in zip(first, second, strict=True)
        if a is not None and b is not None
    ]
    return bool(both) and all(a.shape == b.shape and bool(torch.equal(a, b)) for a, b in both)

"""Whether student and teacher take pictures of as many channels as the same loaded pictures give them."""

import copy

from ..backbones import picture_channels
from ..distillers import ModelPair
from ..teachers import BaseTeacher, DetectorTeacher, suitable_channels

#: Channels that loaded pictures usually have: grey, colour, and colour with a fourth, of depth or infrared.
_USUAL = (1, 3, 4)


def channel_problems(pair: ModelPair, teacher: BaseTeacher) -> list[str]:
    """What forbids that the backbones of both sides run on the same loaded pictures.

    Each side preprocesses them by itself, but for a classifier, which sees those of the student.

    Args:
        pair: the two sides; of the teacher, only its shapes.
        teacher: the same teacher.
    """
    sides = {}
    for side in (pair.student, pair.teacher):
        seen_by = side if isinstance(teacher, DetectorTeacher) else pair.student
        preprocessor = copy.deepcopy(seen_by.detector.data_preprocessor).to_empty(device='cpu')
        sides[side.name] = preprocessor, picture_channels(side.detector.backbone)
    loaded = sorted({*_USUAL, *(channels for _, channels in sides.values())})
    suitable = {name: suitable_channels(*side, loaded) for name, side in sides.items()}
    taken = {name: channels for name, (_, channels) in sides.items()}
    if taken['student'] != taken['teacher'] and not suitable['student'] & suitable['teacher']:
        return [
            f"the student's backbone takes pictures of {taken['student']} channels, the teacher's of "
            f'{taken["teacher"]}, and both see the same pictures: take a teacher that was trained on such pictures as '
            "the student's, or set in_channels of the student's backbone and load such pictures"
        ]
    return [
        f"the {name}'s backbone takes pictures of {taken[name]} channels, and its data_preprocessor makes none of so "
        'many: set in_channels of the backbone, or give the data_preprocessor a mean and a std for each channel (mmdet '
        'knows one, which serves any number of channels, and three) and, unless there are three, bgr_to_rgb=False'
        for name, channels in suitable.items()
        if not channels
    ]

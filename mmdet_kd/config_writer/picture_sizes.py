"""The sizes at which a student and its teachers see pictures, as their configs say."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..runtime.run_record import distilled_parts
from ..teachers import load_teacher_config
from .loaders import steps_in


def sizes_said(cfg: Config) -> list[str]:
    """At which sizes a student and the detectors that teach it see pictures, a line a teacher.

    Args:
        cfg: of the training, with whole paths of its teachers' files.

    Returns:
        Without a teacher that is a detector, one line on the student.

    Raises:
        DistillationError: the config of a teacher cannot be read.
    """
    ours = _sizes_of(cfg)
    resized = f'resized to {ours}' if ours else 'of no size that its config says'
    lines = []
    for part in distilled_parts(cfg.model):
        scale, teachers = part.get('student_scale'), part.get('teachers') or {'teacher': part.get('teacher')}
        for name, teacher in teachers.items():
            if not teacher or teacher.get('type', 'DetectorTeacher') != 'DetectorTeacher':
                continue  # a classifier looks at what is in the boxes
            who = 'the teacher' if name == 'teacher' else f'the teacher {name}'
            seen = f'{resized} for the student, and {who} sees the same'
            if scale is not None:
                seen = f'{resized} for {who}, and the student sees {scale:g} of that'
            theirs = _sizes_of(load_teacher_config(teacher['config'])) or 'none'
            lines.append(f'pictures: {seen}; the size in its own config is {theirs}')
    return lines or [f'pictures: {resized} for the student']


def _sizes_of(cfg: Config) -> str:
    """To which sizes a training resizes pictures, width x height: one, or the smallest and the largest."""
    sizes: list[tuple[int, int]] = []
    ratios: list[float] = []
    for step in steps_in(cfg.get('train_dataloader') or {}):
        if 'Resize' in str(step.get('type')):
            sizes += _pairs(step.get('scales') or step.get('scale'))
            ratios += step.get('ratio_range') or ()
    ends = sorted(set(sizes), key=lambda size: size[0] * size[1])
    words = ' to '.join(f'{width}x{height}' for width, height in dict.fromkeys([*ends[:1], *ends[-1:]]))
    return f'{words} times {min(ratios):g} to {max(ratios):g}' if words and ratios else words


def _pairs(scale: Any) -> Iterator[tuple[int, int]]:
    """The sizes in a scale of mmdet: one, or several."""
    if isinstance(scale, (list, tuple)):
        if len(scale) == 2 and all(isinstance(each, int) for each in scale):
            yield (scale[0], scale[1])
        else:
            for each in scale:
                yield from _pairs(each)

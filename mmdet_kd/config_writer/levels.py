"""The levels that a method compares where student and teacher have pyramids of other strides."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from mmengine.config import Config

from ..distillers.levels import common_levels
from ..errors import DistillationError
from ..knowledge import MapShape, map_shapes, on_meta
from ..teachers import load_teacher_config
from ..teachers.build import build_model
from .detectors import Student, Teacher
from .methods import Method

_SOURCES = ('backbone', 'neck')


def with_common_levels(methods: dict[str, Method], student: Student, teacher: Teacher) -> dict[str, Method]:
    """Write into methods which levels they compare, where the two sides have only some of those that they mean.

    A Faster R-CNN has maps of strides 4 to 64 and a RetinaNet of 8 to 128: the distiller of a hint would ask for the
    levels, and here they are named. PKD means the first four levels, and a YOLOX has three. The two networks are built
    without memory to see their strides, which takes a second; two detectors of one class have the same strides most
    often, so methods that mean all of them are left to the check.

    Args:
        methods: name -> method.
        student: that is to learn.
        teacher: that is to teach.

    Returns:
        The same methods; those that are changed have a further line of comment.

    Raises:
        DistillationError: one of the two cannot be built.
    """
    asking = [distiller for method in methods.values() for distiller in method.distillers.values() if _asks(distiller)]
    if teacher.is_classifier or not asking:
        return methods
    taught_by = load_teacher_config(teacher.cfg['config'])
    if taught_by.model.type == student.model.type and not any('levels' in distiller for distiller in asking):
        return methods
    ours, theirs = _maps_of(student.source.cfg, 'STUDENT'), _maps_of(taught_by, 'TEACHER')
    return {name: _with_levels(method, ours, theirs) for name, method in methods.items()}


def _asks(distiller: dict[str, Any]) -> bool:
    """Whether a distiller compares levels of maps, all or those that it names, each with that of its stride."""
    is_plain = distiller.get('type') == 'FeatureDistiller' and distiller.get('source', 'neck') in _SOURCES
    return is_plain and not {'teacher_levels', 'pairing'} & distiller.keys()


def _maps_of(cfg: Config, what: str) -> dict[str, tuple[MapShape, ...]]:
    try:
        return map_shapes(on_meta(partial(build_model, cfg)))
    except DistillationError:
        raise
    except Exception as error:  # a config may name any class, whose constructor may fail in any way
        raise DistillationError(
            [
                f'{what}: its detector cannot be built ({type(error).__name__}: {error}). Mend its config, or install '
                'what it asks for'
            ]
        ) from error


def _with_levels(
    method: Method, ours: dict[str, tuple[MapShape, ...]], theirs: dict[str, tuple[MapShape, ...]]
) -> Method:
    distillers, comment = dict(method.distillers), method.comment
    for name, distiller in method.distillers.items():
        source = distiller.get('source', 'neck')
        if not _asks(distiller) or source not in ours or source not in theirs:
            continue
        meant = distiller.get('levels', range(len(ours[source])))
        common = zip(*common_levels(ours[source], theirs[source]), strict=True)
        pairs = [(level, other) for level, other in common if level in meant]
        is_whole = len(pairs) == len(meant) and ('levels' in distiller or len(meant) == len(theirs[source]))
        if not pairs or is_whole:
            continue
        levels, teacher_levels = zip(*pairs, strict=True)
        distillers[name] = {**distiller, 'levels': levels, 'teacher_levels': teacher_levels}
        strides = [(ours[source][level].stride, theirs[source][other].stride) for level, other in pairs]
        unlike = ', '.join(f'{own} with {other}' for own, other in strides if own != other)
        of_those = f', of those that it means, {", ".join(map(str, meant))}' if 'levels' in distiller else ''
        comment += (
            f"\n# {name} compares the levels of the same strides{of_those}: the student's are {_listed(ours[source])}, "
            f"the teacher's\n# {_listed(theirs[source])}."
        )
        if unlike:
            comment += f' Strides within a factor of 1.4 count as the same:\n# {unlike}.'
    return method._replace(distillers=distillers, comment=comment.strip())


def _listed(maps: Sequence[MapShape]) -> str:
    return ', '.join(str(each.stride) for each in maps)

"""Finding a method: the fragment of configs/_base_/distillers that fits a student, under the name of the method."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from mmdet.registry import MODELS

from ..errors import DistillationError
from ..runtime import cli
from ..teachers import ClassifierTeacher
from ..unknown_names import near_names
from .detectors import Student, Teacher
from .sources import our_configs

_KEYS = ('distillers', 'custom_hooks')
#: The end of a fragment's name -> for which students it is, as configs/README.md has it.
VARIANTS: dict[str, Callable[[Student], bool]] = {
    'two-stage': lambda student: student.two_stage,
    'c4': lambda student: student.two_stage and not student.model.get('neck'),
    'gfl': lambda student: student.head.get('type') == 'GFLHead',
    'atss': lambda student: student.head.get('type') == 'ATSSHead',
    'fcos': lambda student: student.head.get('type') == 'FCOSHead',
    'reppoints': lambda student: student.head.get('type') == 'RepPointsHead',
    'ssd512': lambda student: student.head.get('anchor_generator', {}).get('input_size') == 512,
    'sigmoid': lambda student: bool((student.head.get('loss_cls') or {}).get('use_sigmoid')),
    'std1': lambda student: set((student.model.get('data_preprocessor') or {}).get('std') or ()) == {1},
}


class Method(NamedTuple):
    """A method of distillation.

    Args:
        path: of the fragment.
        comment: at its head, lines that begin with #.
        distillers: name -> distiller.
        hooks: that it adds to the training.
    """

    path: Path
    comment: str
    distillers: dict[str, dict]
    hooks: list[dict]


def find_method(name: str, student: Student, teacher: Teacher) -> Method:
    """Find a method for a pair.

    Args:
        name: of a method, such as 'fgd', of which the fragment for this student is taken ('fgd-two-stage'); of a
            fragment; or the path of a fragment of one's own.
        student: that is to learn.
        teacher: that is to teach.

    Raises:
        DistillationError: there is none of that name, it does not fit the pair, or several do.
    """
    if '/' in name or name.endswith('.py'):
        return _fitting(_read(Path(name).expanduser()), name, student, teacher)
    folder = our_configs() / '_base_' / 'distillers'
    names = {path.stem for path in folder.glob('*.py')}
    if name not in names:
        near = near_names(name, names)
        cure = f'Did you mean {" or ".join(near)}? ' if near else ''
        raise DistillationError(
            [f'--method: there is no {name!r}. {cure}{_what_fits(folder, names, student, teacher)}']
        )
    chosen = _variants(name, names, student)
    if len(chosen) > 1:
        raise DistillationError([f'--method {name}: {" and ".join(chosen)} fit this student: name one of them'])
    method = _read(folder / f'{chosen[0]}.py')
    reasons = _misfits(method, student, teacher)
    if reasons:
        others = _what_fits(folder, names, student, teacher)
        raise DistillationError([f'--method {name}: {"; ".join(reasons)}. {others}'])
    return method


def join_methods(methods: Mapping[str, Method]) -> tuple[dict[str, dict], list[dict]]:
    """The distillers and the hooks of several methods, which add up.

    Args:
        methods: name -> method.

    Raises:
        DistillationError: two have a distiller of the same name.
    """
    distillers: dict[str, dict] = {}
    owner: dict[str, str] = {}
    for name, method in methods.items():
        twice = sorted(distillers.keys() & method.distillers.keys())
        if twice:
            raise DistillationError(
                [
                    f'--method: {owner[twice[0]]} and {name} both have a distiller {twice[0]!r}: leave one of them '
                    'out, or give it another name in a fragment of your own'
                ]
            )
        distillers |= method.distillers
        owner |= dict.fromkeys(method.distillers, name)
    return distillers, [hook for method in methods.values() for hook in method.hooks]


def _variants(name: str, names: set[str], student: Student) -> list[str]:
    """The fragments of a method for this very sort of student; the method's plain one where there is none."""
    own = [f'{name}-{end}' for end, fits in VARIANTS.items() if f'{name}-{end}' in names and fits(student)]
    return own or [name]


def _read(path: Path) -> Method:
    cfg = cli.read_config(path)
    distillers = cfg.get('distillers')
    if not isinstance(distillers, dict) or not distillers:
        raise DistillationError([f'--method {path}: it has no `distillers`: name a fragment with distillers=dict(...)'])
    others = sorted(set(cfg) - set(_KEYS))
    if others:
        raise DistillationError(
            [f'--method {path}: a fragment has {" and ".join(_KEYS)} alone: put {", ".join(others)} into the student']
        )
    whole = {name: distiller for name, distiller in cfg.to_dict()['distillers'].items() if distiller is not None}
    return Method(path, _comment(path), whole, cfg.to_dict().get('custom_hooks') or [])


def _comment(path: Path) -> str:
    """The lines of comment at the head of a file."""
    lines = path.read_text(encoding='utf-8').splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith('#')), len(lines))
    return '\n'.join(lines[:end])


def _fitting(method: Method, name: str, student: Student, teacher: Teacher) -> Method:
    reasons = _misfits(method, student, teacher)
    if reasons:
        raise DistillationError([f'--method {name}: {"; ".join(reasons)}. Name another'])
    return method


def _misfits(method: Method, student: Student, teacher: Teacher) -> list[str]:
    """Why a method cannot be that of a pair, as far as configs say; the build says the rest."""
    reasons: dict[str, None] = {}
    for distiller in method.distillers.values():
        kind = MODELS.get(distiller.get('type', ''))
        asked = [distiller.get('source'), distiller.get('predictions'), *getattr(kind, 'kinds', ())]
        asked = [each for each in asked if isinstance(each, str)]
        if 'roi.masks' in asked and not (student.model.get('roi_head') or {}).get('mask_head'):
            reasons['it compares masks, and the student has none'] = None
        if not student.two_stage and {'rpn', 'roi'} & set(asked):
            reasons['it compares an RPN and a RoI head, and the student has none'] = None
        if not student.has_dense_head and any(each.startswith('dense') for each in asked):
            reasons['it compares dense heads, and the student has none'] = None
        if 'neck' in asked and not student.model.get('neck'):
            reasons['it compares necks, and the student has none'] = None
        from_classifier = getattr(kind, 'learns_from', None) is ClassifierTeacher
        if from_classifier and not teacher.is_classifier:
            reasons['it learns from a classifier, and the teacher is a detector'] = None
        if kind is not None and not from_classifier and teacher.is_classifier:
            reasons['it learns from a detector, and the teacher is a classifier'] = None
    return list(reasons)


def _what_fits(folder: Path, names: set[str], student: Student, teacher: Teacher) -> str:
    """The methods for a pair, in a sentence; their parts, such as chen2017-cls, are left out."""
    fitting = []
    for name in sorted(name for name in names if '-' not in name):
        chosen = _variants(name, names, student)
        if len(chosen) > 1 or not _misfits(_read(folder / f'{chosen[0]}.py'), student, teacher):
            fitting.append(name)
    listed = ', '.join(fitting) or 'none'
    return f'For a {student.family} and this teacher there are {listed}; {folder} has their parts too'

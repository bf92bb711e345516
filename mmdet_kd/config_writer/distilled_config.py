"""distilled.py: the student with a teacher and what it learns from it."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from .detectors import Student, Teacher
from .methods import Method, join_methods
from .text import Code, assignment

_PACKAGE = __name__.partition('.')[0]
_HEAD = """\
# student.py, taught. tools/distill.py wrote this file once and uses it as it stands: change weights, leave distillers
# out. Beside checkpoint, inherit=True starts the student with the teacher's neck and heads, classes_by_name=True asks a
# teacher that knows other classes too by their names, and precision='bfloat16' makes it faster.
"""


def distilled_text(student: Student, teacher: Teacher, methods: Mapping[str, Method], cfg: Config) -> str:
    """The text of distilled.py.

    The distillers are written out, so that each weight can be seen and changed there; several methods add up.

    Args:
        student: that learns.
        teacher: that teaches.
        methods: name -> method.
        cfg: what student.py will hold.

    Raises:
        DistillationError: two methods have a distiller of the same name.
    """
    distillers, hooks = join_methods(methods)
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else list(imports)
    keys: dict[str, Any] = dict(_base_='./student.py')
    keys['custom_imports'] = dict(imports=list(dict.fromkeys([*imports, _PACKAGE])), allow_failed_imports=False)
    model = dict(type=student.kind, detector=student.detector.__name__, teacher=teacher.cfg, distillers=distillers)
    if hooks:
        own = [Code('*_base_.custom_hooks')] if cfg.get('custom_hooks') else []
        keys['custom_hooks'] = [*own, *hooks]
    comments = '\n'.join(method.comment for method in methods.values() if method.comment)
    return (
        _HEAD
        + ''.join(assignment(key, value) for key, value in keys.items())
        + ('\n' + comments if comments else '')
        + '\n'
        + assignment('model', model)
    )

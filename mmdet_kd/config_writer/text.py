"""Values of a config as Python text that a person would write."""

import keyword
import math
from collections.abc import Mapping
from typing import Any

from ..errors import DistillationError

_WIDTH = 119  # a comma or a bracket may follow
_INDENT = 4


class Code(str):
    """Python that stands in a config as it is: the name of a variable, an expression."""


def assignment(name: str, value: Any) -> str:
    """``name = value``, in as many lines as it needs.

    Raises:
        DistillationError: the value is none that a config file can say.
    """
    return f'{name} = {python_text(value, name, len(name) + 3)}\n'


def python_text(value: Any, where: str, column: int = 0, indent: int = 0) -> str:
    """The Python text of a value.

    Args:
        value: dicts, lists, tuples, plain values, and :class:`Code`.
        where: it stands; for the message.
        column: at which the text begins, >= 0.
        indent: of the line in which it begins, >= 0.

    Raises:
        DistillationError: it holds something that a config file cannot say, such as a class.
    """
    flat = _flat(value, where)
    parts = _parts(value)
    if parts is None or column + len(flat) <= _WIDTH:
        return flat
    opening, items, closing = parts
    inner = indent + _INDENT
    lines = [
        f'{" " * inner}{prefix}{python_text(item, where, inner + len(prefix), inner)},\n' for prefix, item in items
    ]
    return f'{opening}\n{"".join(lines)}{" " * indent}{closing}'


def _flat(value: Any, where: str) -> str:
    parts = _parts(value)
    if parts is None:
        return _plain(value, where)
    opening, items, closing = parts
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    return opening + ', '.join(prefix + _flat(item, where) for prefix, item in items) + comma + closing


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str] | None:
    """What opens a container, its items with what stands before each, and what closes it; None of a plain value."""
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key) for key in value):
            return 'dict(', [(f'{key}=', item) for key, item in value.items()], ')'
        return '{', [(f'{key!r}: ', item) for key, item in value.items()], '}'
    if isinstance(value, (list, tuple)):
        opening, closing = '[]' if isinstance(value, list) else '()'
        return opening, [('', item) for item in value], closing
    return None


def _plain(value: Any, where: str) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if value is None or isinstance(value, (str, bool, int, float)):
        return repr(value)
    raise DistillationError(
        [f'{where} holds {value!r}, which no config file can say: name it by a string in the config of the student']
    )

"""Observing the calls that a detector's own ``loss()`` makes."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from ..heads import Call, Point


@contextmanager
def record_calls(points: Mapping[str, Point]) -> Iterator[dict[str, list[Call]]]:
    """Record the calls of methods for the length of a ``with`` block.

    Nothing is copied: what is recorded are the very tensors that the methods took and returned.

    Args:
        points: name -> (object, method name), e.g. ``{'neck': (detector.neck, 'forward')}``.

    Yields:
        name -> its calls, in order; filled while the block runs.
    """
    calls: dict[str, list[Call]] = {name: [] for name in points}
    with ExitStack() as stack:
        for name, (owner, method) in points.items():
            stack.enter_context(_shadow(owner, method, calls[name]))
        yield calls


@contextmanager
def _shadow(owner: Any, method: str, calls: list[Call]) -> Iterator[None]:
    """Put a recording function before a bound method, on this one instance, and take it away again."""
    original: Callable = getattr(owner, method)
    signature = inspect.signature(original)
    shadowed = owner.__dict__.get(method)

    @wraps(original)
    def recording(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        calls.append(Call(signature.bind(*args, **kwargs).arguments, result))
        return result

    owner.__dict__[method] = recording
    try:
        yield
    finally:
        if shadowed is None:
            del owner.__dict__[method]
        else:
            owner.__dict__[method] = shadowed

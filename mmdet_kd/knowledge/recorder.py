"""Observing the calls that a detector's own ``loss()`` makes."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from torch import Tensor

from ..heads import Call, InPlace, Point


@contextmanager
def record_calls(points: Mapping[str, Point]) -> Iterator[dict[str, list[Call]]]:
    """Record the calls of methods for the length of a ``with`` block.

    What is recorded are the very tensors that the methods took and returned; only what a method may write over is
    copied.

    Args:
        points: name -> (object, method name), e.g. ``{'neck': (detector.neck, 'forward')}``.

    Yields:
        name -> its calls, in order; filled while the block runs.
    """
    calls: dict[str, list[Call]] = {name: [] for name in points}
    with ExitStack() as stack:
        for name, point in points.items():
            owner, method = point
            recording = _recording(getattr(owner, method), calls[name], copies=isinstance(point, InPlace))
            stack.enter_context(replace_method(owner, method, recording))
        yield calls


def _recording(original: Callable, calls: list[Call], copies: bool) -> Callable:
    signature = inspect.signature(original)

    @wraps(original)
    def recording(*args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(*args, **kwargs).arguments
        if copies:
            arguments = {
                name: value.clone() if isinstance(value, Tensor) else value for name, value in arguments.items()
            }
        result = original(*args, **kwargs)
        calls.append(Call(arguments, result))
        return result

    return recording


@contextmanager
def replace_method(owner: Any, method: str, function: Callable) -> Iterator[None]:
    """Put a function before a bound method, on this one instance, and take it away again.

    Args:
        owner: the instance.
        method: name of the method.
        function: is called instead, without ``owner``.
    """
    shadowed = owner.__dict__.get(method)
    owner.__dict__[method] = function
    try:
        yield
    finally:
        if shadowed is None:
            del owner.__dict__[method]
        else:
            owner.__dict__[method] = shadowed

"""Checks of the arguments of losses."""

import math


def check_range(
    name: str, value: float, *, above: float | None = None, at_least: float | None = None, finite: bool = True
) -> float:
    """Return ``value`` if it is a number in range.

    Raises:
        ValueError: it is not; the message names the argument, the value and the range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ValueError(f'{name} must be a number, not {value!r}')
    if above is not None and not value > above:
        raise ValueError(f'{name} must be greater than {above}, not {value}')
    if at_least is not None and not value >= at_least:
        raise ValueError(f'{name} must be at least {at_least}, not {value}')
    if finite and math.isinf(value):
        raise ValueError(f'{name} must be finite, not {value}')
    return value

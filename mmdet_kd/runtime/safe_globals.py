"""Let torch's weights-only loader read what mmengine itself writes into a checkpoint.

mmengine keeps the log history of a run in each checkpoint, as `HistoryBuffer` objects over numpy arrays, and numpy
scalars among its messages. Since torch 2.6 `torch.load` refuses these by default, and with them every `--resume`,
`load_from` and test of a checkpoint that the same mmengine saved.

numpy's own functions must not be given to the loader: a file could have them read its bytes as addresses of objects,
which crashes the interpreter. The stand-ins here take numbers only, and look at type, shape and length before they
make an array of them. A pickle that would run code is refused as before.
"""

import math
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# What a log history or a metric holds: numbers, as numpy's pickles name their types.
_NUMBERS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
# numpy 2 renamed the module; a file names the one of the numpy that wrote it.
_NUMPY_MODULES = ('numpy._core.multiarray', 'numpy.core.multiarray')
_HISTORY = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'


class NumberType:
    """Stands in for `numpy.dtype` while a checkpoint is opened."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in _NUMBERS:
            raise UnpicklingError(f'an array of type {str(code)[:20]!r} is not one of numbers')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the order of bytes, and nothing else."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ('<', '>', '=', '|'):
            raise UnpicklingError('the type of an array has no order of bytes')
        self.dtype = self.dtype.newbyteorder(order)


class NumberArray(np.ndarray):
    """Stands in for `numpy.ndarray` while a checkpoint is opened; it is filled once, and saved as a plain array."""

    _filled = True  # those that numpy makes of it

    def __new__(cls) -> 'NumberArray':
        """Make an empty one; there is no way to make one over given bytes."""
        array = np.empty(0).view(cls)
        array._filled = False
        return array

    def __setstate__(self, state: Any) -> None:
        """Take shape, type and bytes, if they agree."""
        if self._filled or not (isinstance(state, tuple) and len(state) == 5):
            raise UnpicklingError('an array is not what numpy writes')
        _, shape, kind, is_fortran, raw = state
        dtype = _checked(kind, shape, raw)
        super().__setstate__((1, shape, dtype, is_fortran is True, raw))
        self._filled = True

    def __reduce__(self) -> Any:
        """Be saved as numpy's own array."""
        return np.array(self).__reduce__()


class History(HistoryBuffer):
    """Stands in for `HistoryBuffer` while a checkpoint is opened, and is one as soon as it has its numbers."""

    def __setstate__(self, state: Any) -> None:
        """Take the numbers; the statistics stay those of the class, which every history shares."""
        state = state if isinstance(state, dict) else {}
        log, count = (np.array(state.get(key)) for key in ('_log_history', '_count_history'))
        length = state.get('max_length')
        numbers = all(values.ndim == 1 and values.dtype.kind in 'biuf' for values in (log, count))
        if not numbers or log.shape != count.shape or type(length) is not int or length < 1:
            raise UnpicklingError('a log history is not two lists of numbers of one length')
        HistoryBuffer.__init__(self, log, count, length)
        self.__class__ = HistoryBuffer  # saved again, it bears mmengine's name


def register_safe_globals() -> None:
    """Register the stand-ins with torch's weights-only loader, under the names that the files call."""
    functions = {'_reconstruct': _begin_array, 'scalar': _scalar}
    aliases = [(function, f'{module}.{name}') for module in _NUMPY_MODULES for name, function in functions.items()]
    torch.serialization.add_safe_globals(
        [
            *aliases,
            (NumberArray, 'numpy.ndarray'),
            (NumberType, 'numpy.dtype'),
            (History, _HISTORY),
            (_statistic, 'builtins.getattr'),
        ]
    )


def _begin_array(*_: Any) -> NumberArray:
    return NumberArray()


def _scalar(kind: Any, raw: Any) -> np.generic:
    return np.frombuffer(raw, _checked(kind, (), raw))[0]


def _checked(kind: Any, shape: Any, raw: Any) -> np.dtype:
    """The type of an array, after its shape and its bytes were found to agree with it."""
    if type(kind) is not NumberType or type(raw) is not bytes:
        raise UnpicklingError('an array is not one of numbers')
    if type(shape) is not tuple or len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise UnpicklingError(f'an array has the shape {str(shape)[:60]}')
    if math.prod(shape) * kind.dtype.itemsize != len(raw):
        raise UnpicklingError(f'an array of shape {shape} and type {kind.dtype} has {len(raw)} bytes')
    if kind.dtype.kind == 'b' and raw and max(raw) > 1:
        raise UnpicklingError('an array of truth values holds others')
    return kind.dtype


def _statistic(owner: Any, name: Any) -> str:
    """Stand in for `getattr`, which would be a way to anything.

    A `HistoryBuffer` saves its statistics, which are methods of its class; pickle writes these as
    `getattr(HistoryBuffer, ...)`. A history does without them.
    """
    if owner is History and name in ('min', 'max', 'mean', 'current'):
        return name
    raise UnpicklingError(f'getattr({str(owner)[:60]}, {str(name)[:60]!r}) was not allowed: GLOBAL getattr')

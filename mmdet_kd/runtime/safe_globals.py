"""Let torch's weights-only loader read what mmengine itself writes into a checkpoint.

mmengine keeps the log history of a run in each checkpoint, as `HistoryBuffer` objects over numpy arrays, and numpy
scalars among its messages. Since torch 2.6 `torch.load` refuses these by default, and with them every `--resume`,
`load_from` and test of a checkpoint that the same mmengine saved. Naming exactly these types opens the files and
nothing else: a pickle that would run code is refused as before.
"""

from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# What a log history or a metric holds. Arrays of objects or strings are left out on purpose.
_NUMBERS = ('?', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
# numpy 2 renamed the module; a file names the one of the numpy that wrote it.
_NUMPY_MODULES = ('numpy._core.multiarray', 'numpy.core.multiarray')
_STATISTICS = ('min', 'max', 'mean', 'current')


def register_safe_globals() -> None:
    """Register mmengine's types with torch's weights-only loader."""
    # The functions that numpy's pickles call, for an array and for a scalar, without naming a private module.
    functions = {'_reconstruct': np.empty(0).__reduce__()[0], 'scalar': np.float64(0).__reduce__()[0]}
    dtypes = {type(np.dtype(number)) for number in _NUMBERS}
    aliases = [(function, f'{module}.{name}') for module in _NUMPY_MODULES for name, function in functions.items()]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *aliases, (_history_statistic, 'builtins.getattr')]
    )


def _history_statistic(owner: Any, name: str) -> Any:
    """Stand in for `getattr`, which would be a way to anything, when a checkpoint is opened.

    A `HistoryBuffer` saves its statistics, which are methods of its class; pickle writes these as
    `getattr(HistoryBuffer, ...)`.
    """
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise UnpicklingError(f'getattr({owner}, {name!r}) was not allowed: GLOBAL getattr')

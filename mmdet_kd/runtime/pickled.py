"""What a checkpoint's pickle asks for, read before it is opened, and what came out of it, looked at afterwards.

Nothing is made of the pickle here: its operations are read one by one, as `pickletools.dis` does, to see which names it
calls, how many values it holds and how deep they lie in each other.
"""

import pickletools
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from .safe_globals import NumberArray

#: Operations in a pickle. A tensor takes some 40, so there is room for 25 000 tensors.
MAX_OPERATIONS = 1_000_000
#: Containers in each other. A checkpoint of mmengine has 6.
MAX_DEPTH = 64

#: How often tensors may show the bytes of the file: weights that are tied, or expanded from one number.
_SHARED = 16

_NAMES = {
    'collections OrderedDict',
    'collections Counter',
    '__builtin__ set',
    'builtins set',
    '_codecs encode',
    'torch Size',
    'torch device',
    'torch._utils _rebuild_tensor',
    'torch._utils _rebuild_tensor_v2',
    'torch._utils _rebuild_tensor_v3',
    'torch._utils _rebuild_parameter',
    'torch.nn.parameter Parameter',
    'torch.storage UntypedStorage',
    'torch.storage TypedStorage',
    f'{HistoryBuffer.__module__} {HistoryBuffer.__qualname__}',
    '__builtin__ getattr',
    'builtins getattr',
    'numpy ndarray',
    'numpy dtype',
    *(f'numpy.{core}.multiarray {name}' for core in ('_core', 'core') for name in ('_reconstruct', 'scalar')),
}
_FILLING = ('APPEND', 'APPENDS', 'SETITEM', 'SETITEMS', 'ADDITEMS', 'BUILD')
_LEAVES = {str, bytes, int, float, bool, type(None), torch.dtype, torch.device, torch.Size, NumberArray, HistoryBuffer}
_CONTAINERS = {dict, OrderedDict, Counter, list, tuple, set}  # a Counter holds the milestones of a schedule


def scan(stream: BinaryIO) -> None:
    """Read the operations of one pickle, and leave the stream behind it.

    Raises:
        UnpicklingError: it calls what no weights need, or is too large or too deep.
        Exception: it is no pickle; `pickletools` raises several kinds.
    """
    depths: list[int] = []  # of each value on the pickle's stack; of a mark, -1
    memo: dict[int, int] = {}
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= MAX_OPERATIONS:
            raise UnpicklingError(f'it holds more than the {MAX_OPERATIONS} values and names that weights come to')
        name = operation.name
        if name in ('GLOBAL', 'STACK_GLOBAL', 'INST', 'EXT1', 'EXT2', 'EXT4'):
            _check_name(argument)
        if name in ('PUT', 'BINPUT', 'LONG_BINPUT'):
            memo[argument] = depths[-1]
        elif name == 'MEMOIZE':
            memo[len(memo)] = depths[-1]
        elif name in ('GET', 'BINGET', 'LONG_BINGET'):
            depths.append(memo[argument])
        else:
            _move(operation, depths)
        if depths and depths[-1] > MAX_DEPTH:
            raise UnpicklingError(f'its values lie more than {MAX_DEPTH} deep in each other')


def _move(operation: pickletools.OpcodeInfo, depths: list[int]) -> None:
    """Do to the depths what an operation does to the values."""
    before = operation.stack_before
    taken: list[int] = []
    if pickletools.markobject in before:
        while (depth := depths.pop()) != -1:
            taken.append(depth)
        before = before[: before.index(pickletools.markobject)]
    taken += [depths.pop() for _ in before]
    if operation.name == 'MARK':
        depths.append(-1)
    elif operation.name in _FILLING:  # the last one taken is the list, dict or object that the others go into
        depths.append(max(taken[-1], 1 + max(taken[:-1], default=-1)))
    else:
        depths.extend([1 + max(taken, default=-1)] * len(operation.stack_after))


def _check_name(name: Any) -> None:
    text = str(name)
    module, _, last = text.partition(' ')
    if text in _NAMES or (module == 'torch' and (last.endswith('Storage') or _is_dtype(last))):
        return
    raise UnpicklingError(f'GLOBAL {text.replace(" ", ".")[:100]!r} is no part of weights')


def _is_dtype(name: str) -> bool:
    return isinstance(getattr(torch, name, None), torch.dtype)


def check_contents(root: Any, bytes_of_file: int) -> None:
    """Look at all that was opened: plain values and tensors, without circles, and not larger than the file can hold.

    Raises:
        UnpicklingError: something else is in it.
    """
    sizes: dict[int, int] = {}  # of what was looked at: how many values a walk through it meets
    open_ids: set[int] = set()  # from the root down to the value at hand
    claimed = reach = 0  # bytes: the largest storage, and all that the tensors show of them
    todo: list[tuple[Any, bool]] = [(root, False)]
    while todo:
        value, is_done = todo.pop()
        if is_done:
            open_ids.discard(id(value))
            sizes[id(value)] = 1 + sum(sizes.get(id(child), 1) for child in _children(value))
            if sizes[id(value)] > MAX_OPERATIONS:
                raise UnpicklingError(f'it repeats its own parts to more than {MAX_OPERATIONS} values')
        elif isinstance(value, Tensor):
            _check_tensor(value)
            claimed = max(claimed, value.untyped_storage().nbytes())
            reach += value.numel() * value.element_size()
        elif type(value) in _CONTAINERS:
            if id(value) in open_ids or len(open_ids) > MAX_DEPTH:
                raise UnpicklingError('it holds itself, or is nested too deep')
            if id(value) not in sizes:
                _check_attributes(value)
                open_ids.add(id(value))
                todo.append((value, True))
                todo.extend((child, False) for child in _children(value))
        elif type(value) not in _LEAVES and not isinstance(value, np.number | np.bool_):
            raise UnpicklingError(f'an object of the type {type(value).__name__!r} is in it')
    if claimed > bytes_of_file or reach > _SHARED * bytes_of_file:
        raise UnpicklingError(f'its tensors claim {max(reach, claimed)} bytes')


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
        yield from vars(value).values() if isinstance(value, OrderedDict) else ()
    elif type(value) in _CONTAINERS:
        yield from value


def _check_attributes(value: Any) -> None:
    """An ordered dict may carry the versions of a model's modules, which torch puts there, and no other attribute."""
    attributes = vars(value) if isinstance(value, OrderedDict) else {}
    if not attributes:
        return
    versions = attributes.get('_metadata')
    if set(attributes) != {'_metadata'} or not isinstance(versions, dict):
        raise UnpicklingError('a dict with attributes of its own is in it')
    if not all(isinstance(name, str) and isinstance(each, dict) for name, each in versions.items()):
        raise UnpicklingError('the versions of its modules (_metadata) are not a dict of dicts by name')


def _check_tensor(value: Tensor) -> None:
    if type(value) not in (Tensor, torch.nn.Parameter) or value.layout is not torch.strided or value.is_quantized:
        raise UnpicklingError('a sparse or quantised tensor, or one of another class, is in it')
    if vars(value):
        raise UnpicklingError('a tensor with attributes of its own is in it')

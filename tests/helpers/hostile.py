"""Files that somebody broke, or made to do harm; each is written by a function of its path."""

import os
import resource
import signal
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

SECONDS, MEMORY = 10, 1 << 30  # that a file may take until it is refused
_RECONSTRUCT = np.empty(0).__reduce__()[0]


@contextmanager
def bounded() -> Iterator[None]:
    """Let what is in a ``with`` block take 10 seconds of a processor and 1 GiB, and wait for a minute.

    Beyond them it fails with an error that no tool takes for a hostile file. The time is that of the processor, so that
    other processes do not count.
    """

    def stop(*_: Any) -> None:
        raise Unbounded

    limit = resource.getrlimit(resource.RLIMIT_DATA)
    taken = int(Path('/proc/self/statm').read_text().split()[5]) * resource.getpagesize()
    handlers = {number: signal.signal(number, stop) for number in (signal.SIGVTALRM, signal.SIGALRM)}
    resource.setrlimit(resource.RLIMIT_DATA, (taken + MEMORY, limit[1]))
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    signal.alarm(60)
    try:
        yield
    except MemoryError as error:
        raise Unbounded from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_DATA, limit)
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Unbounded(BaseException):
    """More than 10 seconds, or more than 1 GiB."""


class Calls:
    """A pickle of it calls a function when it is opened, and hands the result a state."""

    def __init__(self, function: Callable, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple:
        return self.call


def array(shape: tuple, dtype: Any, raw: bytes) -> Calls:
    """What numpy's pickle of an array says, of any shape and bytes."""
    return Calls(_RECONSTRUCT, np.ndarray, (0,), b'b', state=(1, shape, np.dtype(dtype), False, raw))


def with_pickle(path: Path, data: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    """Write a file of torch's format around a pickle."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, content in (('data.pkl', data), ('byteorder', b'little'), ('version', b'3\n')):
            archive.writestr(f'a/{name}', content)


def good() -> dict[str, Any]:
    """A content that nothing is wrong with."""
    return {'state_dict': OrderedDict(w=torch.arange(16.0), b=torch.ones(3)), 'meta': {'epoch': 1, 'iter': 4}}


def _saved(**changes: Any) -> Callable[[Path], None]:
    return lambda path: torch.save({**good(), **changes}, path)


def _truncated(path: Path) -> None:
    torch.save(good(), path)
    path.write_bytes(path.read_bytes()[:600])


def _flipped_bit(path: Path) -> None:
    torch.save(good(), path)
    content = bytearray(path.read_bytes())
    content[content.find(torch.arange(16.0).numpy().tobytes()) + 9] ^= 4
    path.write_bytes(content)


def _larger_tensor(path: Path) -> None:
    """A tensor of 16 numbers says that it has 10^9: torch would take the memory."""
    torch.save({'state_dict': {'w': torch.arange(16.0)}}, path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in content.items():
            archive.writestr(name, data.replace(b'K\x10\x85', b'J\x00\xca\x9a\x3b\x85'))


def _repeated() -> list:
    value: list = []
    for _ in range(50):
        value = [value, value]
    return value


def _circle() -> list:
    value: list = []
    value.append(value)
    return value


def _weights_with(**attributes: Any) -> OrderedDict:
    weights = good()['state_dict']
    vars(weights).update(attributes)
    return weights


def kinds(mark: Path) -> dict[str, Callable[[Path], Any]]:
    """Name -> what writes such a file. One that runs code makes the file ``mark``."""
    page = b'<!DOCTYPE html><html><body>404 \x1b[31mnot found</body></html>'
    nothing = b'\x80\x02'
    return {
        'runs code': _saved(message_hub=Calls(os.mkdir, str(mark))),
        'array too short': _saved(message_hub=array((1000,), 'f8', b'1234')),
        'array of objects': _saved(message_hub=array((4,), 'O', b'A' * 32)),
        'array of a record': _saved(message_hub=array((4,), [('a', 'O')], b'A' * 32)),
        'array of a negative shape': _saved(message_hub=array((-1, -4), 'f8', b'A' * 32)),
        'array over bytes': _saved(message_hub=Calls(np.ndarray, (4,), Calls(np.dtype, 'O'), b'A' * 32)),
        'scalar of an object': _saved(message_hub=Calls(np.float64(0).__reduce__()[0], Calls(np.dtype, 'O'), b'A' * 8)),
        'much memory': _saved(message_hub=Calls(bytearray, 10**12)),
        'truncated': _truncated,
        'flipped bit': _flipped_bit,
        **no_files(),
        'empty': lambda path: path.write_bytes(b''),
        'page': lambda path: path.write_bytes(page),
        'compressed': lambda path: with_pickle(path, nothing + b'N' * 10**7 + b'.', zipfile.ZIP_DEFLATED),
        'many values': lambda path: with_pickle(path, nothing + b'(' + b'N' * 1_100_000 + b't.'),
        'deep lists': lambda path: with_pickle(path, nothing + b']' * 10**5 + b'a' * (10**5 - 1) + b'.'),
        'deep key': lambda path: with_pickle(path, nothing + b'})' + b'\x85' * 10**6 + b'Ns.'),
        'in itself': _saved(meta=_circle()),
        'repeated': _saved(meta=_repeated()),
        'larger tensor': _larger_tensor,
        'expanded tensor': _saved(state_dict={'w': torch.ones(1).expand(10**9)}),
        'wrong versions': _saved(state_dict=_weights_with(_metadata=['1'])),
        'attribute': _saved(state_dict=_weights_with(note='text')),
        'sparse': _saved(state_dict={'w': torch.eye(3).to_sparse()}),
    }


def kinds_of_weights() -> dict[str, Callable[[Path], Any]]:
    """The same, of files that open, and hold no weights."""
    contents = {'list': [1], 'none': None, 'number': 3, 'nothing': {}}
    weights = {
        'uint8': {'a.weight': torch.ones(2, dtype=torch.uint8)},
        'bool': {'a.bias': torch.ones(2, dtype=torch.bool)},
        'list inside': [torch.ones(1)],
        'none inside': None,
        'no tensor': {'w': 1.0},
        'no name': {3: torch.ones(1)},
        'NaN': {'w': torch.tensor([1.0, float('nan')])},
        'infinite': {'w': torch.tensor([1.0, float('inf')])},
        'complex': {'w': torch.ones(2, dtype=torch.complex64)},
        'escape sequence': {'\x1b[2J': torch.ones(1)},
    }
    saved = {name: (lambda path, content=content: torch.save(content, path)) for name, content in contents.items()}
    return saved | {name: _saved(state_dict=content) for name, content in weights.items()}


def no_files() -> dict[str, Callable[[Path], Any]]:
    """What no place of any format takes for a file."""
    return {
        'pipe': os.mkfifo,
        'device': lambda path: path.symlink_to('/dev/zero'),
        'folder': Path.mkdir,
        'huge': lambda path: zeros(path, 1 << 40),
    }


def zeros(path: Path, size: int) -> None:
    """Write a sparse file, which takes no room on the disk."""
    with path.open('wb') as file:
        file.truncate(size)


def kinds_inside(whole: dict[str, Any], mark: Path) -> dict[str, Callable[[Path], Any]]:
    """Some of these kinds, in the checkpoint of a training that is whole but for that."""
    key, first = next((key, value) for key, value in whole['state_dict'].items() if value.numel() > 100)
    harm = {
        'runs code': {'odd': Calls(os.mkdir, str(mark))},
        'array over bytes': {'odd': Calls(np.ndarray, (4,), Calls(np.dtype, 'O'), b'A' * 32)},
        'NaN': {'state_dict': {**whole['state_dict'], key: first * float('nan')}},
        'uint8': {'state_dict': {**whole['state_dict'], key: first.to(torch.uint8)}},
    }
    kinds = {name: (lambda path, extra=extra: torch.save({**whole, **extra}, path)) for name, extra in harm.items()}

    def flipped(path: Path) -> None:
        torch.save(whole, path)
        content = bytearray(path.read_bytes())
        content[content.find(first.numpy().tobytes()) + 9] ^= 4
        path.write_bytes(content)

    return {**kinds, 'flipped bit': flipped}

"""A stage is a tool that runs in a process of its own: its log is kept, and it ends with the command that began it."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import DistillationError
from ..runtime.work_dir import make_work_dir

_TAIL = 15  # lines of a log that an error shows
_MOST_OF_TAIL = 2000  # characters
_PATIENCE = 60  # seconds until a process that was asked to end is killed

#: An open file that is locked; the processes that are handed it hold the lock too.
Lock = IO[str]


@contextmanager
def alone_in(folder: str | Path) -> Iterator[Lock]:
    """Hold a folder in a ``with`` block, so that two commands do not work in it at once.

    Args:
        folder: made if missing. The file `.lock` in it is locked with `flock`, so stages that are handed the lock hold
            it as well: a training whose command was killed is not joined by another.

    Raises:
        DistillationError: it cannot be written to, or another command, or a stage that one began, works in it.
    """
    make_work_dir(folder)
    with (Path(folder) / '.lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DistillationError(
                [f'another command, or a training that one began, works in {folder}. Wait for it or end it']
            ) from error
        yield lock


@contextmanager
def running(what: str, command: Sequence[str | Path], log: Path, lock: Lock | None = None) -> Iterator[Iterator[str]]:
    """Run a stage in a ``with`` block.

    It ends with the block: where that is left early, by Ctrl-C or an error, the stage is told to end, and waited for.

    Args:
        what: how an error calls the stage.
        command: program and arguments.
        log: all that it says is added to this file. Its folder is made if missing.
        lock: of the folder in which it works; it holds that too.

    Yields:
        The lines that it says, as they come.

    Raises:
        DistillationError: it failed; with the end of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('a', buffering=1) as file:
        process = subprocess.Popen(
            [str(each) for each in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            pass_fds=() if lock is None else (lock.fileno(),),
            # Threads that wait for each other spin for milliseconds by default. As soon as anything else wants a core,
            # that makes a training several times slower; a tenth of a millisecond does not.
            env={'GOMP_SPINCOUNT': '2000', 'PYTHON': sys.executable, **os.environ},
        )
        try:
            yield _kept(process.stdout, file)
            process.wait()
        finally:
            _end(process)
    if process.returncode:
        raise DistillationError([_failure(what, command, log, process.returncode)])


def end_like_ctrl_c() -> None:
    """Have SIGTERM end this process as Ctrl-C does: it ends the stage at work first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def run(what: str, command: Sequence[str | Path], log: Path, lock: Lock | None = None) -> str:
    """Run a stage to its end, and return all that it said. Arguments and errors are those of :func:`running`."""
    with running(what, command, log, lock) as lines:
        return ''.join(lines)


def _kept(lines: IO[str] | None, file: IO[str]) -> Iterator[str]:
    for line in lines or ():
        file.write(line)
        yield line


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _failure(what: str, command: Sequence[str | Path], log: Path, code: int) -> str:
    tail = '\n  '.join(log.read_text(errors='replace').splitlines()[-_TAIL:])[-_MOST_OF_TAIL:]
    how = f'was ended by signal {-code}' if code < 0 else f'failed (exit code {code})'
    return (
        f'{what} {how}. The end of {log}:\n  {tail}\nIt was: {" ".join(map(str, command))}\n'
        'The same command as before continues from here'
    )

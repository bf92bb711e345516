"""What the terminal shows of a run before its first step: what the user can act on. The log file has everything."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

#: How the long parts of a log begin: the config, 500 lines, is a file of the work dir as well.
_LONG = ('Config:\n', f'\n{"-" * 60}\nSystem environment:', 'Hooks will be executed in the following order:\n')
#: Of packages that call what they themselves have deprecated; a user cannot mend that.
_OF_PACKAGES = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias of "LocalBackend"')
#: Of mmengine's optimizers with ``paramwise_cfg``, some lines for each parameter.
_OF_PARAMETERS = (' is skipped since its requires_grad=', 'paramwise_options -- ')
_PYTHON_WARNINGS = ('pkg_resources is deprecated', 'torch.meshgrid: in an upcoming release')
_PYCOCOTOOLS = ('loading annotations into memory...', 'Done (t=', 'creating index...', 'index created!')
#: Of mmengine, which prints the names of all weights that a checkpoint lacks, or has besides, or in another shape.
_LIST_OF_MISFITS = (
    'The model and loaded state dict do not match exactly',
    'size mismatch for ',
    'unexpected key in source ',
    'missing keys in source ',
)


class _Quiet:
    """What a class of runners gets in front of its bases."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger as the runner does; its terminal is spared the long parts."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_for_the_terminal)
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load as the runner does; the list of all weights that do not fit is left out. The tools name a few."""
        with _printing_all_but(_LIST_OF_MISFITS):
            return super().load_checkpoint(*args, **kwargs)


def quiet(kind: type[Runner]) -> type[Runner]:
    """A class of runners whose terminal is spared the long parts of the log."""
    return type(kind.__name__, (_Quiet, kind), {})


def _is_for_the_terminal(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not message.startswith((*_LONG, *_OF_PACKAGES)) and not any(part in message for part in _OF_PARAMETERS)


def log_where_the_rest_is(runner: Runner) -> None:
    """Log the seed, and where that is which the terminal does not show."""
    runner.logger.info(
        f'Seed {runner.seed}. The config, the environment and the order of the hooks: {runner.logger.log_file}'
    )


def log_warnings(logger: logging.Logger) -> None:
    """Have Python's warnings stand in the log, and its file, where the user looks for what went wrong."""
    package = Path(__file__).parent.parent

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        del file, line
        source = '' if Path(filename).is_relative_to(package) else f' ({category.__name__}, {filename}:{lineno})'
        logger.warning('%s%s', message, source)

    warnings.showwarning = show


def ignore_warnings_of_packages() -> None:
    """Have Python say nothing of what other packages do with each other."""
    for message in _PYTHON_WARNINGS:
        warnings.filterwarnings('ignore', message=message)


@contextmanager
def without_pycocotools() -> Iterator[None]:
    """Leave out what pycocotools prints for each file that it loads; what else is printed comes at the end."""
    with _printing_all_but(_PYCOCOTOOLS):
        yield


@contextmanager
def _printing_all_but(starts: tuple[str, ...]) -> Iterator[None]:
    """Leave out blank lines and those that begin so; what else is printed comes at the end."""
    said = StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            if line.strip() and not line.startswith(starts):
                print(line)

"""YAML as data: mmengine's own reader of YAML runs what a file names in tags (`!!python/object/apply:os.system`)."""

from typing import Any, TextIO

import yaml
from mmengine.fileio import YamlHandler, register_handler

from ..errors import DistillationError
from .pickled import check_contents

#: libyaml's parser, of which yaml falls back to its own, as mmengine does.
_Safe: type = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_MOST_OPEN = 200  # lists and dicts in each other; libyaml's parser goes down into each, and has no limit of its own


class _PlainLoader(_Safe):
    """Makes plain values, and the tuples that mmengine's `Config.dump` writes."""


def _tuple(loader: Any, node: yaml.Node) -> tuple:
    return tuple(loader.construct_sequence(node, deep=True))


_PlainLoader.add_constructor('tag:yaml.org,2002:python/tuple', _tuple)


class PlainYamlHandler(YamlHandler):
    """Reads plain values, and refuses every tag that would make something else."""

    def load_from_fileobj(self, file: TextIO, **kwargs: Any) -> Any:
        """Read a file.

        Raises:
            DistillationError: it is no YAML, or a tag in it would run code.
        """
        del kwargs
        text = file.read()
        try:
            _check_depth(text)
            content = yaml.load(text, Loader=_PlainLoader)
            check_contents(content, len(text))
            return content
        except yaml.constructor.ConstructorError as error:
            why = f'a tag in the YAML may run code when it is read, so it is not read: {_line(error)}'
            raise DistillationError([f'{why}. Write plain values']) from error
        except Exception as error:  # of a file that is no YAML, or repeats itself without end
            raise DistillationError([f'it is no YAML of plain values: {_line(error)}. Write it anew']) from error


def register_plain_yaml() -> None:
    """Tell mmengine's registry of file readers to read YAML through :class:`PlainYamlHandler`."""
    register_handler(['yaml', 'yml'])(PlainYamlHandler)


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_PlainLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_OPEN:
            raise ValueError(f'its values lie more than {_MOST_OPEN} deep in each other')

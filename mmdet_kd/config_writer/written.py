"""Files that are written once and then belong to the user."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import DistillationError, raise_if_any
from ..files import written_whole

RECORD = 'distill.json'


def write_once(folder: Path, arguments: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, str]:
    """Write configs that are not there yet, and leave those that are as they stand.

    The record of the arguments, which lies beside them, is written after the first file, which is looked at before it
    takes its place: one that cannot be read leaves nothing behind.

    Args:
        folder: made if missing.
        arguments: that the texts follow from; plain values. A later call may add some, and leave some out.
        texts: name -> text, in the order of writing; a later one may build on an earlier one.

    Returns:
        Name -> what became of it, in words.

    Raises:
        DistillationError: the folder was made with other arguments, or has a file of such a name that is not this
            one; or a text is no config.
    """
    record = folder / RECORD
    known = _read(record)
    if known is None:
        raise_if_any(
            [
                f'{folder / name} is there, and this tool did not write it: name another --out'
                for name, text in texts.items()
                if (folder / name).exists() and (folder / name).read_text(encoding='utf-8') != text
            ]
        )
    known = known or {}
    different = [
        f'{key} {known[key]!r}, not {value!r}' for key, value in arguments.items() if known.get(key, value) != value
    ]
    raise_if_any([f'{folder} was made with {" and ".join(different)}: name another --out'] if different else [])
    said, together = {}, {**known, **arguments}
    for name, text in texts.items():
        said[name] = _write(folder / name, text)
        if known != together:
            with written_whole(record) as draft:
                draft.write_text(json.dumps(together, indent=2) + '\n', encoding='utf-8')
            known = together
    return said


def _read(record: Path) -> dict[str, Any] | None:
    if not record.exists():
        return None
    try:
        content = json.loads(record.read_text(encoding='utf-8'))
    except ValueError as error:
        raise DistillationError([f'{record} cannot be read ({error}): name another --out']) from None
    if not isinstance(content, dict):
        raise DistillationError([f'{record} is no record of arguments: name another --out'])
    return content


def _write(path: Path, text: str) -> str:
    if path.exists():
        changed = path.read_text(encoding='utf-8') != text
        return 'used as it stands' + (', which is not as it would be written now' if changed else '')
    with written_whole(path) as draft:
        draft.write_text(text, encoding='utf-8')
        try:
            Config.fromfile(draft)
        except Exception as error:  # a config is a program, which may fail in any way
            reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
            raise DistillationError(
                [f'{os.path.relpath(path)} would be no config ({reason}): name the whole config of another student']
            ) from error
    return 'written'

"""Data with a text file a picture, as YOLO's tools write it.

::

    root/data.yaml                       names: [cat, dog] or {0: cat, 1: dog}; or root/classes.txt, a name a line
    root/images/train/NAME.jpg           or root/train/images/NAME.jpg, or root/images/NAME.jpg
    root/labels/train/NAME.txt           or root/train/labels/NAME.txt, or root/labels/NAME.txt

A line is ``class x y width height``, the centre and the size of a box as shares of the picture; or ``class x1 y1 x2
y2 x3 y3 ...``, the corners of a polygon, whose box is taken. A picture without a file has no object.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ...errors import DistillationError
from ..annotated import Box, Picture
from ..data_files import MOST_ANNOTATION, require_regular
from ..picture_files import picture_sizes
from .found import Found, pictures_in, split_name

_IMAGES, _LABELS = 'images', 'labels'
_SPLITS = ('train', 'val', 'test')


def is_yolo(root: Path) -> bool:
    """Whether a folder has labels as YOLO's tools leave them."""
    return any(path.is_dir() for path in (root / _LABELS, *root.glob(f'*/{_LABELS}')))


def read_yolo(root: Path) -> Found:
    """Read a set in YOLO's layout.

    Raises:
        DistillationError: the names of the classes are not there, or no picture is.
    """
    classes = _read_names(root)
    splits: dict[str, list[Picture]] = {}
    paths = [path for path in pictures_in(root) if _IMAGES in path.relative_to(root).parts[:-1]]
    if not paths:
        raise DistillationError([f'there is no picture in a folder "{_IMAGES}" of {root.absolute()}: put them there'])
    for path, size in zip(paths, picture_sizes(paths), strict=True):
        name = path.relative_to(root).as_posix()
        picture = Picture(path, name)
        if isinstance(size, tuple):  # examine() says what else it is
            picture.boxes, picture.problems = _read_label(_label_of(root, path), size, classes)
        splits.setdefault(_split_of(path.relative_to(root)), []).append(picture)
    return Found(splits, classes)


def _split_of(inside: Path) -> str:
    names = [split_name(part) for part in inside.parts[:-1]]
    return next((name for name in names if name in _SPLITS), 'all')


def _label_of(root: Path, picture: Path) -> Path:
    """The last folder "images" of its path becomes "labels"."""
    parts = list(picture.relative_to(root).with_suffix('.txt').parts)
    parts[len(parts) - 1 - parts[::-1].index(_IMAGES)] = _LABELS
    return root.joinpath(*parts)


def _read_label(path: Path, size: tuple[int, int], classes: Sequence[str]) -> tuple[list[Box], list[str]]:
    try:
        require_regular(path, MOST_ANNOTATION)
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError) as error:
        return [], [f'the label {path} cannot be read ({error}): copy it again']
    boxes, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            boxes += [_parse(line.split(), size, classes)] if line.strip() else []
        except ValueError as error:
            problems.append(f'{path}, line {number}: {error}: correct it')
    return boxes, problems


def _parse(words: Sequence[str], size: tuple[int, int], classes: Sequence[str]) -> Box:
    if len(words) < 5 or (len(words) > 5 and len(words) % 2 == 0):
        raise ValueError(f'{len(words)} numbers are neither "class x y width height" nor a class and a polygon')
    label, *numbers = map(float, words)
    if label != int(label) or not 0 <= label < len(classes):
        raise ValueError(f'its class is {words[0]}; there are {len(classes)}, counted from 0')
    if len(numbers) == 4:
        x, y, width, height = numbers
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        xs, ys = numbers[::2], numbers[1::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    if not all(-0.5 <= corner <= 1.5 for corner in corners):
        raise ValueError('its numbers are no shares of a picture, from 0 to 1')
    return Box(classes[int(label)], tuple(c * extent for c, extent in zip(corners, size * 2, strict=True)))


def _read_names(root: Path) -> list[str]:
    for path in sorted([*root.glob('*.yaml'), *root.glob('*.yml')]):
        content = _read_yaml(path)
        if isinstance(content, dict) and 'names' in content:
            return _listed(content['names'], path)
    path = root / 'classes.txt'
    if path.exists():
        require_regular(path, MOST_ANNOTATION)
        return [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines() if line.strip()]
    raise DistillationError(
        [
            f'the names of the classes are not in {root.absolute()}: write them into classes.txt, one a line, in the '
            'order of their numbers'
        ]
    )


def _read_yaml(path: Path) -> Any:
    try:
        require_regular(path, MOST_ANNOTATION)
        return yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DistillationError([f'{path} cannot be read ({error}): write it again']) from None


def _listed(names: Any, path: Path) -> list[str]:
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise DistillationError([f'{path}: the numbers of its names are not 0 to {len(names) - 1}: correct them'])
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DistillationError([f'{path}: its names are no list: write names: [cat, dog]'])
    return [str(name) for name in names]

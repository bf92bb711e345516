"""Data with a text file a picture, as YOLO's tools write it.

::

    root/data.yaml                       names: [cat, dog] or {0: cat, 1: dog}; or classes.txt, a name a line;
                                         train, val, test: a folder or a list of pictures, or several; without
                                         data.yaml root/train.txt, ... are such lists; without them the names of
                                         folders say what a picture is for
    root/images/train/NAME.jpg           or root/train/images/NAME.jpg, or root/images/NAME.jpg
    root/labels/train/NAME.txt           or root/train/labels/NAME.txt, or root/labels/NAME.txt

A line is ``class x y width height``, the centre and the size of a box as shares of the picture; or ``class x1 y1 x2
y2 x3 y3 ...``, the corners of a polygon, whose box is taken. With ``kpt_shape`` in data.yaml keypoints follow the box,
and are not read. A picture without a file has no object, and a file without a picture is a fault.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...errors import DistillationError
from ..annotated import Box, Picture, read_lines, repeated
from ..data_files import MOST_ANNOTATION, require_regular
from ..picture_files import picture_sizes
from .faults import require_annotated, require_lower_case, require_names_of_their_own, require_no_namesakes
from .found import (
    PICTURE_SUFFIXES,
    SPLITS,
    UNNAMED,
    Found,
    folders_of,
    pictures_in,
    split_name,
    split_of_folders,
    visible,
)

_IMAGES, _LABELS, _CLASSES = 'images', 'labels', 'classes.txt'
_NOTHING = ('', '~', 'null')  # in YAML


def is_yolo(root: Path) -> bool:
    """Whether a folder has labels as YOLO's tools leave them."""
    return bool(_label_folders(root))


def read_yolo(root: Path) -> Found:
    """Read a set in YOLO's layout.

    Raises:
        DistillationError: the names of the classes are not there, or no picture is, or a picture is in no split.
    """
    path, description = _read_description(root)
    classes, keypoints = _read_names(root, path, description), 'kpt_shape' in description
    paths = [path for path in pictures_in(root) if _IMAGES in path.relative_to(root).parts[:-1]]
    if not paths:
        raise DistillationError([f'there is no picture in a folder "{_IMAGES}" of {root.absolute()}: put them there'])
    require_names_of_their_own(paths)
    labels = {_swapped(root, path, _IMAGES, _LABELS, '.txt') for path in paths}
    written = [each for folder in _label_folders(root) for each in visible(folder, '**/*.[tT][xX][tT]')]
    require_lower_case(written)
    others = [each for each in written if each.name != _CLASSES]
    gone = [_swapped(root, each, _LABELS, _IMAGES, '.jpg') for each in others if each not in labels]
    require_no_namesakes(gone, paths)
    bare = {each: label for each in paths if not (label := _swapped(root, each, _IMAGES, _LABELS, '.txt')).exists()}
    require_annotated(
        {each: [*map(each.with_suffix, ('.txt', '.xml')), label.with_suffix('.xml')] for each, label in bare.items()}
    )
    paths += gone
    pictures = {}
    for each, size in zip(paths, picture_sizes(paths), strict=True):
        pictures[each] = picture = Picture(each, each.relative_to(root).as_posix())
        if isinstance(size, tuple):  # examine() says what else it is
            label = _swapped(root, each, _IMAGES, _LABELS, '.txt')
            picture.boxes, picture.problems = _read_label(label, size, classes, keypoints)
    splits = _splits_of(root, paths, path, description)
    found = {split: [pictures[each] for each in inside] for split, inside in splits.items()}
    return Found(found, classes, unnamed_in=folders_of(found.get(UNNAMED, ())))


def _splits_of(
    root: Path, paths: Sequence[Path], path: Path | None, description: Mapping[str, Any]
) -> dict[str, list[Path]]:
    """Split -> its pictures: as data.yaml or lists say, or else the names of their folders."""
    named = {split: description[split] for split in SPLITS if description.get(split, '') not in _NOTHING}
    if not named:
        lists = visible(root, '*.[tT][xX][tT]')
        named = {split_name(each.stem): each.name for each in lists if split_name(each.stem) in SPLITS}
    there = {split: folders for split, entry in named.items() if (folders := _found_at(root, description, entry))}
    splits: dict[str, list[Path]] = {}
    nowhere = []
    for each in paths:
        by_file = [split for split, places in there.items() if places & {each, *each.parents}]
        by_folder = split_of_folders(each.relative_to(root))
        if by_folder in there:
            by_folder = None  # data.yaml says what is in it
        if not by_file and by_folder is None and named:
            nowhere.append(each)
        for split in by_file or [by_folder or UNNAMED]:
            splits.setdefault(split, []).append(each)
    if nowhere:
        said = ', '.join(f'{split}: {entry}' for split, entry in named.items())
        raise DistillationError(
            [
                f'{path or root}: of the pictures, {len(nowhere)} are in no split, such as {nowhere[0]}; it has {said}'
                ': correct it, or move them away'
            ]
        )
    as_folder = {split: split_of_folders(Path(str(entry), 'name')) for split, entry in named.items()}
    gone = [
        f'{split}: {entry}'
        for split, entry in named.items()
        if split not in splits or (split not in there and as_folder[split] not in (None, split))
    ]
    if gone:
        raise DistillationError([f'{path or root} names {", ".join(gone)}, where no picture is: correct it'])
    return splits


def _found_at(root: Path, description: Mapping[str, Any], entry: Any) -> set[Path]:
    """The folders and pictures that a split of data.yaml has, of those that are there."""
    bases = [root / str(description.get('path') or ''), root]
    places: set[Path] = set()
    for each in entry if isinstance(entry, list) else [entry]:
        inside = Path(*(part for part in Path(str(each)).parts if part != '..'))  # Roboflow's lead out of the set
        place = _first_there(root, [*(base / str(each) for base in bases), root / inside])
        if place is not None and place.is_file() and place.suffix.lower() not in PICTURE_SUFFIXES:
            places |= _listed_in(root, place, [place.parent, *bases])
        elif place is not None:
            places.add(place)
    return places


def _listed_in(root: Path, path: Path, bases: Sequence[Path]) -> set[Path]:
    try:
        lines = read_lines(path)
    except (OSError, ValueError) as error:
        raise DistillationError([f'cannot read the list {path} ({error}): copy it again']) from None
    found = {line: _first_there(root, [base / line for base in bases]) for line in lines}
    gone = [line for line, place in found.items() if place is None]
    if gone:
        raise DistillationError(
            [f'{path} names {len(gone)} pictures that are not there, such as {gone[0]}: correct it']
        )
    return {place for place in found.values() if place is not None}


def _first_there(root: Path, places: Iterable[Path]) -> Path | None:
    """The first that is there and in the set, by its path from the root; another set may lie where this one lay."""
    for place in filter(Path.exists, places):
        path = Path(os.path.normpath(place))
        if path.is_relative_to(root):
            return path
        real, whole = place.resolve(), root.resolve()
        if real.is_relative_to(whole):
            return root / real.relative_to(whole)
    return None


def _label_folders(root: Path) -> list[Path]:
    return [path for path in (root / _LABELS, *visible(root, f'*/{_LABELS}')) if path.is_dir()]


def _swapped(root: Path, path: Path, folder: str, other: str, suffix: str) -> Path:
    """A path whose last folder of one name gets the other."""
    parts = list(path.relative_to(root).with_suffix(suffix).parts)
    parts[len(parts) - 1 - parts[::-1].index(folder)] = other
    return root.joinpath(*parts)


def _read_label(
    path: Path, size: tuple[int, int], classes: Sequence[str], keypoints: bool
) -> tuple[list[Box], list[str]]:
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
            words = line.split()
            boxes += [_parse(words[:5] if keypoints else words, size, classes)] if words else []
        except ValueError as error:
            problems.append(f'{path}, line {number}: {error}: correct it')
    return boxes, problems


def _parse(words: Sequence[str], size: tuple[int, int], classes: Sequence[str]) -> Box:
    if len(words) < 5 or (len(words) > 5 and len(words) % 2 == 0):
        raise ValueError(
            f'"class x y width height" are 5 numbers, a class and a polygon 7, 9 or more, not {len(words)}'
        )
    strange = [word for word in words if not _is_number(word)]
    if strange:
        raise ValueError(f"'{strange[0]}' is no number")
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


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _read_description(root: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The file that names the classes, and what it says."""
    found = {path: _read_yaml(path) for path in [*visible(root, '*.yaml'), *visible(root, '*.yml')]}
    found = {path: content for path, content in found.items() if isinstance(content, dict) and 'names' in content}
    if not found:
        return None, {}
    path = next((path for path in found if path.stem == 'data'), next(iter(found)))
    others = [other.name for other, content in found.items() if content['names'] != found[path]['names']]
    if others and path.stem != 'data':
        raise DistillationError(
            [f'{path.name} and {", ".join(others)} in {root.absolute()} name other classes: keep one of them']
        )
    return path, found[path]


def _read_names(root: Path, path: Path | None, description: Mapping[str, Any]) -> list[str]:
    """As data.yaml has them, or classes.txt, which LabelImg leaves beside the labels; all must say the same."""
    lists = {} if path is None else {path: _listed(description['names'], path)}
    count = description.get('nc', '')
    if path is not None and count.isdecimal() and int(count) != len(lists[path]):
        raise DistillationError([f'{path}: nc is {count}, and it names {len(lists[path])} classes: correct it'])
    for each in visible(root, f'**/{_CLASSES}'):
        try:
            require_regular(each, MOST_ANNOTATION)
            lines = each.read_text(encoding='utf-8-sig').strip('\n').splitlines()
        except (OSError, ValueError) as error:
            raise DistillationError([f'{each} cannot be read ({error}): write it again']) from None
        lists[each] = _listed([line.strip() for line in lines], each)
    if lists:
        first, names = next(iter(lists.items()))
        other = next((each for each, its in lists.items() if its != names), None)
        if other is not None:
            raise DistillationError([f'{first} and {other} name other classes, or in another order: keep one of them'])
        return names
    raise DistillationError(
        [
            f'the names of the classes are not in {root.absolute()}: write them into {_CLASSES}, one a line, in the '
            'order of their numbers'
        ]
    )


def _read_yaml(path: Path) -> Any:
    try:
        require_regular(path, MOST_ANNOTATION)
        return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # all as it is written: yes, and 010, are names
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DistillationError([f'{path} cannot be read ({error}): write it again']) from None


def _listed(names: Any, path: Path) -> list[str]:
    """The names of classes, in the order of their numbers."""
    if isinstance(names, dict):
        numbers = [str(number) for number in range(len(names))]
        if {*names} != {*numbers}:
            raise DistillationError([f'{path}: the numbers of its names are not 0 to {len(names) - 1}: correct them'])
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise DistillationError([f'{path}: its names are no list, or one is empty: write all, in their order'])
    if repeated(names):
        raise DistillationError([f'{path}: it names {repeated(names)[0]} twice: give each class a name of its own'])
    return names

"""A check of COCO, and of any file in its format, which mmdet reads as they are."""

import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from reprlib import Repr
from typing import Any

from ..errors import DistillationError, raise_if_any
from .annotated import Box, Picture, examine, raise_all, reaches_out, repeated
from .data_files import read_json

_SPLITS = ('train2017', 'val2017')
_ID, _NUMBER, _TEXT = {int, str}, {int, float}, {str}  # the very types that JSON gives: a bool is no number
_KEYS = {
    'images': dict(id=_ID, file_name=_TEXT, width=_NUMBER, height=_NUMBER),
    'annotations': dict(id=_ID, image_id=_ID, category_id=_ID, bbox={list}, area=_NUMBER),
    'categories': dict(id=_ID, name=_TEXT),
}
_SIDES = ('width', 'height')
_MEASURES = (*_SIDES, 'area')  # which the picture and the box give too
_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 200  # characters of an id or a name in a message
_CONTROL = re.compile(r'[\x00-\x1f\x7f-\x9f]')  # a terminal obeys them


def check_coco(root: str | Path) -> str:
    """Check every picture and annotation of ``root/annotations/instances_{train,val}2017.json``.

    Returns:
        What is there, in words.

    Raises:
        DistillationError: with everything that is wrong. The few boxes without area that the original has are named
            too; mmdet leaves them out by itself.
    """
    root = Path(root)
    problems, lines, pictures = [], [], []
    for split in _SPLITS:
        path = root / 'annotations' / f'instances_{split}.json'
        content, found = read_coco(path)
        problems += found
        if not found:
            read = _pictures(content, root / split)
            lines.append(f'{path}: {len(read)} pictures, {len(content["annotations"])} boxes')
            pictures += read
    examine(pictures)
    raise_all([*problems, *(problem for picture in pictures for problem in picture.problems)], root / 'problems.txt')
    return '\n'.join(lines)


def read_coco(path: Path, labelled: bool = True, measured: bool = True) -> tuple[dict, list[str]]:
    """Read a file in COCO's format.

    Args:
        path: of the file.
        labelled: whether it must list annotations; the published pictures of a test set have none.
        measured: whether it must have the sizes of pictures and the areas of annotations, as mmdet asks for them.

    Returns:
        Its content; and what is wrong with it, one sentence each: with the content as such, not with the pictures.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        return {}, [f'there is no annotation file {path.absolute()}: put it there']
    except OSError as error:
        return {}, [f'the annotation file {path.absolute()} cannot be read ({error}): put a whole file there']
    except ValueError as error:
        return {}, [f'the annotation file {path.absolute()} is truncated or no JSON ({error}): copy it again']
    try:
        if not labelled and isinstance(content, dict):
            content.setdefault('annotations', [])
        _check_form(content, measured)
    except DistillationError as error:
        return {}, [f'{path.absolute()}: {problem}' for problem in error.problems]
    return content, []


def _check_form(content: Any, measured: bool) -> None:
    """Raise for what mmdet would fail on, or pass over without a word."""
    lists = {key: content.get(key) if isinstance(content, dict) else None for key in _KEYS}
    raise_if_any([f'it has no list "{key}", as a COCO file has' for key in _KEYS if not isinstance(lists[key], list)])
    faults: dict[tuple[str, str], list[int]] = {}
    for key, needed in _KEYS.items():
        for index, entry in enumerate(lists[key]):
            missing = [name for name, kind in needed.items() if not _has(entry, name, kind, measured)]
            if missing:
                faults.setdefault((key, ', '.join(missing)), []).append(index)
    raise_if_any(
        [
            f'entry {indices[0]} of "{key}"{f", as {len(indices) - 1} more," if indices[1:] else ""} has no {missing}, '
            'or of a wrong kind: write the file again'
            for (key, missing), indices in faults.items()
        ]
    )
    problems = []
    for key, entries in lists.items():
        twice = [_REPR.repr(number) for number in repeated(entry['id'] for entry in entries)]
        if twice:
            problems.append(f'ids of "{key}" are there twice: {", ".join(twice[:10])}: write the file again')
    twice = [_REPR.repr(name) for name in repeated(entry['file_name'] for entry in lists['images'])]
    if twice:
        problems.append(
            f'pictures of "images" are there twice: {", ".join(twice[:10])}. To mmdet, what one entry marks is '
            'background in the other: join their annotations'
        )
    for key, name in (('images', 'file_name'), ('categories', 'name')):
        strange = [_REPR.repr(entry[name]) for entry in lists[key] if _CONTROL.search(entry[name])]
        if strange:
            problems.append(f'a {name} of "{key}" has control characters: {", ".join(strange[:10])}: rename it')
    for image in lists['images']:
        sides = [image[side] for side in _SIDES if side in image]
        if not all(_is_finite(side) and side > 0 for side in sides):
            size = 'x'.join(map(_REPR.repr, sides))
            problems.append(f'image {_REPR.repr(image["id"])} has no area, its size is {size}: correct it')
    for mark in ('iscrowd', 'ignore'):  # of which mmdet takes '0' and 'false' for true
        strange = [entry for entry in lists['annotations'] if entry.get(mark) not in (None, 0, 1)]
        if strange:
            said, more = _REPR.repr(strange[0][mark]), f', as of {len(strange) - 1} more' if strange[1:] else ''
            problems.append(f'"{mark}" of {_named(strange[0])} is {said}{more}: write 0 or 1')
    known = {key: {entry['id'] for entry in lists[key]} for key in ('images', 'categories')}
    for annotation in lists['annotations']:
        for key, of in (('image_id', 'images'), ('category_id', 'categories')):
            if annotation[key] not in known[of]:
                unknown = f'{key} {_REPR.repr(annotation[key])}, which is not in "{of}"'
                problems.append(f'{_named(annotation)} is of {unknown}: correct it')
        if not _is_box(annotation['bbox']):
            box = _REPR.repr(annotation['bbox'])
            problems.append(f'the bbox of {_named(annotation)} is not four finite numbers: {box}: correct it')
        area = annotation.get('area', 0)
        if not _is_finite(area) or area < 0:
            problems.append(f'the area of {_named(annotation)} cannot be {_REPR.repr(area)}: correct it')
    raise_if_any(problems)


def is_ignored(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation is marked as neither an object nor background."""
    return bool(annotation.get('iscrowd') or annotation.get('ignore'))


def judge_boxes(content: dict) -> tuple[list[str], Counter[str]]:
    """Find the boxes that mmdet would train on though they are wrong, and count those that it leaves out by itself.

    Args:
        content: of a file that :func:`read_coco` has nothing against. The size of a picture is what the file says.

    Returns:
        What is wrong, one sentence each; and kind -> number of the boxes that are no object of a training.

    Source: ``mmdet.datasets.CocoDataset.parse_data_info`` drops a box that is marked ``ignore``, does not meet its
    picture, is less than a pixel wide or high, or has no ``area``. A crowd is kept, as neither object nor background.
    It drops a negative width too; COCO's evaluation does not, so that is refused.
    """
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    problems, left_out = [], Counter()
    for annotation in content['annotations']:
        size, (x, y, width, height) = sizes[annotation['image_id']], annotation['bbox']
        corners = (x, y, x + width, y + height)
        fault = None
        if width < 0 or height < 0:
            fault = 'has a negative width or height'
        elif annotation.get('ignore'):
            left_out['marked "ignore"'] += 1
        elif x >= size[0] or y >= size[1] or corners[2] <= 0 or corners[3] <= 0:
            left_out['outside of their picture'] += 1
        elif width < 1 or height < 1:
            left_out['less than a pixel wide or high'] += 1
        elif annotation['area'] <= 0:
            left_out['of an area of 0'] += 1
        elif reaches_out(corners, size):
            fault = f'reaches out of its picture, which is {size[0]}x{size[1]}'
        elif annotation.get('iscrowd'):
            left_out['crowds'] += 1
        if fault:
            box = _REPR.repr(annotation['bbox'])
            problems.append(f'the bbox {box} (x, y, width, height) of {_named(annotation)} {fault}: correct it')
    return problems, left_out


def not_objects(left_out: Counter[str], where: str = '') -> str:
    """One sentence of what :func:`judge_boxes` counts, with words for where the boxes are, such as ' of train'."""
    kinds = ', '.join(f'{count} {kind}' for kind, count in left_out.items())
    return f'mmdet does not count {left_out.total()} boxes{where} as objects: {kinds}'


def _named(annotation: dict) -> str:
    return f'annotation {_REPR.repr(annotation["id"])}'


def _has(entry: Any, name: str, kinds: set[type], measured: bool) -> bool:
    if not isinstance(entry, dict):
        return False
    return type(entry.get(name)) in kinds or (not measured and name in _MEASURES and name not in entry)


def _is_finite(value: float) -> bool:
    """Of a whole number too that no float can hold, and of NaN, which compares as false."""
    return abs(value) <= sys.float_info.max


def _is_box(value: list) -> bool:
    return len(value) == 4 and all(type(number) in _NUMBER and _is_finite(number) for number in value)


def _pictures(content: dict, folder: Path) -> list[Picture]:
    names = {category['id']: category['name'] for category in content['categories']}
    pictures = {
        image['id']: Picture(folder / image['file_name'], image['file_name'], size=(image['width'], image['height']))
        for image in content['images']
    }
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        box = Box(names[annotation['category_id']], (x, y, x + width, y + height), is_ignored(annotation))
        pictures[annotation['image_id']].boxes.append(box)
    return list(pictures.values())

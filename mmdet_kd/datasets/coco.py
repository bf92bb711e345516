"""A check of COCO, and of any file in its format, which mmdet reads as they are."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import DistillationError, raise_if_any
from .annotated import Box, Picture, examine, raise_all

_SPLITS = ('train2017', 'val2017')
_ID = (int, str)
_KEYS = {
    'images': dict(id=_ID, file_name=str, width=(int, float), height=(int, float)),
    'annotations': dict(id=_ID, image_id=_ID, category_id=_ID, bbox=list, area=(int, float)),
    'categories': dict(id=_ID, name=str),
}


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


def read_coco(path: Path) -> tuple[dict, list[str]]:
    """Read a file in COCO's format.

    Returns:
        Its content; and what is wrong with it, one sentence each: with the content as such, not with the pictures.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}, [f'there is no annotation file {path.absolute()}: put it there']
    except (OSError, ValueError) as error:
        return {}, [f'the annotation file {path.absolute()} is truncated or no JSON ({error}): copy it again']
    try:
        _check_form(content)
    except DistillationError as error:
        return {}, [f'{path.absolute()}: {problem}' for problem in error.problems]
    return content, []


def _check_form(content: Any) -> None:
    """Raise for what mmdet would fail on, or pass over without a word."""
    lists = {key: content.get(key) if isinstance(content, dict) else None for key in _KEYS}
    raise_if_any([f'it has no list "{key}", as a COCO file has' for key in _KEYS if not isinstance(lists[key], list)])
    raise_if_any(
        [
            f'entry {index} of "{key}" has no {", ".join(missing)}, or of a wrong kind: write the file again'
            for key, needed in _KEYS.items()
            for index, entry in enumerate(lists[key])
            if (missing := [name for name, kind in needed.items() if not _has(entry, name, kind)])
        ]
    )
    problems = []
    for key, entries in lists.items():
        twice = [str(number) for number, count in Counter(entry['id'] for entry in entries).items() if count > 1]
        if twice:
            problems.append(f'ids of "{key}" are there twice: {", ".join(twice[:10])}: write the file again')
    known = {key: {entry['id'] for entry in lists[key]} for key in ('images', 'categories')}
    for annotation in lists['annotations']:
        for key, of in (('image_id', 'images'), ('category_id', 'categories')):
            if annotation[key] not in known[of]:
                problems.append(f'annotation {annotation["id"]} is of {key} {annotation[key]}, which is not in "{of}"')
        if not _is_box(annotation['bbox']):
            problems.append(f'the bbox of annotation {annotation["id"]} is not four numbers: {annotation["bbox"]}')
    raise_if_any(problems)


def _has(entry: Any, name: str, kind: type | tuple[type, ...]) -> bool:
    value = entry.get(name) if isinstance(entry, dict) else None
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in value)
    )


def _pictures(content: dict, folder: Path) -> list[Picture]:
    names = {category['id']: category['name'] for category in content['categories']}
    pictures = {
        image['id']: Picture(folder / image['file_name'], image['file_name'], size=(image['width'], image['height']))
        for image in content['images']
    }
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        box = Box(names[annotation['category_id']], (x, y, x + width, y + height), bool(annotation.get('iscrowd')))
        pictures[annotation['image_id']].boxes.append(box)
    return list(pictures.values())

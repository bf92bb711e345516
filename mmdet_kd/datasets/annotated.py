"""Pictures with their boxes, as any format gives them: what is wrong with them, and COCO's JSON made of them."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..errors import DistillationError, printable, raise_if_any
from .data_files import MOST_LIST, require_regular
from .picture_files import picture_headers

T = TypeVar('T')

_MOST_SHOWN = 50
_SLACK = 1.0  # pixels that a box may reach over the edge: formats differ in where a pixel begins


@dataclass
class Box:
    """One annotated box.

    Args:
        category: name of its class.
        corners: x1, y1, x2, y2 in pixels, x2 and y2 exclusive.
        ignore: whether it counts neither as an object nor as background.
        extra: further keys of its COCO annotation, or others in the place of those that are made.
    """

    category: str
    corners: tuple[float, float, float, float]
    ignore: bool = False
    extra: dict = field(default_factory=dict)


@dataclass
class Picture:
    """One annotated picture.

    Args:
        path: of the picture file.
        file_name: what COCO's JSON calls it.
        boxes: in it.
        size: width and height in pixels as the annotation says, None if it does not.
        problems: what is wrong with it, one sentence each.
        orientation: of EXIF, once the file was examined; 1 is as it is stored.
    """

    path: Path
    file_name: str
    boxes: list[Box] = field(default_factory=list)
    size: tuple[int, int] | None = None
    problems: list[str] = field(default_factory=list)
    orientation: int = 1


def examine(pictures: Iterable[Picture]) -> None:
    """Read the header of every picture and add to its problems what is wrong with its file or its boxes."""
    pictures = list(pictures)
    for picture, header in zip(pictures, picture_headers(picture.path for picture in pictures), strict=True):
        if isinstance(header, str):
            picture.problems.append(header)
            continue
        size, picture.orientation = header
        annotated, picture.size = picture.size, size
        if annotated is not None and tuple(annotated) != size:
            picture.problems.append(other_size(picture.path, size, annotated))
            continue  # its boxes are of another picture
        picture.problems += [
            f'{picture.path}: the {box.category} at {box.corners} {fault}: correct its annotation'
            for box in picture.boxes
            if (fault := _fault(box, size))
        ]


def other_size(path: str | Path, size: tuple[int, int], annotated: tuple[int, int]) -> str:
    """The problem of a picture that is not the one that was annotated."""
    there, said = ('x'.join(map(str, pair)) for pair in (size, annotated))
    cure = 'put back the annotated picture'
    if size == tuple(annotated)[::-1]:
        cure += ', or, if it is turned by an EXIF orientation, which mmdet obeys, remove that from the file'
    return f'the picture {path} is {there}, its annotation says {said}: {cure}'


def repeated(values: Iterable[T]) -> list[T]:
    """Those that are there more than once, in the order in which they are first met."""
    return [value for value, count in Counter(values).items() if count > 1]


def read_list(path: Path) -> list[list[str]]:
    """The words of each line of a text file that has any; it raises what :func:`read_lines` does."""
    return [line.split() for line in read_lines(path)]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without the spaces around them.

    Raises:
        OSError: it cannot be opened, or is no regular file.
        ValueError: it is no text.
    """
    require_regular(path, MOST_LIST)
    return [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines() if line.strip()]


def raise_all(problems: Sequence[str], report: Path) -> None:
    """Raise one error that lists the problems, if there are any; beyond 50 the whole list is in ``report``.

    Raises:
        DistillationError: with the first 50 problems and the number of the others; with all if the file cannot be
            written.
    """
    if len(problems) <= _MOST_SHOWN:
        raise_if_any(problems)
        return
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text('\n'.join(map(printable, problems)) + '\n')
    except OSError:  # data that may only be read
        raise DistillationError(problems) from None
    rest = f'and {len(problems) - _MOST_SHOWN} more: all {len(problems)} are listed in {report.absolute()}'
    raise DistillationError([*problems[:_MOST_SHOWN], rest])


def write_splits(
    folder: Path, splits: Mapping[str, Sequence[Picture]], categories: Sequence[str], leave_out_broken: bool = False
) -> str:
    """Examine the pictures and write ``folder/<split>.json``, all of them or none.

    Args:
        folder: made if missing.
        splits: name -> pictures.
        categories: names, in the order of the classes; their ids count from 1.
        leave_out_broken: write the pictures that nothing is wrong with; the others are listed in
            ``folder/left_out.txt``.

    Returns:
        What was written, in words.

    Raises:
        DistillationError: something is wrong with a picture, or with all of a split; nothing is written then.
    """
    examine(picture for pictures in splits.values() for picture in pictures)
    problems = [problem for pictures in splits.values() for picture in pictures for problem in picture.problems]
    if not leave_out_broken:
        raise_all(problems, folder / 'problems.txt')
    texts, lines = {}, []
    for split, pictures in splits.items():
        whole = [picture for picture in pictures if not picture.problems]
        if pictures and not whole:
            (first, *others) = (problem for picture in pictures for problem in picture.problems)
            raise_all([f'no picture of {split} is left: {first}', *others], folder / 'problems.txt')
        texts[folder / f'{split}.json'] = json.dumps(coco_content(whole, categories))
        left_out = f', {len(pictures) - len(whole)} left out' if len(whole) < len(pictures) else ''
        boxes = sum(len(picture.boxes) for picture in whole)
        lines.append(f'{folder / split}.json: {len(whole)} pictures, {boxes} boxes{left_out}')
    if problems:
        texts[folder / 'left_out.txt'] = '\n'.join(map(printable, problems)) + '\n'
        lines.append(f'{folder / "left_out.txt"}: why')
    else:
        (folder / 'left_out.txt').unlink(missing_ok=True)  # of an earlier conversion
    _write_together(texts)
    return '\n'.join(lines)


def coco_content(pictures: Sequence[Picture], categories: Sequence[str]) -> dict:
    """What a COCO file holds; ``iscrowd`` is what mmdet's CocoDataset reads as ignored."""
    images, annotations = [], []
    ids = {name: number for number, name in enumerate(categories, start=1)}
    for image_id, picture in enumerate(pictures, start=1):
        width, height = picture.size
        images.append(dict(id=image_id, file_name=picture.file_name, width=width, height=height))
        for box in picture.boxes:
            x1, y1, x2, y2 = box.corners
            own = dict(
                id=len(annotations) + 1,  # COCO's evaluation takes an id 0 for no match
                image_id=image_id,
                category_id=ids[box.category],
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=int(box.ignore),
            )
            annotations.append({**own, **box.extra})
    return dict(images=images, annotations=annotations, categories=[dict(id=i, name=name) for name, i in ids.items()])


def _fault(box: Box, size: tuple[int, int]) -> str | None:
    x1, y1, x2, y2 = box.corners
    if not all(math.isfinite(value) for value in box.corners):
        return 'is not finite'
    if x2 < x1 or y2 < y1:
        return 'has its second corner before the first'
    if x2 == x1 or y2 == y1:
        return 'has no area'
    if reaches_out(box.corners, size):
        return f'reaches out of the picture, which is {size[0]}x{size[1]}'
    return None


def reaches_out(corners: tuple[float, float, float, float], size: tuple[float, float]) -> bool:
    """Whether a box reaches over an edge of its picture, by more than formats differ in where a pixel begins.

    Args:
        corners: x1, y1, x2, y2 in pixels from 0, x2 and y2 exclusive.
        size: width and height of the picture.
    """
    x1, y1, x2, y2 = corners
    return x1 < -_SLACK or y1 < -_SLACK or x2 > size[0] + _SLACK or y2 > size[1] + _SLACK


def _write_together(texts: Mapping[Path, str]) -> None:
    """Write files beside their places, then rename all, so that an interrupted writing leaves no part of a set."""
    drafts = {path: path.with_name(f'.{path.name}.draft') for path in texts}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        drafts[path].write_text(text)
    for path, draft in drafts.items():
        os.replace(draft, path)

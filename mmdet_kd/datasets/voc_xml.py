"""PASCAL VOC's annotation files, which ILSVRC's are too."""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

from .annotated import Box
from .data_files import MOST_ANNOTATION, require_regular

_ROOT = 'annotation'
_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


def read_xml(
    path: Path, category: Callable[[str], str | None] = str
) -> tuple[list[Box], tuple[int, int] | None, list[str]]:
    """Read an annotation file.

    Args:
        path: of the file.
        category: the category of an object's name, None if it is unknown.

    Returns:
        The boxes, with corners as they stand in the file; width and height, None where the file does not say; and
        what is wrong with it, one sentence each.
    """
    try:
        require_regular(path, MOST_ANNOTATION)
        tree = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        return [], None, [f'there is no annotation {path}: put it there']
    except (OSError, ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: of its encoding
        return [], None, [f'the annotation {path} is truncated or no XML ({error}): copy it again']
    if tree.tag != _ROOT:
        return [], None, [f'the annotation {path} is no <{_ROOT}> but <{tree.tag}>: copy it again']
    boxes, problems = [], []
    for number, element in enumerate(tree.findall('object'), start=1):
        try:
            boxes.append(_read_object(element, category))
        except ValueError as error:
            problems.append(f'{path}, object {number}: {error}: correct it')
    try:
        size = _read_size(tree)
    except ValueError as error:
        return boxes, None, [*problems, f'{path}: {error}: correct it']
    return boxes, size, problems


def is_annotation(path: Path) -> bool:
    """Whether an XML file is one of a picture; one that does not open may be."""
    try:
        require_regular(path, MOST_ANNOTATION)
        return ElementTree.parse(path).getroot().tag == _ROOT
    except (OSError, ElementTree.ParseError, LookupError, ValueError):
        return True


def _read_object(element: ElementTree.Element, category: Callable[[str], str | None]) -> Box:
    name = _text(element, 'name')
    known = category(name)
    if known is None:
        raise ValueError(f"'{name}' is no class of the set")
    x1, y1, x2, y2 = (_number(element, f'bndbox/{key}') for key in _CORNERS)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        raise ValueError(f'its corners {x1, y1, x2, y2} are not finite')
    ignore = element.findtext('difficult', '').strip() != '' and _number(element, 'difficult') != 0
    return Box(known, (x1, y1, x2, y2), ignore=ignore)


def _read_size(tree: ElementTree.Element) -> tuple[int, int] | None:
    if tree.find('size') is None:
        return None
    width, height = _number(tree, 'size/width'), _number(tree, 'size/height')
    if width < 1 or height < 1 or not (width.is_integer() and height.is_integer()):
        raise ValueError(f'its picture cannot be {width:g}x{height:g}')
    return int(width), int(height)


def _number(element: ElementTree.Element, path: str) -> float:
    text = _text(element, path)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"its {path} is no number but '{text}'") from None


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None or not text.strip():
        raise ValueError(f'it has no {path}')
    return text.strip()

"""KITTI's object detection benchmark (2D boxes) as COCO's JSON.

On disk, as it is distributed, with the two lists of a split beside it::

    root/training/image_2/000000.png ...
    root/training/label_2/000000.txt ...     15 columns a line
    root/ImageSets/{train,val}.txt           an id, 000000, a line
    root/annotations/{train,val}.json        what is written

KITTI's DontCare regions are ignored boxes of each class; Van, which is neutral for Car, is an ignored Car, and
Person_sitting an ignored Pedestrian. ``type``, ``truncated`` and ``occluded`` of each box are KITTI's, for
:class:`~mmdet_kd.evaluation.KittiMetric`. Boxes of Truck, Tram and Misc keep classes of their own, which the config
does not ask for.
"""

from pathlib import Path

from ..errors import DistillationError, raise_if_any
from ..unknown_names import some
from .annotated import Box, Picture, read_list, repeated, write_splits
from .data_files import MOST_ANNOTATION, require_regular

KITTI_CLASSES = ('Car', 'Pedestrian', 'Cyclist')
#: Neutral for a class: neither found nor missed.
KITTI_NEIGHBOURS = {'Van': 'Car', 'Person_sitting': 'Pedestrian'}
DONT_CARE = 'DontCare'

_CATEGORIES = (*KITTI_CLASSES, 'Truck', 'Tram', 'Misc')
_SPLITS = ('train', 'val')
_COLUMNS = 15


def convert_kitti(root: str | Path, leave_out_broken: bool = False) -> str:
    """Check the set and write ``root/annotations/{train,val}.json``.

    Args:
        root: of the set.
        leave_out_broken: leave out pictures that something is wrong with, instead of refusing the set.

    Returns:
        What was written, in words.

    Raises:
        DistillationError: with everything that is wrong; nothing is written then.
    """
    root = Path(root)
    splits = {split: [_read(root, name) for name in names] for split, names in _read_lists(root).items()}
    return write_splits(root / 'annotations', splits, _CATEGORIES, leave_out_broken)


def read_label(path: Path) -> tuple[list[Box], list[str]]:
    """The boxes of a file of ``label_2``, and what is wrong with it."""
    try:
        require_regular(path, MOST_ANNOTATION)
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return [], [f'there is no label {path}: put it there']
    except (OSError, UnicodeDecodeError) as error:
        return [], [f'the label {path} cannot be read ({error}): copy it again']
    boxes: list[Box] = []
    problems = [] if lines else [f'the label {path} is empty, which none of KITTI is: copy it again']
    for number, line in enumerate(lines, start=1):
        try:
            boxes += _parse(line)
        except (ValueError, OverflowError) as error:
            problems.append(f'{path}, line {number}: {error}: copy it again')
    return boxes, problems


def _read_lists(root: Path) -> dict[str, list[str]]:
    lists, problems = {}, []
    for split in _SPLITS:
        path = root / 'ImageSets' / f'{split}.txt'
        try:
            lists[split] = [line[0] for line in read_list(path)]
        except (OSError, ValueError) as error:
            problems.append(
                f'cannot read {path} ({error}). Put the lists of a split there, one id such as 000123 a line; '
                'the usual ones, of 3712 and 3769 pictures, come with the 3D detection toolboxes (MMDetection3D)'
            )
            continue
        if not lists[split]:
            problems.append(f'{path} names no picture')
        if len(set(lists[split])) < len(lists[split]):
            problems.append(f'{path} names pictures twice: {some(sorted(repeated(lists[split])), 10)}')
    raise_if_any(problems)
    both = sorted(set(lists['train']) & set(lists['val']))
    if both:
        raise DistillationError([f'train.txt and val.txt in {root / "ImageSets"} share pictures: {some(both, 10)}'])
    return lists


def _read(root: Path, name: str) -> Picture:
    boxes, problems = read_label(root / 'training' / 'label_2' / f'{name}.txt')
    file_name = f'{name}.png'
    return Picture(root / 'training' / 'image_2' / file_name, file_name, boxes, problems=problems)


def _parse(line: str) -> list[Box]:
    """The boxes of a line: one, or one for each class if it is a DontCare region.

    Raises:
        ValueError: it is no line of a label.
    """
    values = line.split()
    if len(values) != _COLUMNS:
        raise ValueError(f'{len(values)} columns instead of {_COLUMNS}')
    kind, (truncated, occluded, _, *corners) = values[0], map(float, values[1:8])
    extra = dict(type=kind, truncated=truncated, occluded=int(occluded))
    if kind == DONT_CARE:
        return [Box(category, tuple(corners), ignore=True, extra=extra) for category in KITTI_CLASSES]
    category = KITTI_NEIGHBOURS.get(kind, kind)
    if category not in _CATEGORIES:
        raise ValueError(f"'{kind}' is no class of KITTI")
    return [Box(category, tuple(corners), ignore=kind in KITTI_NEIGHBOURS, extra=extra)]

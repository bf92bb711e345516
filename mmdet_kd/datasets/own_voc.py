"""Your own data in VOC's layout as COCO's JSON.

On disk, as the tools of annotators write it::

    root/Annotations/NAME.xml
    root/ImageSets/Main/{train,val,...}.txt   a NAME a line
    root/JPEGImages/NAME.jpg
    root/annotations/{train,val,...}.json     what is written
"""

from collections import Counter
from pathlib import Path

from ..errors import DistillationError
from .annotated import Picture, read_list, write_splits
from .voc_xml import read_xml

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.JPG', '.JPEG', '.PNG')


def convert_voc(root: str | Path, out: str | Path | None = None) -> str:
    """Check a set in VOC's layout and write a JSON file in COCO's format for each list of ``ImageSets/Main``.

    The classes are the names that occur, in the order of the alphabet. Corners are taken as they stand: the upper left
    corner of a picture is 0, 0. (PASCAL VOC itself counts from 1; mmdet reads it without a converter.) Difficult boxes
    are ignored regions. Boxes without width or height are left out and counted.

    Args:
        root: of the set.
        out: folder to write to; ``root/annotations`` if not given.

    Returns:
        What was found and written, in words.

    Raises:
        DistillationError: with everything that is wrong; nothing is written then.
    """
    root = Path(root)
    lists = _read_lists(root / 'ImageSets' / 'Main')
    pictures = {name: _read(root, name) for names in lists.values() for name in names}
    flat = sum(_leave_out_flat(picture) for picture in pictures.values())
    counts = Counter(box.category for picture in pictures.values() for box in picture.boxes)
    if not counts:
        raise DistillationError([f'no annotation of {root / "Annotations"} has a box: nothing can be trained'])
    splits = {split: [pictures[name] for name in names] for split, names in lists.items()}
    written = write_splits(Path(out) if out is not None else root / 'annotations', splits, sorted(counts))
    found = ', '.join(f'{counts[name]} {name}' for name in sorted(counts))
    left_out = f'; {flat} without width or height left out' if flat else ''
    return f'{written}\n{len(pictures)} pictures, boxes: {found}{left_out}'


def _read_lists(folder: Path) -> dict[str, list[str]]:
    """The lists of names; those of one class (a name and 1 or -1 a line) are not meant."""
    lists = {}
    for path in sorted(folder.glob('*.txt')):
        try:
            lines = read_list(path)
        except (OSError, ValueError) as error:
            raise DistillationError([f'cannot read the list {path} ({error}): copy it again']) from None
        if lines and all(len(line) == 1 for line in lines):
            lists[path.stem] = list(dict.fromkeys(line[0] for line in lines))
    if not lists:
        raise DistillationError(
            [f'there is no list in {folder.absolute()}: write train.txt and val.txt, one name of a picture a line']
        )
    return lists


def _read(root: Path, name: str) -> Picture:
    boxes, size, problems = read_xml(root / 'Annotations' / f'{name}.xml')
    folder = root / 'JPEGImages'
    file_name = next((name + suffix for suffix in _SUFFIXES if (folder / (name + suffix)).exists()), f'{name}.jpg')
    return Picture(folder / file_name, file_name, boxes, size, problems)


def _leave_out_flat(picture: Picture) -> int:
    """Take the boxes without area out of a picture; returns how many there were."""
    whole = [box for box in picture.boxes if box.corners[2] > box.corners[0] and box.corners[3] > box.corners[1]]
    count = len(picture.boxes) - len(whole)
    picture.boxes = whole
    return count

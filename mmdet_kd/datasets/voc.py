"""A check of PASCAL VOC, which mmdet reads as it is."""

from pathlib import Path

from mmdet.datasets import VOCDataset

from ..errors import DistillationError
from .annotated import Box, Picture, examine, raise_all, read_list
from .voc_xml import read_xml

_CLASSES = {name: name for name in VOCDataset.METAINFO['classes']}


def check_voc(root: str | Path) -> str:
    """Check every picture and annotation of the sets that are trained and tested on.

    Args:
        root: the folder ``VOCdevkit``, with ``VOC2007``, ``VOC2012`` or both in it. Of each, the pictures of
            ``ImageSets/Main/trainval.txt`` are checked, and of 2007 those of ``test.txt``, if it is there; the
            annotations of later tests are not public.

    Returns:
        What is there, in words.

    Raises:
        DistillationError: with everything that is wrong.
    """
    root = Path(root)
    years = sorted(path for path in root.glob('VOC20*') if path.is_dir())
    if not years:
        raise DistillationError([f'there is no VOC2007 or VOC2012 in {root.absolute()}. Name the folder VOCdevkit'])
    problems, lines, pictures = [], [], []
    for year in years:
        for split in ('trainval', 'test') if year.name == 'VOC2007' else ('trainval',):
            path = year / 'ImageSets' / 'Main' / f'{split}.txt'
            if split == 'test' and not path.exists():
                continue
            try:
                names = [line[0] for line in read_list(path)]
            except (OSError, ValueError) as error:
                names = []
                problems.append(f'cannot read the list {path} ({error}): copy it again')
            else:
                problems += [] if names else [f'the list {path} is empty: copy it again']
            read = [_read(year, name) for name in names]
            lines.append(f'{path}: {len(read)} pictures, {sum(len(picture.boxes) for picture in read)} boxes')
            pictures += read
    examine(pictures)
    raise_all([*problems, *(problem for picture in pictures for problem in picture.problems)], root / 'problems.txt')
    return '\n'.join(lines)


def _read(year: Path, name: str) -> Picture:
    boxes, size, problems = read_xml(year / 'Annotations' / f'{name}.xml', _CLASSES.get)
    file_name = f'{name}.jpg'
    return Picture(year / 'JPEGImages' / file_name, file_name, [_from_zero(box) for box in boxes], size, problems)


def _from_zero(box: Box) -> Box:
    """VOC's first pixel is 1, and its last corner is a pixel of the object."""
    x1, y1, x2, y2 = box.corners
    return Box(box.category, (x1 - 1, y1 - 1, x2, y2), box.ignore)

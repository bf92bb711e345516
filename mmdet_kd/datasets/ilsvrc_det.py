"""ILSVRC's object detection set (DET, 200 classes, that of 2014 and after) as COCO's JSON.

On disk, as ImageNet and Kaggle have distributed it since 2015, and where the development kit belongs::

    root/Data/DET/{train,val}/**/*.JPEG
    root/Annotations/DET/{train,val}/**/*.xml
    root/ImageSets/DET/{train_1, ..., train_200, val}.txt      lines "id label"
    root/devkit/data/map_det.txt                               lines "wnid number name"
    root/annotations/{train,val1,val2}.json                    what is written

The pictures of 2014 are the same; its own layout (``ILSVRC2014_DET_train/``, ...) is not read.

``train`` holds, of each class, the pictures that are listed as positive for it; none of the negative ones, and none
with more objects than boxes. ``val1`` and ``val2`` are the halves of the validation set, by lists of picture ids:
R-CNN's (Girshick et al., CVPR 2014), which come with its data, or others.
"""

import re
from pathlib import Path

from mmdet.evaluation import get_classes

from ..errors import DistillationError, raise_if_any
from .annotated import Picture, read_list, write_splits
from .voc_xml import read_xml

ILSVRC_DET_CLASSES = tuple(get_classes('imagenet_det'))


def convert_ilsvrc_det(
    root: str | Path,
    val1: str | Path | None = None,
    val2: str | Path | None = None,
    halve_val: bool = False,
    train_per_class: int = 1000,
    leave_out_broken: bool = False,
) -> str:
    """Check the set and write ``root/annotations/{train,val1,val2}.json``.

    Args:
        root: of the set.
        val1: a file with the ids of the first half of the validation set; ``ImageSets/DET/val1.txt`` if None.
        val2: the same of the second half.
        halve_val: without such lists, take the 1st, 3rd, ... line of ``val.txt`` for val1 and the others for val2. This
            split is ours: numbers on it compare with each other, not with the literature.
        train_per_class: at most so many positive training pictures of each class, the first of its list; 0 for all.
        leave_out_broken: leave out pictures that something is wrong with, instead of refusing the set.

    Returns:
        What was written, in words.

    Raises:
        DistillationError: with everything that is wrong; nothing is written then.
    """
    root = Path(root)
    names = _read_map(root / 'devkit' / 'data' / 'map_det.txt')
    lists = root / 'ImageSets' / 'DET'
    train = [f'train/{name}' for name in _positives(lists, train_per_class)]
    halves = _halves(lists, halve_val, val1, val2)
    ids = {'train': train, **{split: [f'val/{name}' for name in half] for split, half in halves.items()}}
    splits = {split: [_read(root, name, names) for name in chosen] for split, chosen in ids.items()}
    return write_splits(root / 'annotations', splits, ILSVRC_DET_CLASSES, leave_out_broken)


def _read_map(path: Path) -> dict[str, str]:
    """WordNet id -> class name as mmdet spells it; the numbers of the file are another order."""
    try:
        lines = [line.split(maxsplit=2) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DistillationError(
            [f'cannot read {path} ({error}). Unpack the development kit of ILSVRC 2015 or later there']
        ) from error
    spelling = {_letters(name): name for name in ILSVRC_DET_CLASSES}
    names = {line[0]: spelling.get(_letters(line[2])) for line in lines if len(line) == 3}
    missing = sorted(set(ILSVRC_DET_CLASSES) - set(names.values()))
    unknown = [f'{line[0]} {line[-1]}' for line in lines if names.get(line[0]) is None]
    if missing or unknown or len(names) != len(ILSVRC_DET_CLASSES):
        raise DistillationError(
            [
                f'{path} is not the map of the 200 classes. Without a line: {", ".join(missing) or "none"}; lines of '
                f'no class: {", ".join(unknown[:10]) or "none"}. Copy it again'
            ]
        )
    return names


def _letters(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())


def _positives(lists: Path, most: int) -> list[str]:
    """Ids of the training pictures that are positive for a class, at most so many of each; 0 for all."""
    chosen: dict[str, None] = {}  # a picture may be positive for several classes
    problems: list[str] = []
    for number in range(1, len(ILSVRC_DET_CLASSES) + 1):
        path = lists / f'train_{number}.txt'
        lines = _read_list(path, problems)
        positive = [line[0] for line in lines if line[-1] == '1']
        if lines and not positive:
            problems.append(f'{path} lists no positive picture, a line "id 1": copy it again')
        chosen.update(dict.fromkeys(positive[:most] if most else positive))
    raise_if_any(problems)
    return list(chosen)


def _halves(lists: Path, halve_val: bool, *paths: str | Path | None) -> dict[str, list[str]]:
    problems: list[str] = []
    val = [line[0] for line in _read_list(lists / 'val.txt', problems)]
    files = [Path(path or lists / f'val{number}.txt') for number, path in enumerate(paths, start=1)]
    if halve_val:
        raise_if_any(problems)
        return {'val1': val[0::2], 'val2': val[1::2]}
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        problems.append(
            f'there is no list {" nor ".join(missing)}. Put the halves of the validation set there, which come with '
            "R-CNN's data, or ask for halves of our own (--halve-val)"
        )
        raise_if_any(problems)
    val1, val2 = ([line[0] for line in _read_list(path, problems)] for path in files)
    both = sorted(set(val1) & set(val2))
    if both:
        problems.append(f'{files[0]} and {files[1]} share {len(both)} pictures, {both[0]} for one')
    for path, half in zip(files, (val1, val2), strict=True):
        strange = sorted(set(half) - set(val))
        if strange:
            problems.append(f'{path} names {len(strange)} pictures that val.txt does not, {strange[0]} for one')
    raise_if_any(problems)
    return {'val1': val1, 'val2': val2}


def _read_list(path: Path, problems: list[str]) -> list[list[str]]:
    try:
        lines = read_list(path)
    except (OSError, ValueError) as error:
        problems.append(f'cannot read the list {path} ({error}): copy it again')
        return []
    if not lines:
        problems.append(f'the list {path} is empty: copy it again')
    return lines


def _read(root: Path, name: str, names: dict[str, str]) -> Picture:
    boxes, size, problems = read_xml(root / 'Annotations' / 'DET' / f'{name}.xml', names.get)
    file_name = f'{name}.JPEG'
    return Picture(root / 'Data' / 'DET' / file_name, file_name, boxes, size, problems)

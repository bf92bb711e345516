"""What a folder of your own data holds, whatever its layout."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ..annotated import Picture

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
_SAME = {'valid': 'val', 'validation': 'val', 'training': 'train', 'testing': 'test'}
_SMALL, _LARGE = 32**2, 96**2  # pixels of area, COCO's


@dataclass
class Found:
    """Pictures with their boxes, a list a split.

    Args:
        splits: name -> pictures; names are train, val, test, trainval or the set's own.
        classes: names, in the order of the labels.
        notes: what was done to the data, one sentence each.
    """

    splits: dict[str, list[Picture]]
    classes: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, each once."""
        return list({str(picture.path): picture for each in self.splits.values() for picture in each}.values())


def split_name(name: str) -> str:
    """One name for each split: 'instances_train2017' and 'training' are 'train', 'valid' is 'val'."""
    name = name.lower().removeprefix('instances_').rstrip('0123456789')
    return _SAME.get(name, name)


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder and of those in it, in the order of the alphabet."""
    return sorted(path for path in folder.rglob('*') if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def with_splits(found: Found, val_share: float, seed: int) -> Found:
    """Make a split where there is none to validate on: a part of the pictures, drawn, of the only list or of 'train'.

    Args:
        found: what there is.
        val_share: of the pictures that become 'val', in (0, 1).
        seed: of the draw, which depends on it and on the pictures' names alone.
    """
    if {'val', 'test'} & found.splits.keys():
        return found
    if len(found.splits) > 1 and 'train' not in found.splits:
        return found
    name = 'train' if 'train' in found.splits else next(iter(found.splits))
    pictures = sorted(found.splits[name], key=lambda picture: picture.file_name)
    count = min(max(round(val_share * len(pictures)), 1), len(pictures) - 1)
    drawn = set(Random(seed).sample(range(len(pictures)), max(count, 0)))
    halves = {
        'train': [picture for i, picture in enumerate(pictures) if i not in drawn],
        'val': [picture for i, picture in enumerate(pictures) if i in drawn],
    }
    note = f'there was no split to validate on: {count} of the {len(pictures)} pictures were drawn (seed {seed})'
    others = {split: each for split, each in found.splits.items() if split != name}
    return Found({**halves, **others}, found.classes, [*found.notes, note])


def leave_out_flat(found: Found) -> None:
    """Take the boxes without width or height out of the pictures, and note how many there were."""
    count = 0
    for picture in found.pictures:
        whole = [box for box in picture.boxes if box.corners[2] > box.corners[0] and box.corners[3] > box.corners[1]]
        count += len(picture.boxes) - len(whole)
        picture.boxes = whole
    if count:
        found.notes.append(f'{count} boxes without width or height were left out')


def describe(pictures: Iterable[Picture]) -> str:
    """Pictures, their sizes, and boxes by class and by size, in words."""
    pictures = [picture for picture in pictures if not picture.problems]
    sizes = [picture.size for picture in pictures if picture.size is not None]
    boxes = [box for picture in pictures for box in picture.boxes]
    counts = Counter(box.category for box in boxes)
    areas = [(box.corners[2] - box.corners[0]) * (box.corners[3] - box.corners[1]) for box in boxes]
    small, large = sum(area < _SMALL for area in areas), sum(area > _LARGE for area in areas)
    empty = sum(not picture.boxes for picture in pictures)
    ignored = sum(box.ignore for box in boxes)
    widths, heights = zip(*sizes, strict=True) if sizes else ((0,), (0,))
    return '\n'.join(
        [
            f'{len(pictures)} pictures, {min(widths)}x{min(heights)} to {max(widths)}x{max(heights)}, {empty} without '
            'a box',
            'boxes by class: ' + ', '.join(f'{counts[name]} {name}' for name in sorted(counts)),
            f'boxes by area: {small} below 32x32 pixels, {len(areas) - small - large} between, {large} above 96x96; '
            f'{ignored} ignored',
        ]
    )

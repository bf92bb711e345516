"""What a folder of your own data holds, whatever its layout."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ..annotated import Picture

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
#: The names of splits, as :func:`split_name` gives them.
SPLITS = ('train', 'val', 'test')
_SAME = {'valid': 'val', 'validation': 'val', 'training': 'train', 'testing': 'test'}
TRAINED_ON, HELD_OUT = ('train', 'trainval'), ('val', 'test')
#: The split of pictures of which nothing says what they are for.
UNNAMED = 'all'
#: Of the pictures, drawn for validation where no other share is asked for.
VAL_SHARE = 0.2
_COPY = '.rf.'  # Roboflow names the copies that it makes of a.jpg a_jpg.rf.NUMBER.jpg
_SMALL, _LARGE = 32**2, 96**2  # pixels of area, COCO's


@dataclass
class Found:
    """Pictures with their boxes, a list a split.

    Args:
        splits: name -> pictures; names are train, val, test, trainval or the set's own.
        classes: names, in the order of the labels.
        notes: what was done to the data, one sentence each.
        unnamed_in: the folders of the pictures in :data:`UNNAMED`, where it is folders that name splits.
        sources: the files that were read, if one of them could be taken for one that is written.
    """

    splits: dict[str, list[Picture]]
    classes: list[str]
    notes: list[str] = field(default_factory=list)
    unnamed_in: Collection[str] = ()
    sources: list[Path] = field(default_factory=list)

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, each once."""
        return list({str(picture.path): picture for each in self.splits.values() for picture in each}.values())

    @property
    def unused(self) -> list[str]:
        """Its own names of splits, beside others, on which nothing is trained or judged."""
        own = sorted(self.splits.keys() - {*TRAINED_ON, *HELD_OUT, UNNAMED})
        return own if len(self.splits) > 1 else []


def split_name(name: str) -> str:
    """One name for each split: 'instances_train2017' and 'training' are 'train', 'valid' is 'val'."""
    name = name.lower().removeprefix('instances_').rstrip('0123456789')
    return _SAME.get(name, name)


def split_of_folders(path: Path) -> str | None:
    """The split after which the outermost folder of a path is named, among those that are; None if none is."""
    return next((name for name in map(split_name, path.parts[:-1]) if name in SPLITS), None)


def folders_of(pictures: Iterable[Picture]) -> set[str]:
    """The folders of pictures that are there, from the root of their set."""
    folders = {Path(picture.file_name).parent for picture in pictures if picture.path.exists()}
    return {folder.as_posix() if folder.parts else 'the root' for folder in folders}


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder and of those in it, in the order of the alphabet; none of hidden folders."""
    return [path for path in visible(folder, '**/*') if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]


def visible(folder: Path, pattern: str) -> list[Path]:
    """What a pattern finds in a folder, sorted, without what is none of the user's.

    That is hidden files and folders, such as `.ipynb_checkpoints`, and `__MACOSX`, which macOS puts into archives.

    Args:
        folder: to look in.
        pattern: as of :meth:`pathlib.Path.glob`; with `**` in it, folders that are links are entered too.
    """
    first, deep, last = pattern.rpartition('**/')
    starts = folder.glob(first) if first else [folder]
    if deep:
        found = {path for start in starts for below in _folders_below(start) for path in below.glob(last)}
    else:
        found = {*folder.glob(pattern)}
    return sorted(path for path in found if all(map(_is_the_users, path.relative_to(folder).parts)))


def _folders_below(folder: Path) -> Iterator[Path]:
    """A folder and all in it, each once, though links may lead in circles."""
    seen = set()
    for path, inner, _ in os.walk(folder, followlinks=True):
        place = os.path.realpath(path)
        if place in seen:
            inner.clear()
            continue
        seen.add(place)
        inner[:] = filter(_is_the_users, inner)
        yield Path(path)


def _is_the_users(name: str) -> bool:
    return not name.startswith('.') and name != '__MACOSX'


def with_splits(found: Found, val_share: float, seed: int) -> Found:
    """Make a split where there is none to validate on: a part of the pictures, drawn, of the only list or of 'train'.

    The copies that Roboflow makes of a picture are drawn together.

    Args:
        found: what there is; see :func:`require_clear`.
        val_share: of the pictures that become 'val', in (0, 1).
        seed: of the draw, which depends on it and on the pictures' names alone.
    """
    if {*HELD_OUT} & found.splits.keys():
        return found
    name = 'train' if 'train' in found.splits else next(iter(found.splits))
    copies: dict[str, list[Picture]] = {}
    for picture in sorted(found.splits[name], key=lambda picture: picture.file_name):
        copies.setdefault(picture.file_name.partition(_COPY)[0], []).append(picture)
    count = min(max(round(val_share * len(copies)), 1), len(copies) - 1)
    drawn = set(Random(seed).sample(list(copies), max(count, 0)))
    halves = {
        'train': [picture for source, each in copies.items() if source not in drawn for picture in each],
        'val': [picture for source, each in copies.items() if source in drawn for picture in each],
    }
    whole = len(found.splits[name])
    note = f'there was no split to validate on: {len(halves["val"])} of the {whole} pictures were drawn (seed {seed})'
    if len(copies) < whole:
        note += f', the copies that Roboflow made of each of {len(copies)} together'
    others = {split: each for split, each in found.splits.items() if split != name}
    return Found({**halves, **others}, found.classes, [*found.notes, note])


def leave_out_flat(found: Found) -> None:
    """Take the boxes without width or height out of the pictures, and note how many there were."""
    count = 0
    every = {id(picture): picture for each in found.splits.values() for picture in each}  # each file may read it anew
    for picture in every.values():
        whole = [box for box in picture.boxes if box.corners[2] != box.corners[0] and box.corners[3] != box.corners[1]]
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

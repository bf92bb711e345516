"""What a folder of your own data holds, whatever its layout."""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ...errors import DistillationError, raise_if_any
from ...unknown_names import some
from ..annotated import Picture, repeated

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
#: The names of splits, as :func:`split_name` gives them.
SPLITS = ('train', 'val', 'test')
_SAME = {'valid': 'val', 'validation': 'val', 'training': 'train', 'testing': 'test'}
_TRAINED_ON, _HELD_OUT = ('train', 'trainval'), ('val', 'test')
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
        own = sorted(self.splits.keys() - {*_TRAINED_ON, *_HELD_OUT, UNNAMED})
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
    parts = {path: path.relative_to(folder).parts for path in found}
    return sorted(path for path in found if not any(name[:1] == '.' or name == '__MACOSX' for name in parts[path]))


def _folders_below(folder: Path) -> Iterator[Path]:
    """A folder and all in it, each once, though links may lead in circles."""
    seen = set()
    for path, inner, _ in os.walk(folder, followlinks=True):
        place = os.path.realpath(path)
        if place in seen:
            inner.clear()
            continue
        seen.add(place)
        yield Path(path)


def require_names_of_their_own(pictures: Iterable[Path]) -> None:
    """Refuse pictures that would share an annotation, which is found by their name without its suffix.

    Raises:
        DistillationError: there are some.
    """
    known: dict[Path, Path] = {}
    for path in pictures:
        other = known.setdefault(path.with_suffix(''), path)
        if other != path:
            raise DistillationError(
                [f'{other} and {path.name} would share one annotation: give each picture a name of its own']
            )


def require_no_namesakes(gone: Iterable[Path], pictures: Iterable[Path]) -> None:
    """Refuse annotations without a picture beside a picture whose name differs in case or in how accents are written.

    Leaving such an annotation out would leave its picture without an object.

    Args:
        gone: where the pictures of annotations should be.
        pictures: that are there.

    Raises:
        DistillationError: there are some.
    """

    def alike(path: Path) -> tuple[Path, str]:
        return path.parent, unicodedata.normalize('NFC', path.stem).casefold()

    there = {alike(path): path for path in pictures}
    for path in gone:
        other = there.get(alike(path))
        if other is not None:
            raise DistillationError(
                [f'an annotation is of {path.stem}, and the picture is {other}: give both one name, in the same case']
            )


def require_annotated(bare: Mapping[Path, Collection[Path]]) -> None:
    """Refuse pictures without an annotation that have one of another kind, or in another place, which is not read.

    Args:
        bare: picture without an annotation -> where one of another kind would be.

    Raises:
        DistillationError: there are some; they would count as pictures without an object.
    """
    aside = {path: other for path, others in bare.items() for other in others if other.exists()}
    if aside:
        path, other = next(iter(aside.items()))
        raise DistillationError(
            [
                f'{len(aside)} pictures have no annotation of this layout, but one of another, such as {path} in '
                f'{other}: write all in one kind and place'
            ]
        )


def require_lists_read(
    root: Path,
    read: Collection[Path] = (),
    cure: str = 'Put the pictures of each split into a folder of its name',
) -> None:
    """Refuse lists that are named after a split and would not be read.

    Args:
        root: of the set.
        read: lists that are.
        cure: for the message.

    Raises:
        DistillationError: there are some.
    """
    named = {*_TRAINED_ON, *_HELD_OUT}
    lists = [path for path in visible(root, '**/*.[tT][xX][tT]') if split_name(path.stem) in named]
    aside = [path for path in lists if path not in read and not path.with_suffix('').with_suffix('.xml').exists()]
    if aside:
        raise DistillationError(
            [f'{aside[0]} has the name of a split and would not be read. {cure}, or move this one away']
        )


def require_lower_case(paths: Iterable[Path]) -> None:
    """Refuse annotations whose suffix is in upper case: they would not be found, and their pictures have no object.

    Raises:
        DistillationError: there are some.
    """
    upper = [path for path in paths if not path.suffix.islower()]
    if upper:
        raise DistillationError(
            [f'{upper[0]}, and {len(upper) - 1} more, end in upper case: rename them to {upper[0].suffix.lower()}']
        )


def require_apart(splits: Mapping[str, Collection[str]], root: Path) -> None:
    """Refuse splits that train on a picture on which they judge, or that have one twice.

    Args:
        splits: name -> names of its pictures, from the root.
        root: of the set, for the message.

    Raises:
        DistillationError: with some of the pictures.
    """
    problems = []
    for split, names in splits.items():
        twice = repeated(names)
        if twice:
            problems.append(f'{root.absolute()}: {split} has {some(twice)} twice: join their annotations')
    for trained in splits.keys() & {*_TRAINED_ON}:
        for held_out in splits.keys() & {*_HELD_OUT}:
            both = sorted({*splits[trained]} & {*splits[held_out]})
            if both and (trained, held_out) != ('trainval', 'val'):
                problems.append(
                    f'{root.absolute()}: {len(both)} pictures are in {trained} and in {held_out}, such as {both[0]}: '
                    'take them out of one of the two'
                )
    raise_if_any(sorted(problems))


def require_objects(found: Found) -> None:
    """Refuse boxes that are shares of their pictures, and a split without any box to train or to validate on.

    A 'test' without a box is taken out, with a note: nothing can be judged on it.

    Raises:
        DistillationError: there is one.
    """
    boxes = [box.corners for picture in found.pictures for box in picture.boxes]
    below_a_pixel = sum(x2 - x1 < 1 and y2 - y1 < 1 for x1, y1, x2, y2 in boxes)
    if 2 * below_a_pixel > len(boxes):
        raise DistillationError(
            [
                f'{below_a_pixel} of {len(boxes)} boxes are smaller than a pixel, as shares of a picture are: write '
                'pixels'
            ]
        )
    bare = [split for split, pictures in found.splits.items() if not any(picture.boxes for picture in pictures)]
    bare = [split for split in bare if not any(picture.problems for picture in found.splits[split])]
    if 'test' in bare:
        found.notes.append(
            f'no picture of test has a box, so its {len(found.splits.pop("test"))} pictures are left out'
        )
        bare.remove('test')
    if bare:
        raise DistillationError(
            [f'no picture of {bare[0]} has a box: annotate it, or remove it; of a drawn one, take another --seed']
        )


def require_clear(found: Found, is_asked: bool, root: Path) -> None:
    """Refuse names of folders and lists that leave open what their pictures are for.

    Args:
        found: what there is.
        is_asked: whether the user asks to draw a validation set, whatever the names are.
        root: of the set, for messages.

    Raises:
        DistillationError: something may be meant for validation, or lies beside the splits.
    """
    folders, named = sorted(found.unnamed_in), sorted(found.splits.keys() & {*_TRAINED_ON, *_HELD_OUT})
    can_train, can_judge = ({*named} & {*names} for names in (_TRAINED_ON, _HELD_OUT))
    problem, draw_from = '', ''
    if folders and named:
        problem = f'of its pictures, {len(found.splits[UNNAMED])} lie in {some(folders)}, beside {", ".join(named)}'
    elif len(folders) > 1 and not is_asked:
        problem, draw_from = f'its pictures lie in {some(folders)}', 'all of them'
    elif found.unused and not (can_train and 'val' in named):
        draw_from = 'train' if 'train' in named and not can_judge else ''
        if not (is_asked and draw_from):
            problem = f'its splits are {some(sorted(found.splits))}'
    if problem:
        draw = f', or draw from {draw_from}: python tools/dataset_converters/own.py {root} --val-share {VAL_SHARE}'
        raise DistillationError(
            [
                f'{root.absolute()}: {problem}, which leaves open what is for what. Rename to train, val and test, or '
                f'move away what is no data{draw if draw_from else ""}'
            ]
        )


def with_splits(found: Found, val_share: float, seed: int) -> Found:
    """Make a split where there is none to validate on: a part of the pictures, drawn, of the only list or of 'train'.

    The copies that Roboflow makes of a picture are drawn together.

    Args:
        found: what there is; see :func:`require_clear`.
        val_share: of the pictures that become 'val', in (0, 1).
        seed: of the draw, which depends on it and on the pictures' names alone.
    """
    if {*_HELD_OUT} & found.splits.keys():
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

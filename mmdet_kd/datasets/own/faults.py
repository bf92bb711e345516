"""What of a set of your own is refused: what would be passed over, or be read as nothing, and what is not clear."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ...errors import DistillationError, raise_if_any
from ...unknown_names import some
from ..annotated import repeated
from .found import HELD_OUT, TRAINED_ON, UNNAMED, VAL_SHARE, Found, split_name, visible


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
    named = {*TRAINED_ON, *HELD_OUT}
    lists = [path for path in visible(root, '**/*.[tT][xX][tT]') if split_name(path.stem) in named]
    aside = [path for path in lists if path not in read and not path.with_suffix('.xml').exists()]
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
    for trained in splits.keys() & {*TRAINED_ON}:
        for held_out in splits.keys() & {*HELD_OUT}:
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
    folders, named = sorted(found.unnamed_in), sorted(found.splits.keys() & {*TRAINED_ON, *HELD_OUT})
    can_train, can_judge = ({*named} & {*names} for names in (TRAINED_ON, HELD_OUT))
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

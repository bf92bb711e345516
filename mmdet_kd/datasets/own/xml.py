"""Data with an XML file a picture: in VOC's folders, or beside the pictures, as LabelImg leaves them.

VOC's folders::

    root/Annotations/NAME.xml
    root/JPEGImages/NAME.jpg
    root/ImageSets/Main/{train,val,...}.txt   a NAME a line, or NAME.jpg; or a list of one class, NAME and 1, 0 or -1,
                                              which is not read; without lists a split is drawn

Beside the pictures, in the root or in a folder a split::

    root/NAME.jpg, root/NAME.xml              or root/train/NAME.jpg, root/images/train/NAME.jpg, ...

Corners are taken as they stand, and the upper left corner of a picture is 0, 0. (PASCAL VOC itself counts from 1; mmdet
reads it without a converter.) Difficult boxes are ignored regions.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from ...errors import DistillationError
from ..annotated import Picture, read_lines
from ..voc_xml import is_annotation, read_xml
from .faults import (
    require_annotated,
    require_lists_read,
    require_lower_case,
    require_names_of_their_own,
    require_no_namesakes,
)
from .found import (
    PICTURE_SUFFIXES,
    SPLITS,
    UNNAMED,
    Found,
    folders_of,
    pictures_in,
    split_name,
    split_of_folders,
    visible,
)

LISTS, PICTURES = Path('ImageSets', 'Main'), 'JPEGImages'
_XML, _TXT = '*.[xX][mM][lL]', '*.[tT][xX][tT]'


def is_voc(root: Path) -> bool:
    """Whether a folder has VOC's folders."""
    return (root / 'Annotations').is_dir()


def is_labelimg(root: Path) -> bool:
    """Whether a folder has XML files beside its pictures."""
    return not is_voc(root) and any(path.with_suffix('.xml').exists() for path in pictures_in(root))


def read_voc(root: Path) -> Found:
    """Read a set in VOC's folders.

    Raises:
        DistillationError: a list cannot be read, or files or pictures lie in other folders.
    """
    deeper = next(iter(visible(root / 'Annotations', '*/**/*.xml')), None)
    if deeper is not None:
        raise DistillationError(
            [
                f'{deeper} lies in a folder below Annotations: put all XML files into Annotations itself, the pictures '
                f'into {PICTURES}, and a list of the names of each split into {LISTS}, as train.txt and val.txt'
            ]
        )
    if not (root / PICTURES).is_dir():
        raise DistillationError([f'{root.absolute()} has no folder {PICTURES}: put the pictures there'])
    require_lower_case(visible(root / 'Annotations', _XML))
    annotated = [path.stem for path in visible(root / 'Annotations', '*.xml')]
    there = pictures_in(root / PICTURES)
    require_names_of_their_own(there)
    paths = {path.stem: path for path in there if path.parent == root / PICTURES}
    lists, notes = _read_lists(root / LISTS, {*annotated}), []
    of_other_tasks = visible(root / LISTS.parent, f'*/{_TXT}') if lists else ()  # VOC's own lists of segmentations
    require_lists_read(root, of_other_tasks, f'Put such lists into {LISTS}')
    unlisted = {*annotated} - {name for names in lists.values() for name in names}
    if lists and unlisted:
        notes.append(f'{len(unlisted)} annotated pictures are in no list of {LISTS}, and were left out')
    if not lists:
        lists = {UNNAMED: annotated}
        others = {path.stem for path in there} - {*annotated}
        if others:
            notes.append(f'{len(others)} pictures of {PICTURES} without an annotation were left out')
    pictures = {name: _read_named(root, name, paths) for names in lists.values() for name in names}
    return _found({split: [pictures[name] for name in names] for split, names in lists.items()}, notes)


def read_labelimg(root: Path) -> Found:
    """Read pictures with an XML beside each; one without it has no object, and an XML without a picture is a fault."""
    splits: dict[str, list[Picture]] = {}
    pictures = pictures_in(root)
    require_names_of_their_own(pictures)
    beside = {path.with_suffix('.xml') for path in pictures}
    written = visible(root, f'**/{_XML}')
    require_lower_case(written)
    alone = [path for path in written if path not in beside and is_annotation(path)]
    require_no_namesakes(alone, pictures)
    require_annotated({path: [path.with_suffix('.txt')] for path in pictures if not path.with_suffix('.xml').exists()})
    require_lists_read(root)
    for path in sorted([*pictures, *(path.with_suffix('.jpg') for path in alone)]):
        split = split_of_folders(path.relative_to(root)) or UNNAMED
        splits.setdefault(split, []).append(_read_beside(root, path))
    return replace(_found(splits), unnamed_in=folders_of(splits.get(UNNAMED, ())))


def _read_beside(root: Path, path: Path) -> Picture:
    name, annotation = path.relative_to(root).as_posix(), path.with_suffix('.xml')
    return Picture(path, name, *read_xml(annotation)) if annotation.exists() else Picture(path, name)


def _read_named(root: Path, name: str, paths: Mapping[str, Path]) -> Picture:
    path = paths.get(name, root / PICTURES / f'{name}.jpg')
    return Picture(path, path.relative_to(root).as_posix(), *read_xml(root / 'Annotations' / f'{name}.xml'))


def _read_lists(folder: Path, annotated: Set[str]) -> dict[str, list[str]]:
    """Split -> names, of the lists that are not of one class.

    Args:
        folder: of the lists.
        annotated: names that have an annotation, which tell 'p 1', the name of a picture, from a name and a 1.
    """
    lists: dict[str, list[str]] = {}
    for path in visible(folder, _TXT):
        try:
            lines = read_lines(path)
        except (OSError, ValueError) as error:
            raise DistillationError([f'cannot read the list {path} ({error}): copy it again']) from None
        if not lines and split_name(path.stem) in SPLITS:
            raise DistillationError([f'the list {path} is empty: write a name a line, or remove it'])
        of_paths = [line for line in lines if '/' in line or '\\' in line]
        if of_paths:
            raise DistillationError([f'{path} lists paths, such as {of_paths[0]}: write the names of pictures alone'])
        names = [line if line in annotated else _without_suffix(line) for line in lines]
        of_class = all(len(line.split()) > 1 and line.split()[-1] in ('1', '0', '-1') for line in lines)
        if names and not (of_class and annotated.isdisjoint(names)):
            lists.setdefault(split_name(path.stem), []).extend(names)
    return {split: list(dict.fromkeys(names)) for split, names in lists.items()}


def _without_suffix(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in PICTURE_SUFFIXES and path.name == name else name


def _found(splits: dict[str, Sequence[Picture]], notes: Sequence[str] = ()) -> Found:
    names = {box.category for pictures in splits.values() for picture in pictures for box in picture.boxes}
    return Found({split: list(pictures) for split, pictures in splits.items()}, sorted(names), list(notes))

"""Your own data, in the layouts that people have, as COCO's JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ...errors import DistillationError, printable, raise_if_any
from ...unknown_names import some
from ..annotated import write_splits
from ..coco import judge_boxes, not_objects
from ..data_files import read_json
from ..voc_xml import is_annotation
from .coco_json import is_coco, read_coco_folder
from .faults import require_apart, require_clear, require_objects
from .found import VAL_SHARE, Found, describe, leave_out_flat, pictures_in, visible, with_splits
from .xml import is_labelimg, is_voc, read_labelimg, read_voc
from .yolo import is_yolo, read_yolo

__all__ = ['LAYOUTS', 'OwnData', 'convert_own', 'require_apart']

#: Name of a layout -> whether a folder has it, and its reader.
LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Found]]] = {
    'voc': (is_voc, read_voc),
    'coco': (is_coco, read_coco_folder),
    'yolo': (is_yolo, read_yolo),
    'labelimg': (is_labelimg, read_labelimg),
}


class OwnData(NamedTuple):
    """A set that was converted.

    Args:
        layout: that it has.
        classes: names, in the order of the labels.
        files: split -> file in COCO's format; pictures are named from the root of the set.
        said: what was found and written, in words.
    """

    layout: str
    classes: list[str]
    files: dict[str, Path]
    said: str


def convert_own(
    root: str | Path,
    out: str | Path | None = None,
    layout: str | None = None,
    val_share: float | None = None,
    seed: int = 0,
    leave_out_broken: bool = False,
) -> OwnData:
    """Check a set and write a file in COCO's format for each split of it.

    Args:
        root: folder of the set.
        out: folder to write to; ``root/coco`` if not given.
        layout: one of :data:`LAYOUTS`; looked for if not given.
        val_share: of the pictures, in (0, 1), that are drawn for validation where the set has no split to validate on.
            Without it 0.2 are drawn, unless the name of a folder or a list leaves open what it is for.
        seed: of that draw.
        leave_out_broken: leave out pictures that something is wrong with, instead of refusing the set.

    Raises:
        DistillationError: with everything that is wrong; nothing is written then.
    """
    root = Path(root)
    if not root.is_dir():
        raise DistillationError([f'there is no folder {root.absolute()}'])
    if val_share is not None and not 0 < val_share < 1:
        raise DistillationError([f'val_share must lie between 0 and 1, not {val_share}'])
    asked, layout = layout, layout or _layout_of(root)
    found = LAYOUTS[layout][1](root)
    if not found.pictures:
        raise DistillationError([f'{root.absolute()} has no picture in the layout {layout}'])
    leave_out_flat(found)
    sources = {path.resolve() for path in found.sources}
    require_clear(found, val_share is not None, root)
    found.notes += [f'nothing is trained or judged on {name}' for name in found.unused]
    found = with_splits(found, val_share or VAL_SHARE, seed)
    is_explained = not leave_out_broken and any(picture.problems for picture in found.pictures)  # below, as they are
    if not is_explained and not any(picture.boxes for picture in found.pictures):
        raise DistillationError([f'no picture of {root.absolute()} has a box, so nothing can be trained'])
    require_objects(found)
    require_apart({split: [picture.file_name for picture in each] for split, each in found.splits.items()}, root)
    folder = Path(out) if out is not None else root / 'coco'
    earlier = sorted(path.name for path in folder.glob('*.json') if path.stem not in found.splits)
    if earlier:
        raise DistillationError(
            [
                f'{folder.absolute()} has {some(earlier)}, no split of this set: remove what an earlier conversion '
                'left, or write to another folder'
            ]
        )
    raise_if_any(
        [
            f'{folder.absolute()} has {split}.json, from which the set is read: write to another folder'
            for split in found.splits
            if (folder / f'{split}.json').resolve() in sources
        ]
    )
    files = {split: folder / f'{split}.json' for split in found.splits}
    try:
        written = write_splits(folder, found.splits, found.classes, leave_out_broken)
    except DistillationError as error:
        if leave_out_broken:
            raise
        (*others, last) = error.problems
        given = {'out': out, 'layout': asked, 'val-share': val_share, 'seed': seed or None}
        options = ''.join(f' --{name} {value}' for name, value in given.items() if value is not None)
        cure = f'python tools/dataset_converters/own.py {root}{options} --leave-out-broken'
        raise DistillationError([*others, f'{last}. Or leave such pictures out: {cure}']) from None
    turned = [picture.file_name for picture in found.pictures if picture.orientation != 1]
    if turned:
        found.notes.append(
            f'{len(turned)} pictures are turned by an EXIF orientation, which mmdet obeys, such as '
            f'{printable(turned[0])}: see that their boxes are of the turned pictures'
        )
    counts = {split: judge_boxes(read_json(path))[1] for split, path in files.items()}
    found.notes += [not_objects(count, f' of {split}') for split, count in counts.items() if count]
    said = '\n'.join([f'layout: {layout}', describe(found.pictures), *found.notes, written])
    return OwnData(layout, found.classes, files, said)


def _layout_of(root: Path) -> str:
    named = [name for name, (has, _) in LAYOUTS.items() if has(root)]
    if len(named) == 1:
        return named[0]
    if named:
        raise DistillationError(
            [
                f'{root.absolute()} has the layouts {", ".join(named)}. Convert it first: python '
                f'tools/dataset_converters/own.py {root} --layout {named[0]}, or another of them'
            ]
        )
    raise DistillationError(
        [
            f'{root.absolute()} has none of the layouts {", ".join(LAYOUTS)}: Annotations/*.xml, annotations/*.json, '
            f'labels/*.txt, or an XML beside each picture{_nearly(root)}'
        ]
    )


def _nearly(root: Path) -> str:
    """What would make it one of the layouts, if it is close to one."""
    folders = [folder for folder in visible(root, '*') if folder.is_dir()]
    named = {folder.name: name for folder in folders for name, (has, _) in LAYOUTS.items() if has(folder)}
    if len(named) == 1 and sum(map(bool, map(pictures_in, folders))) == 1:
        ((folder_name, name),) = named.items()
        return f'. The folder {folder_name} in it has the layout {name}: name that'
    if named:
        return (
            f'. Of it, {some(sorted(named))} are sets of their own: put them together as one, in folders of its splits'
        )
    annotation = next(iter(visible(root, '**/*.xml')), None)
    if annotation is not None and is_annotation(annotation):
        return (
            f". {annotation} is one of VOC's: put such files into Annotations and the pictures into JPEGImages, or "
            'each beside its picture'
        )
    label = next((text for path in pictures_in(root) if (text := path.with_suffix('.txt')).exists()), None)
    if label is not None:
        return f". {label} is one of YOLO's: put such files into labels, and the pictures into images"
    return ''

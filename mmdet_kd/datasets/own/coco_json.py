"""Data in COCO's format: COCO's own folders, or a JSON a split folder, as Roboflow exports it.

::

    root/annotations/{train,val}.json         or root/NAME.json; of COCO's own, instances_train2017.json alone
    root/{train,images,train2017}/NAME.jpg    wherever the pictures of a file are found

    root/{train,valid,test}/_annotations.coco.json    Roboflow's, beside the pictures

Files whose names differ in digits at the end are one split: task_1.json and task_2.json.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import DistillationError, raise_if_any
from ..annotated import Box, Picture, reaches_out
from ..coco import is_ignored, read_coco
from ..data_files import read_json
from .faults import require_lists_read
from .found import PICTURE_SUFFIXES, SPLITS, Found, split_name, split_of_folders, visible

_ROBOFLOW, _JSON = '_annotations.coco.json', '*.[jJ][sS][oO][nN]'
_CORNERS = (
    '{path}: each bbox is two corners, x1, y1, x2, y2, since as x, y, width, height, which COCO means, some reach out '
    'of their pictures: write the widths and heights'
)
#: How the names of files begin that COCO publishes beside its boxes.
_OTHER_TASKS = ('captions_', 'person_keypoints_', 'image_info_', 'stuff_', 'panoptic_')
_FAULTY = 0.2  # share of boxes that may reach out by mistake


def is_coco(root: Path) -> bool:
    """Whether a folder has files in COCO's format."""
    return bool(_files(root))


def read_coco_folder(root: Path) -> Found:
    """Read every file in COCO's format.

    Boxes that are marked as crowds or as ``ignore`` are ignored regions. A category that no box has and that another
    names as its super-category, as Roboflow's first, is no class.

    Raises:
        DistillationError: a file is not as it should be, or none of its pictures is found.
    """
    files = _files(root)
    raise_if_any(_left_aside(root, files))
    require_lists_read(root)
    contents, problems = {}, []
    for path in files:
        _refuse_labelme(path)
        contents[path], found = read_coco(path, measured=False)
        problems += found
    raise_if_any(problems)
    raise_if_any([_CORNERS.format(path=path) for path, content in contents.items() if _has_corners(content)])
    categories = _categories(list(contents.values()))
    used = {annotation['category_id'] for content in contents.values() for annotation in content['annotations']}
    groups = {number for number in categories.keys() - used if _is_group(number, categories)}
    in_order = sorted(categories, key=lambda number: (isinstance(number, str), number))  # a number or a text
    names = {number: categories[number]['name'] for number in in_order if number not in groups}
    notes = [f"'{categories[number]['name']}' groups the others and has no box: it is no class" for number in groups]
    splits: dict[str, list[Picture]] = {}
    for path, content in contents.items():
        splits.setdefault(_split_of(path), []).extend(_pictures(root, path, content, names))
    return Found(_by_folder(splits), list(dict.fromkeys(names.values())), notes, sources=list(contents))


def _by_folder(splits: dict[str, list[Picture]]) -> dict[str, list[Picture]]:
    """The splits after which the folders of all pictures are named, where one file of another name lists them."""
    if len(splits) != 1 or splits.keys() & {*SPLITS}:
        return splits
    (pictures,) = splits.values()
    named = [split_of_folders(Path(picture.file_name)) for picture in pictures]
    if 'train' not in named or None in named:
        return splits
    return {
        split: [picture for picture, its in zip(pictures, named, strict=True) if its == split]
        for split in dict.fromkeys(named)
        if split is not None
    }


def _files(root: Path) -> list[Path]:
    roboflow = visible(root, f'*/{_ROBOFLOW}')
    cocos = visible(root, f'annotations/instances_{_JSON}')  # beside its captions and its keypoints
    return roboflow or cocos or visible(root, f'annotations/{_JSON}') or list(filter(_may_be, visible(root, _JSON)))


def _left_aside(root: Path, read: Sequence[Path]) -> list[str]:
    """The problem of files in COCO's format that lie beside those that are read, such as val.json in the root."""
    beside = [path for path in visible(root, f'annotations/{_JSON}') if not path.name.startswith(_OTHER_TASKS)]
    aside = [path for path in beside if path not in read]
    aside += [path for path in visible(root, _JSON) if path not in read and _may_be(path)]
    return (
        [f'{read[0]} would be read and {aside[0]} not: name them alike in one folder, or move one away']
        if aside
        else []
    )


def _may_be(path: Path) -> bool:
    """Whether a file in the root may list annotations; Label Studio's notes.json beside YOLO's files does not."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return True  # read_coco says what it is
    return not isinstance(content, dict) or 'images' in content or 'shapes' in content


def _refuse_labelme(path: Path) -> None:
    """Labelme leaves a file of its own format beside each picture."""
    if not any(path.with_suffix(suffix).exists() for suffix in PICTURE_SUFFIXES):
        return
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return  # read_coco says what it is
    if isinstance(content, dict) and 'shapes' in content:
        raise DistillationError([f"{path} is labelme's: export the set in COCO's format or in VOC's"])


def _split_of(path: Path) -> str:
    return split_name(path.parent.name if path.name == _ROBOFLOW else path.stem)


def _categories(contents: list[dict]) -> dict[int | str, dict]:
    found: dict[int | str, dict] = {}
    for content in contents:
        for category in content['categories']:
            known = found.setdefault(category['id'], category)
            if known['name'] != category['name']:
                names = f"'{known['name']}' in one file and '{category['name']}' in another"
                raise DistillationError([f'category {category["id"]} is {names}: give both the same categories'])
    return found


def _has_corners(content: dict) -> bool:
    """Whether the boxes of a file are rather corners: as such all lie in their pictures, and as boxes many do not."""
    sizes = {image['id']: size for image in content['images'] if (size := _size_of(image))}
    boxes = [(each['bbox'], sizes[each['image_id']]) for each in content['annotations'] if each['image_id'] in sizes]
    if not all(x <= z and y <= w and not reaches_out((x, y, z, w), size) for (x, y, z, w), size in boxes):
        return False
    count = sum(reaches_out((x, y, x + z, y + w), size) for (x, y, z, w), size in boxes)
    return count > max(1, _FAULTY * len(boxes))


def _is_group(number: int | str, categories: dict[int | str, dict]) -> bool:
    """Whether another category names this one as its super-category."""
    name = categories[number]['name']
    return any(each.get('supercategory') == name for other, each in categories.items() if other != number)


def _pictures(root: Path, path: Path, content: dict, names: dict[int | str, str]) -> list[Picture]:
    folder = _folder_of(root, path, content)
    pictures = {}
    for image in content['images']:
        file = folder / image['file_name']
        pictures[image['id']] = Picture(file, Path(os.path.relpath(file, root)).as_posix(), size=_size_of(image))
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        box = Box(names[annotation['category_id']], (x, y, x + width, y + height), is_ignored(annotation))
        box.extra = {key: annotation[key] for key in ('area', 'segmentation') if annotation.get(key)}
        pictures[annotation['image_id']].boxes.append(box)
    return list(pictures.values())


def _size_of(image: dict) -> tuple[int, int] | None:
    """Width and height, if the file says both; the picture says them too."""
    return (image['width'], image['height']) if 'width' in image and 'height' in image else None


def _folder_of(root: Path, path: Path, content: dict) -> Path:
    """The folder that has the first picture of a file."""
    if not content['images']:
        return root
    stem = path.stem.removeprefix('instances_')
    candidates = [path.parent, root / stem, root / 'images' / stem, root / 'images', root, root / _split_of(path)]
    first = content['images'][0]['file_name']
    for folder in candidates:
        if (folder / first).exists():
            return folder
    looked = ', '.join(str(folder) for folder in dict.fromkeys(candidates))
    cure = 'write / for the \\ in its file names' if '\\' in first else 'put the pictures there'
    raise DistillationError([f'{path}: its first picture, {first}, is in none of {looked}: {cure}'])

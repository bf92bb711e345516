"""Data in COCO's format: COCO's own folders, or a JSON a split folder, as Roboflow exports it.

::

    root/annotations/{train,val}.json         or instances_train2017.json, or root/NAME.json
    root/{train,images,train2017}/NAME.jpg    wherever the pictures of a file are found

    root/{train,valid,test}/_annotations.coco.json    Roboflow's, beside the pictures
"""

from pathlib import Path

from ...errors import DistillationError, raise_if_any
from ..annotated import Box, Picture
from ..coco import read_coco
from .found import Found, split_name

_ROBOFLOW = '_annotations.coco.json'


def is_coco(root: Path) -> bool:
    """Whether a folder has files in COCO's format."""
    return bool(_files(root))


def read_coco_folder(root: Path) -> Found:
    """Read every file in COCO's format.

    A category that no box has and that is named as the super-category of others, as Roboflow's first, is no class.

    Raises:
        DistillationError: a file is not as it should be, or none of its pictures is found.
    """
    contents, problems = {}, []
    for path in _files(root):
        contents[path], found = read_coco(path)
        problems += found
    raise_if_any(problems)
    categories = _categories(list(contents.values()))
    used = {annotation['category_id'] for content in contents.values() for annotation in content['annotations']}
    parents = {category.get('supercategory') for category in categories.values()}
    groups = {number for number, each in categories.items() if number not in used and each['name'] in parents}
    names = {number: each['name'] for number, each in sorted(categories.items()) if number not in groups}
    notes = [f"'{categories[number]['name']}' groups the others and has no box: it is no class" for number in groups]
    splits = {}
    for path, content in contents.items():
        splits[_split_of(path)] = _pictures(root, path, content, names)
    return Found(splits, list(names.values()), notes)


def _files(root: Path) -> list[Path]:
    roboflow = sorted(root.glob(f'*/{_ROBOFLOW}'))
    return roboflow or sorted((root / 'annotations').glob('*.json')) or sorted(root.glob('*.json'))


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


def _pictures(root: Path, path: Path, content: dict, names: dict[int | str, str]) -> list[Picture]:
    folder = _folder_of(root, path, content)
    pictures = {}
    for image in content['images']:
        file = folder / image['file_name']
        size = (image['width'], image['height'])
        pictures[image['id']] = Picture(file, file.relative_to(root).as_posix(), size=size)
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        box = Box(names[annotation['category_id']], (x, y, x + width, y + height), bool(annotation.get('iscrowd')))
        box.extra = {key: annotation[key] for key in ('area', 'segmentation') if annotation.get(key)}
        pictures[annotation['image_id']].boxes.append(box)
    return list(pictures.values())


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
    raise DistillationError([f'{path}: its first picture, {first}, is in none of {looked}: put the pictures there'])

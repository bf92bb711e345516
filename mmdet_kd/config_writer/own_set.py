"""Your own set as a config needs to know it: its files, its classes, and which split is for what."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..datasets.coco import read_coco
from ..datasets.own import convert_own, require_apart
from ..errors import DistillationError, raise_if_any

#: Below the root of a set, where its files in COCO's format lie.
FOLDER = 'coco'


class Splits(NamedTuple):
    """The splits to train on, to validate on, and to test on."""

    train: str
    val: str
    test: str


class OwnSet(NamedTuple):
    """A set in COCO's format, whose pictures are named from its root.

    Args:
        root: of the set, as it was named.
        classes: names, in the order of the labels.
        splits: which is for what; their files are ``root/coco/<split>.json``.
        has_masks: whether every object has one.
        said: what was found, in words.
    """

    root: str
    classes: tuple[str, ...]
    splits: Splits
    has_masks: bool
    said: str


def read_own_set(root: str) -> OwnSet:
    """Read a set in any layout of :mod:`mmdet_kd.datasets.own`, which is converted if that was not yet done.

    Raises:
        DistillationError: there is no such set, something is wrong with it, or its splits do not say what to train on.
    """
    folder = Path(root).expanduser() / FOLDER
    if list(folder.glob('*.json')):
        said = f'{folder} is there already, and used as it is. To convert anew, remove it'
    else:
        said = convert_own(Path(root).expanduser()).said
    files = sorted(folder.glob('*.json'))
    contents, problems = {}, []
    for path in files:
        contents[path.stem], found = read_coco(path)
        problems += found
    raise_if_any(problems)
    splits = choose_splits(contents.keys(), root)
    used = {split: contents[split] for split in dict.fromkeys(splits)}
    names = {split: [image['file_name'] for image in content['images']] for split, content in used.items()}
    require_apart(names, folder.parent)
    classes = {split: tuple(category['name'] for category in content['categories']) for split, content in used.items()}
    problems = [
        f'{folder}/{split}.json has the classes {", ".join(names)}, and {splits.train}.json '
        f'{", ".join(classes[splits.train])}: remove {folder}, and the set is converted anew'
        for split, names in classes.items()
        if names != classes[splits.train]
    ]
    for split, content in used.items():
        if not content['images'] or not content['annotations']:
            problems.append(f'{folder}/{split}.json has no picture, or no object: put some into the split {split!r}')
        elif not (folder.parent / content['images'][0]['file_name']).is_file():
            problems.append(
                f'{folder}/{split}.json: its first picture {content["images"][0]["file_name"]} is not in '
                f'{folder.parent}, from which pictures are named. If own.py wrote {folder}, remove it, and the set is '
                f'converted anew; if you did, call it {folder.with_name("annotations")}'
            )
    raise_if_any(problems)
    counts = ', '.join(f'{len(content["images"])} pictures in {split}' for split, content in used.items())
    said += f'\nclasses: {", ".join(classes[splits.train])}; {counts}'
    has_masks = all(_has_mask(annotation) for content in used.values() for annotation in content['annotations'])
    return OwnSet(root, classes[splits.train], splits, has_masks, said)


def _has_mask(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation has run lengths or a polygon of three corners; mmdet ignores an object without."""
    mask = annotation.get('segmentation')
    if isinstance(mask, list):
        return any(isinstance(each, list) and len(each) >= 6 and len(each) % 2 == 0 for each in mask)
    return bool(mask)


def choose_splits(names: Collection[str], root: str = '') -> Splits:
    """Which splits are for what.

    Raises:
        DistillationError: there is none to train on, or none to validate on that is apart from it.
    """
    train = next((name for name in ('train', 'trainval') if name in names), None)
    held_out = [name for name in ('val', 'test') if name in names and not (train == 'trainval' and name == 'val')]
    if train is None or not held_out:
        raise DistillationError(
            [
                f'--data {root}: of its splits, {", ".join(sorted(names))}, none is to train on and another to '
                f'validate on: name them train and val, and remove {Path(root) / FOLDER}'
            ]
        )
    return Splits(train, held_out[0], held_out[-1])

"""The files in COCO's format that a config names for a split, and the pictures that they list."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..datasets.coco import read_coco
from .data_files import annotation_file, leaf_configs


class SplitFile(NamedTuple):
    """A file in COCO's format, the config of the data set that names it, and the folder of its pictures."""

    dataset: Mapping[str, Any]
    folder: Path
    content: Mapping[str, Any]

    @property
    def pictures(self) -> list[Path]:
        """The files of the pictures that it lists."""
        return [self.folder / image['file_name'] for image in self.content['images']]


def split_files(cfg: Config, split: str, having: Collection[Path] | None = None) -> list[SplitFile]:
    """The files of a split.

    Args:
        cfg: of a training.
        split: 'train' or 'val'.
        having: pictures. Of a folder that has none of them the file is left out unread: COCO's takes seconds.

    Returns:
        Each once; no file at all where one that was read is not in COCO's format, or one is used in part.
    """
    leaves = leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {})
    sets = {(annotation_file(leaf), _folder(leaf)): leaf for leaf in leaves}
    above = None if having is None else _folders_above(having)
    files = []
    for (path, folder), dataset in sets.items():
        if path is None or dataset.get('indices') is not None:
            return []
        if above is not None and not {folder, folder.resolve()} & above:
            continue
        content, problems = read_coco(path, labelled=False)
        if problems:
            return []
        files.append(SplitFile(dataset, folder.resolve(), content))
    return files


def _folders_above(pictures: Collection[Path]) -> set[Path]:
    return {folder for path in pictures for each in (path, path.resolve()) for folder in each.parents}


def seen_in_training(cfg: Config, pictures: Collection[str | Path]) -> set[Path]:
    """Those of some pictures that the training set of a config has; none where that cannot be told.

    Pictures are the same where they are the same file, also through a linked folder. A copy in another folder is not
    found, nor one that the training reaches by a link of its own.

    Args:
        cfg: of a training.
        pictures: their files.
    """
    wanted = {path: path.resolve() for path in map(Path.absolute, map(Path, pictures))}
    names = {path.name for pair in wanted.items() for path in pair}
    listed = {
        path.resolve()
        for file in split_files(cfg, 'train', having=wanted)
        for path in file.pictures
        if path.name in names
    }
    return {path for path, file in wanted.items() if file in listed}


def _folder(dataset: Mapping[str, Any]) -> Path:
    """Where a ``CocoDataset`` looks for its pictures."""
    return Path(dataset.get('data_root') or '', (dataset.get('data_prefix') or {}).get('img') or '').absolute()

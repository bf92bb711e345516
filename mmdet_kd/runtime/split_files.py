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
        """Their files."""
        return [self.folder / image['file_name'] for image in self.content['images']]


def split_files(cfg: Config, split: str, of: Collection[Path] | None = None) -> list[SplitFile]:
    """The files of a split.

    Args:
        cfg: of a training.
        split: 'train' or 'val'.
        of: pictures; files whose folders have none of them are left out unread, since that of COCO takes seconds.

    Returns:
        Each once; no file at all where one is not in COCO's format, does not open, or is used in part.
    """
    leaves = leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {})
    sets = {(annotation_file(leaf), _folder(leaf)): leaf for leaf in leaves}
    above = (
        None if of is None else {folder for path in of for each in (path, path.resolve()) for folder in each.parents}
    )
    files = []
    for (path, folder), dataset in sets.items():
        if path is None or dataset.get('indices') is not None:
            return []
        if above is not None and not above & {folder, folder.resolve()}:
            continue
        content, problems = read_coco(path, labelled=False)
        if problems:
            return []
        files.append(SplitFile(dataset, folder.resolve(), content))
    return files


def seen_in_training(cfg: Config, pictures: Collection[str | Path]) -> set[Path]:
    """Those of some pictures that the training set of a config has; none where that cannot be told.

    Pictures are the same where they are the same file. A copy of one in another folder is not found.

    Args:
        cfg: of a training.
        pictures: their files.
    """
    wanted = {Path(each).absolute() for each in pictures}
    names = {path.name for path in wanted} | {path.resolve().name for path in wanted}
    listed = {
        path.resolve() for file in split_files(cfg, 'train', of=wanted) for path in file.pictures if path.name in names
    }
    return {path for path in wanted if path.resolve() in listed}


def _folder(dataset: Mapping[str, Any]) -> Path:
    """Where a ``CocoDataset`` looks for its pictures."""
    return Path(dataset.get('data_root') or '', (dataset.get('data_prefix') or {}).get('img') or '').absolute()

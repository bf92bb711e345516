"""Every picture of the data is there, whole, and the one that was annotated."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from logging import Logger
from pathlib import Path
from typing import Any, NamedTuple

from mmcv.transforms import LoadImageFromFile

from ..datasets.annotated import other_size, raise_all
from ..datasets.picture_files import picture_sizes
from ..errors import raise_if_any


class _Loading(NamedTuple):
    """Whether a pipeline obeys a JPEG's EXIF orientation, and whether it loads 8 bits a channel, as far as is known."""

    turn: bool
    eight_bits: bool


def check_pictures(datasets: Sequence[Any], report: Path, logger: Logger) -> None:
    """Read the header of every picture of the data sets that is a local file.

    Args:
        datasets: built, without wrappers.
        report: where the whole list of problems goes, if it is a long one.
        logger: told how long it took.

    Raises:
        DistillationError: folders of pictures are missing; or pictures are missing, broken, or of another size than
            their annotations say.
    """
    annotated_sizes = _annotated_sizes(datasets)
    raise_if_any(_missing_folders([path for annotated in annotated_sizes.values() for path in annotated]))
    start, count, problems = time.perf_counter(), 0, []
    for loading, annotated in annotated_sizes.items():
        count += len(annotated)
        for (path, size), found in zip(annotated.items(), picture_sizes(annotated, *loading), strict=True):
            if isinstance(found, str):
                problems.append(found)
            elif found != size:
                problems.append(other_size(path, found, size))
    raise_all(problems, report)
    seconds = time.perf_counter() - start
    logger.info(f'{count} pictures are as annotated ({seconds:.1f} s; check_pictures = False in the config omits this)')


def _missing_folders(paths: Sequence[str]) -> list[str]:
    """The folders that are missing, the outermost ones: once, not once for each picture that should be in them."""
    pictures = Counter(Path(path).absolute().parent for path in paths)
    missing: Counter[Path] = Counter()
    for folder, count in pictures.items():
        outermost = next((each for each in reversed([folder, *folder.parents]) if not each.is_dir()), None)
        if outermost is not None:
            missing[outermost] += count
    return [
        f'there is no folder {folder}, and {count} annotated pictures should be in it: put them there, or correct '
        'data_root and data_prefix of the data set'
        for folder, count in missing.items()
    ]


def _annotated_sizes(datasets: Sequence[Any]) -> dict[_Loading, dict[str, tuple[int, int]]]:
    """Annotated width and height of each local picture, by how the pictures are loaded."""
    annotated: dict[_Loading, dict[str, tuple[int, int]]] = {}
    for dataset in datasets:
        sizes = annotated.setdefault(_loading(dataset), {})
        for info in _local_annotations(dataset):
            path, height, width = (info.get(key) for key in ('img_path', 'height', 'width'))
            if isinstance(path, str) and '://' not in path and height and width:
                sizes[path] = (width, height)
    return annotated


def _local_annotations(dataset: Any) -> Iterator[dict]:
    if getattr(dataset, 'backend_args', None) or not hasattr(dataset, 'get_data_info'):
        return
    for index in range(len(dataset)):
        yield dataset.get_data_info(index)


def _loading(dataset: Any) -> _Loading:
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    loaders = [step for step in steps if hasattr(step, 'color_type')]
    turn = not any('ignore_orientation' in step.color_type or step.color_type == 'unchanged' for step in loaders)
    return _Loading(turn, bool(loaders) and all(map(_loads_eight_bits, loaders)))


def _loads_eight_bits(step: Any) -> bool:
    # Loaders of your own, and other backends, may scale what they read.
    as_known = type(step) is LoadImageFromFile and step.imdecode_backend == 'cv2'
    return as_known and step.color_type.startswith(('color', 'grayscale'))

"""What is wrong in the annotation files that a config names, found before mmdet reads them.

mmdet trains on a box that is infinite, reaches out of its picture or, in XML, has no area. It takes the last of two
images with one id, and passes over what is of an unknown image or category. All this is refused, as the converters
refuse it. What mmdet leaves out by itself, and may leave out, is counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmdet.datasets import CocoDataset, XMLDataset
from mmdet.evaluation import CocoMetric
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.registry import Registry

from ..class_names import classes_of_dataset
from ..datasets.annotated import Box, reaches_out, repeated
from ..datasets.coco import judge_boxes, not_objects, read_coco
from ..datasets.data_files import MOST_LIST, read_json, require_regular
from ..datasets.picture_files import picture_size
from ..datasets.voc_xml import read_xml
from .data_files import annotation_file, leaf_configs, truth_files

Judgement = tuple[list[str], Counter[str]]  # what is wrong, one sentence each; kind -> number of boxes left out

_NO_AREA = 'has no area'
_UNMATCHED = 'have no area, and no detection can match them: the score cannot be perfect'


def annotation_problems(cfg: Config, splits: Sequence[str]) -> tuple[list[str], list[str]]:
    """Read the local annotation files of the data sets and of the metrics of some splits.

    A file in COCO's format is parsed once, however many data sets and metrics name it. Boxes are judged where mmdet's
    own ``CocoDataset``, ``XMLDataset`` or ``CocoMetric`` reads them. A subclass with a reader of its own has rules of
    its own: of its file only what is no JSON is found.

    Args:
        cfg: of the run; its classes are well-formed.
        splits: of `train`, `val` and `test`.

    Returns:
        What is wrong, by file and id; and what mmdet does not count as objects, one line a file.
    """
    # The arguments of each judge, without repetitions.
    tasks = dict.fromkeys(task for split in splits for task in _tasks(cfg, split))
    problems, lines = [], []
    for judge, path, *rest in tasks:
        if judge is _judge_json and any(task[:2] == (_judge_coco, path) for task in tasks):
            continue
        found, left_out = judge(path, *rest)
        problems += found
        unmatched = left_out.pop(_UNMATCHED, 0)
        if unmatched:
            lines.append(f'{path.absolute()}: {unmatched} boxes {_UNMATCHED}')
        if left_out:
            lines.append(f'{path.absolute()}: {not_objects(left_out)}')
    return list(dict.fromkeys(problems)), lines


def _tasks(cfg: Config, split: str) -> Iterator[tuple]:
    """A judge and its arguments for each file of a split."""
    for dataset in leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}):
        path, kind = annotation_file(dataset), _class_of(dataset, DATASETS)
        if path is None:
            continue
        if _reads_as(kind, CocoDataset):
            yield _judge_coco, path, split != 'test'
        elif _reads_as(kind, XMLDataset):
            folder = Path(dataset.get('data_root') or '', (dataset.get('data_prefix') or {}).get('sub_data_root', ''))
            annotations = folder / dataset.get('ann_subdir', 'Annotations')
            pictures = folder / dataset.get('img_subdir', 'JPEGImages')
            classes = classes_of_dataset(dataset, f'{split}_dataloader.dataset.metainfo') or ()
            named = bool((dataset.get('metainfo') or {}).get('classes'))
            trains = not dataset.get('test_mode')
            least = (dataset.get('filter_cfg') or {}).get('bbox_min_size') if trains else None
            yield _judge_xml, path, annotations, pictures, classes, named, trains, least
        elif path.suffix == '.json':
            yield _judge_json, path
    for metric, path in truth_files(cfg.get(f'{split}_evaluator')):
        if _class_of(metric, METRICS) is CocoMetric:
            yield _judge_coco, path, split != 'test'
        else:
            yield _judge_json, path


def _class_of(cfg: dict, registry: Registry) -> type:
    kind = cfg.get('type')
    kind = registry.get(kind) if isinstance(kind, str) else kind
    return kind if isinstance(kind, type) else object


def _reads_as(kind: type, base: type) -> bool:
    """Whether a data set reads its files by the methods of a base."""
    return issubclass(kind, base) and (
        (kind.load_data_list, kind.parse_data_info) == (base.load_data_list, base.parse_data_info)
    )


def _judge_coco(path: Path, labelled: bool) -> Judgement:
    content, problems = read_coco(path, labelled)
    if problems:
        return problems, Counter()
    problems, left_out = judge_boxes(content)
    return [f'{path.absolute()}: {problem}' for problem in problems], left_out


def _judge_json(path: Path) -> Judgement:
    try:
        read_json(path)
    except OSError as error:
        return [f'the annotation file {path.absolute()} cannot be read ({error}): put a whole file there'], Counter()
    except ValueError as error:
        return [f'the annotation file {path.absolute()} is truncated or no JSON ({error}): copy it again'], Counter()
    return [], Counter()


def _judge_xml(
    path: Path,
    annotations: Path,
    pictures: Path,
    classes: tuple[str, ...],
    named: bool,
    trains: bool,
    least: float | None,
) -> Judgement:
    """Judge the XML files of a list.

    Args:
        path: of the list, one name a line.
        annotations: the folder of the XML files.
        pictures: the folder of the pictures; mmdet opens one whose size its annotation does not say.
        classes: of the data set.
        named: whether the config names these classes. It may leave some out then; otherwise an object of another class
            is a mistake.
        trains: whether it is trained on. mmdet has no `bbox_min_size` for another set; a box without area is counted.
        least: the `bbox_min_size` of the data set, in pixels; what is smaller is neither an object nor background.
    """
    try:
        require_regular(path, MOST_LIST)
        with path.open() as lines:
            names = [line.rstrip('\n\r') for line in lines]
    except (OSError, ValueError) as error:
        return [f'the list {path.absolute()} cannot be read ({error}): copy it again'], Counter()
    folders = (('annotations', 'ann_subdir', annotations), ('pictures', 'img_subdir', pictures))
    missing = [
        f'there is no folder {folder.absolute()} of the {kind} that {path.absolute()} lists: put them there, or '
        f'correct sub_data_root or {key} of the data set'
        for kind, key, folder in folders
        if not folder.is_dir()
    ]
    if names and missing:
        return missing, Counter()
    twice = [repr(name) for name in repeated(names)]
    problems = [f'the list {path.absolute()} names {", ".join(twice[:10])} twice: correct it'] if twice else []
    left_out: Counter[str] = Counter()
    for name in dict.fromkeys(names):
        xml = annotations / f'{name}.xml'
        boxes, size, found = read_xml(xml)
        if not found and size is None:
            try:
                size = picture_size(pictures / f'{name}.jpg')
            except ValueError as error:
                found = [str(error)]
        problems += found
        for number, box in enumerate([] if found else boxes, start=1):
            if box.category not in classes and named:
                left_out['of classes that the config does not name'] += 1
            elif not trains and _is_small(box, 1) and _fault_in_xml(box, size, classes, 1) is None:
                left_out[_UNMATCHED] += not box.ignore
            elif fault := _fault_in_xml(box, size, classes, least):
                or_else = ', or leave it out with filter_cfg=dict(bbox_min_size=1)' if fault.endswith(_NO_AREA) else ''
                problems.append(f'{xml}, object {number}: {fault}: correct it{or_else}')
            elif box.ignore:
                left_out['marked "difficult"'] += 1
            elif _is_small(box, least):
                left_out[f'smaller than bbox_min_size={least}'] += 1
    return problems, left_out


def _fault_in_xml(box: Box, size: tuple[int, int], classes: tuple[str, ...], least: float | None = None) -> str | None:
    """What is wrong with a box whose corners stand as in the file: pixels from 1, the last one included.

    Source: ``mmdet.datasets.XMLDataset`` takes 1 from each corner as a whole number, so a box of one pixel has no area.
    Where it is difficult, or smaller than `bbox_min_size`, nothing is trained on it.
    """
    x1, y1, x2, y2 = map(int, box.corners)
    shortest = 0 if box.ignore or _is_small(box, least) else 1
    if box.category not in classes:
        return f'{box.category!r} is no class of the set'
    if x2 - x1 < shortest or y2 - y1 < shortest:
        return f'its box {x1, y1, x2, y2} {_NO_AREA}'
    if reaches_out((x1 - 1, y1 - 1, x2, y2), size):
        return f'its box {x1, y1, x2, y2} reaches out of the picture, which is {size[0]}x{size[1]}'
    return None


def _is_small(box: Box, least: float | None) -> bool:
    x1, y1, x2, y2 = map(int, box.corners)
    return least is not None and min(x2 - x1, y2 - y1) < least

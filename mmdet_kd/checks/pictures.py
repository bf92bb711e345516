"""The pictures that teachers are tested on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmdet.structures.bbox import get_box_tensor
from mmengine.runner import Runner

from ..runtime.data_files import leaf_datasets


@dataclass(frozen=True)
class Pictures:
    """Pictures with their true objects.

    Args:
        items: as the pipeline of a data set packs them; what a detector finds in them, brought to the size
            ``ori_shape``, is to be compared with ``truths``.
        truths: of each picture the objects, as mmdet's ``CocoMetric`` takes them: ``bbox`` (xyxy, pixels),
            ``bbox_label`` and ``ignore_flag``.
        names: of the classes, in the order of the labels.
        split: 'validation' or 'training'.
    """

    items: Sequence[dict[str, Any]]
    truths: Sequence[list[dict[str, Any]]]
    names: tuple[str, ...]
    split: str

    def __len__(self) -> int:
        return len(self.items)

    def some(self) -> 'Pictures':
        """Every third of them."""
        return Pictures(self.items[::3], self.truths[::3], self.names, self.split)


def validation_pictures(runner: Runner, count: int) -> Pictures:
    """Pictures of the validation set that have objects, evenly spread.

    Args:
        runner: of the training, its data sets built.
        count: of pictures; fewer if the set has fewer.
    """
    dataset, *_ = leaf_datasets(runner.val_loop.dataloader.dataset)
    truths = [dataset.get_data_info(index)['instances'] for index in range(len(dataset))]
    chosen = spread([index for index, objects in enumerate(truths) if objects], count)
    items = [dataset[index] for index in chosen]
    return Pictures(items, [truths[index] for index in chosen], _names(dataset), 'validation')


def training_pictures(runner: Runner, count: int) -> Pictures:
    """Pictures of the training set as its pipeline loads them, evenly spread; see :func:`validation_pictures`."""
    dataset = runner.train_loop.dataloader.dataset
    items = [dataset[index] for index in spread(range(len(dataset)), count)]
    return Pictures(items, [_packed_truth(item['data_samples']) for item in items], _names(dataset), 'training')


def spread(indices: Sequence[int], count: int) -> list[int]:
    """So many of the indices, evenly spread."""
    count = min(count, len(indices))
    return [indices[place * len(indices) // count] for place in range(count)]


def _names(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.metainfo['classes'])


def _packed_truth(sample: Any) -> list[dict[str, Any]]:
    """The objects of a training picture, in its own pixels: detections are to be left at this size, too."""
    sample.set_metainfo(dict(ori_shape=sample.img_shape, scale_factor=(1.0, 1.0)))
    return [
        dict(bbox=box, bbox_label=label, ignore_flag=int(ignored))
        for ignored, instances in ((False, sample.gt_instances), (True, sample.ignored_instances))
        for box, label in zip(get_box_tensor(instances.bboxes).tolist(), instances.labels.tolist(), strict=True)
    ]

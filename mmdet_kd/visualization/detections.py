"""Detections of several models side by side."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import nn

TRUTH = 'truth'
_SHOWN = 0.5  # score from which on a detection is drawn


def draw_detections(
    models: Mapping[str, nn.Module], dataset: Any, indices: Sequence[int], path: str | Path, zoom: int = 2
) -> None:
    """Draw a row for each image: the truth first, then what each model detects.

    Args:
        models: title -> detector.
        dataset: a data set of mmdet, as for testing.
        indices: of the images in it.
        path: of the PNG.
        zoom: how many times as large as its image a picture is.
    """
    titles = [TRUTH, *models]
    figure = Figure(figsize=(3 * len(titles), 3 * len(indices)), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(indices), len(titles), squeeze=False)
    for row, index in zip(grid, indices, strict=True):
        item = dataset[index]
        image = item['data_samples'].img_path
        for axes, title in zip(row, titles, strict=True):
            with torch.inference_mode():
                sample = item['data_samples'] if title == TRUTH else models[title].test_step(pseudo_collate([item]))[0]
            instances = sample.gt_instances if title == TRUTH else sample.pred_instances
            axes.imshow(picture_with(instances, image, dataset.metainfo, zoom))
            axes.set_axis_off()
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    figure.savefig(path, dpi=110)


def picture_with(
    instances: InstanceData, image: str | Path, metainfo: Mapping[str, Any], zoom: float, least: float = _SHOWN
) -> np.ndarray:
    """A picture with boxes and the names of their classes; (H, W, 3), RGB.

    Args:
        instances: `bboxes` (xyxy, pixels of the image) and `labels`; with `scores`, detections.
        image: path of its file.
        metainfo: of the data set: names and colours of its classes.
        zoom: how many times as large as the image the picture is.
        least: score from which on a detection is drawn, in [0, 1].
    """
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name='detections', line_width=2))
    visualizer.dataset_meta = metainfo
    picture = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    picture = cv2.resize(
        picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST if zoom > 1 else cv2.INTER_AREA
    )
    boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
    shown = InstanceData(bboxes=boxes.detach().cpu() * zoom, labels=instances.labels.cpu())
    found = 'scores' in instances
    if found:
        shown.scores = instances.scores.detach().cpu()
    sample = DetDataSample(**{'pred_instances' if found else 'gt_instances': shown})
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*out of bounds')  # a box along the border of the image
        visualizer.add_datasample('', picture, sample, draw_gt=not found, draw_pred=found, pred_score_thr=least)
    return visualizer.get_image()

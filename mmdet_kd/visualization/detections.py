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
from mmengine.dataset import pseudo_collate
from torch import nn

TRUTH = 'truth'


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
    visualizer = VISUALIZERS.build(dict(type='DetLocalVisualizer', name='detections', line_width=2))
    visualizer.dataset_meta = dataset.metainfo
    titles = [TRUTH, *models]
    figure = Figure(figsize=(3 * len(titles), 3 * len(indices)), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(indices), len(titles), squeeze=False)
    for row, index in zip(grid, indices, strict=True):
        item = dataset[index]
        picture = cv2.cvtColor(cv2.imread(item['data_samples'].img_path), cv2.COLOR_BGR2RGB)
        picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
        for axes, title in zip(row, titles, strict=True):
            with torch.inference_mode():
                sample = item['data_samples'] if title == TRUTH else models[title].test_step(pseudo_collate([item]))[0]
            axes.imshow(_with_boxes(visualizer, picture, sample.clone().cpu(), zoom, truth=title == TRUTH))
            axes.set_axis_off()
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    figure.savefig(path, dpi=110)


def _with_boxes(visualizer: Any, picture: np.ndarray, sample: Any, zoom: int, truth: bool) -> np.ndarray:
    """Draw a sample's boxes on a picture (H, W, 3), RGB, that is ``zoom`` times as large as its image."""
    instances = sample.gt_instances if truth else sample.pred_instances
    instances.bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes) * zoom
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*out of bounds')  # a box along the border of the image
        visualizer.add_datasample('', picture, sample, draw_gt=truth, draw_pred=not truth, pred_score_thr=0.5)
    return visualizer.get_image()


def picture_with_boxes(
    image: str | Path, boxes: Mapping[tuple[int, int, int], np.ndarray], side: int = 320
) -> np.ndarray:
    """A picture with plain boxes in it, without words, which in a small picture hide what they are about.

    Args:
        image: path of its file.
        boxes: colour (RGB, 0 to 255) -> boxes (N, 4), xyxy in pixels of the image; later ones lie over earlier ones.
        side: pixels of the longer side of the picture that comes out.

    Returns:
        (H, W, 3), RGB.
    """
    picture = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    zoom = side / max(picture.shape[:2])
    kind = cv2.INTER_NEAREST if zoom > 1 else cv2.INTER_AREA
    picture = np.ascontiguousarray(cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=kind))
    for colour, of_colour in boxes.items():
        for left, top, right, bottom in np.rint(np.asarray(of_colour).reshape(-1, 4) * zoom).astype(int).tolist():
            cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
    return picture

"""A seeded detection set of shapes, drawn to disk in COCO format.

The classes resemble each other in pairs, lie on uneven grounds among strokes and blobs of no class, hide each other in
part and are small at times: easy to draw, and not easy for a small detector. Each image is a function of
(seed, split, index) and the way of drawing alone, so a larger set begins with the images of a smaller one.

On disk, for mmdet's own ``CocoDataset`` with ``metainfo=dict(classes=SHAPES)``::

    root/images/{train,val}/000000.png ...
    root/annotations/{train,val}.json
    root/shapes.json                      the parameters; its presence says that the set is whole

Coordinates are in pixels, x to the right and y down, with (0, 0) the outer corner of the first pixel.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

SHAPES = ('circle', 'ellipse', 'square', 'rectangle', 'triangle', 'star')
SPLITS = ('train', 'val')

_MANIFEST = 'shapes.json'
_VERSION = 1  # of the drawing: raise it when the same parameters would give other pixels
_SUPERSAMPLING = 4  # of the masks, per axis, for smooth edges
_MAX_HIDDEN = 0.4  # of a shape's area: what lies deeper under others is not placed
_CORNERS = {'triangle': 3, 'square': 4, 'rectangle': 4}


@dataclass(frozen=True)
class ShapesSpec:
    """What to draw.

    Args:
        num_train: images of the training split.
        num_val: images of the validation split.
        image_size: side of the square images, pixels.
        max_shapes: most shapes in an image; each has one at least.
        min_diameter: smallest diameter of a shape, pixels.
        max_diameter: largest diameter of a shape, pixels.
        max_clutter: most strokes and blobs of no class in an image.
        seed: of the whole set.
    """

    num_train: int = 2000
    num_val: int = 300
    image_size: int = 160
    max_shapes: int = 9
    min_diameter: float = 20.0
    max_diameter: float = 72.0
    max_clutter: int = 6
    seed: int = 0

    def num_images(self, split: str) -> int:
        """Images of a split."""
        return {'train': self.num_train, 'val': self.num_val}[split]


class Shape(NamedTuple):
    """One drawn object: its class, an index into ``SHAPES``, and its outline (n, 2), which may leave the image."""

    label: int
    outline: np.ndarray


def draw_image(spec: ShapesSpec, split: str, index: int) -> tuple[np.ndarray, list[Shape]]:
    """Draw one image of the set.

    Args:
        spec: the set.
        split: one of ``SPLITS``.
        index: of the image in its split, from 0.

    Returns: the image (image_size, image_size, 3), uint8, BGR; and its shapes, the lowest first.
    """
    rng = np.random.default_rng([spec.seed, SPLITS.index(split), index])
    canvas = _ground(rng, spec.image_size)
    for _ in range(rng.integers(spec.max_clutter + 1)):
        _draw_clutter(canvas, rng)
    shapes: list[Shape] = []
    visible: list[np.ndarray] = []
    for _ in range(rng.integers(1, spec.max_shapes + 1)):
        shape = _random_shape(spec, rng)
        window = _window(shape.outline, spec.image_size)
        paint = _paint(rng, shape.outline, window)
        mask = np.zeros(canvas.shape[:2], np.float32)
        mask[window] = _mask(shape.outline, window)
        if _hides_too_much(mask, visible):
            continue
        visible = [np.minimum(other, 1 - mask) for other in visible] + [mask]
        shapes.append(shape)
        canvas[window] += mask[window][..., None] * (paint - canvas[window])
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.9))
    canvas += rng.normal(0, rng.uniform(0, 5), canvas.shape)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), shapes


def draw_shapes(root: str | Path, spec: ShapesSpec, progress: Callable[[int, int], None] | None = None) -> Path:
    """Draw the set to disk, or find it there.

    It is drawn beside ``root`` and renamed when whole, so an interrupted drawing leaves no set that looks finished.
    A set of other parameters, or one that lacks files, is replaced.

    Args:
        root: the folder of the set.
        spec: what to draw.
        progress: called with (images done, images in all) while drawing.

    Returns: root.

    Raises: FileExistsError: the folder holds something that is not a drawn set.
    """
    root = Path(root).absolute()
    if is_drawn(root, spec):
        return root
    if root.exists() and any(root.iterdir()) and not (root / _MANIFEST).is_file():
        raise FileExistsError(f'{root} is not empty and not a set of shapes. Move it away or name another folder.')
    draft = root.with_name(f'.{root.name}.draft')
    shutil.rmtree(draft, ignore_errors=True)
    done, total = 0, spec.num_train + spec.num_val
    for split in SPLITS:
        (draft / 'images' / split).mkdir(parents=True)
        images, annotations = [], []
        for index in range(spec.num_images(split)):
            image, shapes = draw_image(spec, split, index)
            name = f'{index:06d}.png'
            if not cv2.imwrite(str(draft / 'images' / split / name), image):
                raise OSError(f'cannot write {draft / "images" / split / name}')
            images.append(dict(id=index, file_name=name, height=spec.image_size, width=spec.image_size))
            annotations += [_annotation(shape, index, spec.image_size) for shape in shapes]
            done += 1
            if progress:
                progress(done, total)
        _write_coco(draft / 'annotations' / f'{split}.json', images, annotations)
    (draft / _MANIFEST).write_text(json.dumps(_parameters(spec), indent=2) + '\n')
    if root.exists():
        shutil.rmtree(root)
    os.replace(draft, root)
    return root


def is_drawn(root: str | Path, spec: ShapesSpec) -> bool:
    """Whether a whole set of exactly these parameters lies in a folder."""
    root = Path(root)
    try:
        parameters = json.loads((root / _MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return parameters == _parameters(spec) and all(
        (root / 'annotations' / f'{split}.json').is_file()
        and sum(1 for _ in (root / 'images' / split).glob('*.png')) == spec.num_images(split)
        for split in SPLITS
    )


def _parameters(spec: ShapesSpec) -> dict:
    return dict(version=_VERSION, classes=list(SHAPES), **asdict(spec))


def _write_coco(path: Path, images: list[dict], annotations: list[dict]) -> None:
    for number, annotation in enumerate(annotations, start=1):  # COCO's evaluation takes an id 0 for no match
        annotation['id'] = number
    categories = [dict(id=number, name=name) for number, name in enumerate(SHAPES, start=1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))


def _annotation(shape: Shape, image_id: int, image_size: int) -> dict:
    """COCO's entry: the whole shape as far as it lies in the image, hidden parts included."""
    outline = _clip(shape.outline, image_size).round(2)
    (x1, y1), (x2, y2) = outline.min(0).tolist(), outline.max(0).tolist()
    return dict(
        image_id=image_id,
        category_id=shape.label + 1,
        bbox=[round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
        area=float(_area(outline)),
        segmentation=[outline.reshape(-1).tolist()],
        iscrowd=0,
    )


def _clip(outline: np.ndarray, size: int) -> np.ndarray:
    """The part of a polygon (n, 2) that lies in the image, side by side of the image (Sutherland and Hodgman)."""
    for axis, bound, sign in ((0, 0, 1), (0, size, -1), (1, 0, 1), (1, size, -1)):
        inside = sign * (outline[:, axis] - bound) >= 0
        kept = []
        for here, there, is_in, goes_in in zip(
            outline, np.roll(outline, -1, 0), inside, np.roll(inside, -1), strict=True
        ):
            if is_in:
                kept.append(here)
            if is_in != goes_in:
                kept.append(here + (bound - here[axis]) / (there[axis] - here[axis]) * (there - here))
        outline = np.array(kept)
    return outline


def _area(outline: np.ndarray) -> float:
    """Area of a simple polygon (n, 2), by the shoelace formula."""
    x, y = outline.T
    return round(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2, 2)


def _random_shape(spec: ShapesSpec, rng: np.random.Generator) -> Shape:
    label = int(rng.integers(len(SHAPES)))
    outline = _unit_outline(SHAPES[label], rng)
    diameter = np.exp(rng.uniform(np.log(spec.min_diameter), np.log(spec.max_diameter)))
    inset = 0.3 * diameter  # more than half of the shape stays in the image
    centre = rng.uniform(inset, spec.image_size - inset, 2)
    return Shape(label, _turn(outline, rng.uniform(0, 2 * np.pi)) * diameter / 2 + centre)


def _unit_outline(name: str, rng: np.random.Generator) -> np.ndarray:
    """Outline (n, 2) of a shape within the unit circle, not yet turned."""
    if name in ('circle', 'ellipse'):
        outline = _turning_points(40)
    elif name == 'star':
        outline = _turning_points(10)
        outline[1::2] *= rng.uniform(0.4, 0.6)
    else:
        outline = _turn(_turning_points(_CORNERS[name]), np.pi / _CORNERS[name])  # a side faces each axis
    narrow = name in ('ellipse', 'rectangle')
    outline[:, 1] *= rng.uniform(0.45, 0.75) if narrow else rng.uniform(0.9, 1.0)
    return outline


def _turning_points(count: int) -> np.ndarray:
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _turn(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _window(outline: np.ndarray, size: int) -> tuple[slice, slice]:
    """The rows and columns of the image that a polygon touches."""
    x1, y1 = np.clip(np.floor(outline.min(0)), 0, size).astype(int)
    x2, y2 = np.clip(np.ceil(outline.max(0)), 0, size).astype(int)
    return slice(y1, y2), slice(x1, x2)


def _mask(outline: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """How much of each pixel of a window a polygon covers, (h, w) in [0, 1]."""
    rows, columns = window
    height, width = rows.stop - rows.start, columns.stop - columns.start
    fine = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), np.uint8)
    # cv2 counts from the centre of the first pixel; 4 fractional bits place the corners between the fine pixels.
    corners = (outline - (columns.start, rows.start)) * _SUPERSAMPLING - 0.5
    cv2.fillPoly(fine, [np.rint(corners * 16).astype(np.int32)], 255, shift=4)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _hides_too_much(mask: np.ndarray, visible: list[np.ndarray]) -> bool:
    """Whether a new shape would leave any of those below it with too little to see."""
    return any(np.minimum(mask, other).sum() > _MAX_HIDDEN * other.sum() for other in visible)


def _ground(rng: np.random.Generator, size: int) -> np.ndarray:
    """A ground of soft patches, (size, size, 3) float32 in [0, 255]."""
    cells = int(rng.integers(2, 9))
    coarse = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
    patches = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (rng.uniform(40, 215, 3) + rng.uniform(5, 25) * patches).astype(np.float32)


def _paint(rng: np.random.Generator, outline: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """The colours of a shape in a window: one colour running into another, striped at times, (h, w, 3)."""
    y, x = np.mgrid[window] + 0.5
    direction = _turn(np.array([[1.0, 0.0]]), rng.uniform(0, 2 * np.pi))[0]
    along = np.stack([x, y], -1) @ direction - outline.mean(0) @ direction
    span = np.abs((outline - outline.mean(0)) @ direction).max()
    share = np.clip(along / (2 * span) + 0.5, 0, 1)
    if rng.random() < 0.12:
        share = (np.sin(along * rng.uniform(0.5, 1.5)) > 0).astype(np.float64)
    first, second = rng.uniform(0, 255, (2, 3))
    second = first + rng.uniform(0.2, 0.7) * (second - first)
    return (first + share[..., None] * (second - first)).astype(np.float32)


def _draw_clutter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Draw one thing of no class: a stroke, an arc, a zigzag or a blob."""
    size = canvas.shape[0]
    colour = rng.uniform(0, 255, 3).tolist()
    width = int(rng.integers(1, 4))
    kind = rng.integers(4)
    centre = rng.uniform(0, size, 2)
    reach = rng.uniform(0.08, 0.4) * size
    if kind == 0:
        points = centre + rng.uniform(-reach, reach, (2, 2))
    elif kind == 1:
        points = centre + 0.5 * reach * _turn(_turning_points(24)[: rng.integers(8, 19)], rng.uniform(0, 6.3))
    elif kind == 2:
        points = centre + rng.uniform(-0.6 * reach, 0.6 * reach, (int(rng.integers(3, 6)), 2))
    else:
        turn = np.arange(24) * np.pi / 12
        waves = np.sum([rng.uniform(0, 0.3) * np.sin(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 5)], axis=0)
        points = centre + 0.3 * reach * (1 + waves)[:, None] * _turning_points(24)
    corners = [np.rint(points * 16).astype(np.int32)]
    if kind == 3:
        cv2.fillPoly(canvas, corners, colour, cv2.LINE_AA, shift=4)
    else:
        cv2.polylines(canvas, corners, False, colour, width, cv2.LINE_8, shift=4)

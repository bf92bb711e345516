"""The same few pictures in each layout that people have."""

from __future__ import annotations

import json
from pathlib import Path

from test_datasets.layouts import HEIGHT, WIDTH, draw_picture, write_xml

#: Name of a picture -> class and corners of each of its objects.
TRUTH = {
    f'p{number}': [('cat', (10 + number, 10, 40, 30)), ('dog', (100, 20 + number, 160, 90))][: number % 3]
    for number in range(8)
}
NAMES = list(TRUTH)
TRAIN, VAL = NAMES[:5], NAMES[5:]
CLASSES = ['cat', 'dog']


def draw(folder: Path, names: list[str]) -> None:
    for name in names:
        draw_picture(folder / f'{name}.jpg', [corners for _, corners in TRUTH[name]])


def write_lists(root: Path) -> None:
    lists = root / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('\n'.join(TRAIN) + '\n')
    (lists / 'val.txt').write_text('\n'.join(VAL) + '\n')
    (lists / 'cat_train.txt').write_text('p0 -1\np1 1\n')  # VOC's lists of a class are no splits


def voc(root: Path, lists: bool = True) -> None:
    draw(root / 'JPEGImages', NAMES)
    for name in NAMES:
        write_xml(root / 'Annotations' / f'{name}.xml', TRUTH[name])
    if lists:
        write_lists(root)


def voc_without_lists(root: Path) -> None:
    voc(root, lists=False)


def labelimg(root: Path) -> None:
    draw(root, NAMES)
    for name in NAMES:
        if TRUTH[name]:  # LabelImg writes no file for a picture without an object
            write_xml(root / f'{name}.xml', TRUTH[name])


def labelimg_split(root: Path) -> None:
    for folder, names in (('train', TRAIN), ('valid', VAL)):
        draw(root / folder, names)
        for name in names:
            write_xml(root / folder / f'{name}.xml', TRUTH[name])


def coco_content(names: list[str], ids: dict[str, int], groups: tuple[dict, ...] = ()) -> dict:
    images = [dict(id=i, file_name=f'{name}.jpg', width=WIDTH, height=HEIGHT) for i, name in enumerate(names)]
    objects = [(i, *each) for i, name in enumerate(names) for each in TRUTH[name]]
    annotations = [
        dict(id=k, image_id=i, category_id=ids[kind], bbox=[x, y, z - x, w - y], area=(z - x) * (w - y), iscrowd=0)
        for k, (i, kind, (x, y, z, w)) in enumerate(objects)
    ]
    categories = [*groups, *(dict(id=number, name=kind, supercategory='animals') for kind, number in ids.items())]
    return dict(images=images, annotations=annotations, categories=categories)


def coco(root: Path) -> None:
    for split, names in (('train', TRAIN), ('val', VAL)):
        draw(root / f'{split}2017', names)
        path = root / 'annotations' / f'instances_{split}2017.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco_content(names, dict(cat=17, dog=18))))


def one_coco_file(root: Path) -> None:
    draw(root / 'images', NAMES)
    (root / 'labels.json').write_text(json.dumps(coco_content(NAMES, dict(cat=1, dog=2))))


def roboflow(root: Path) -> None:
    group = dict(id=0, name='animals', supercategory='none')
    for split, names in (('train', TRAIN), ('valid', VAL)):
        draw(root / split, names)
        content = coco_content(names, dict(cat=1, dog=2), (group,))
        (root / split / '_annotations.coco.json').write_text(json.dumps(content))


def yolo_label(name: str) -> str:
    lines = []
    for kind, (x, y, z, w) in TRUTH[name]:
        if kind == 'dog':  # a polygon
            points = [(x, y), (z, y), (z, w), (x, w)]
            lines.append(' '.join(['1', *(f'{p / WIDTH:.6f} {q / HEIGHT:.6f}' for p, q in points)]))
        else:
            numbers = ((x + z) / 2 / WIDTH, (y + w) / 2 / HEIGHT, (z - x) / WIDTH, (w - y) / HEIGHT)
            lines.append(' '.join(['0', *(f'{number:.6f}' for number in numbers)]))
    return '\n'.join(lines)


def yolo(root: Path, folders: str = '{kind}/{split}') -> None:
    for split, names in (('train', TRAIN), ('val', VAL)):
        draw(root / folders.format(kind='images', split=split), names)
        labels = root / folders.format(kind='labels', split=split)
        labels.mkdir(parents=True)
        for name in names:
            if TRUTH[name]:
                (labels / f'{name}.txt').write_text(yolo_label(name))
    (root / 'data.yaml').write_text('path: ../set\ntrain: images/train\nnc: 2\nnames:\n  0: cat\n  1: dog\n')


def yolo_a_folder_a_split(root: Path) -> None:
    yolo(root, '{split}/{kind}')


LAYOUTS = (
    *(voc, voc_without_lists, labelimg, labelimg_split),
    *(coco, one_coco_file, roboflow, yolo, yolo_a_folder_a_split),
)


def truth_of(root: Path, files: dict[str, Path], splits: tuple[str, ...]) -> dict[str, list]:
    found = {}
    for split in splits:
        content = json.loads(files[split].read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        for image in content['images']:
            assert (root / image['file_name']).is_file()
            boxes = [a for a in content['annotations'] if a['image_id'] == image['id']]
            found[Path(image['file_name']).stem] = [
                (names[a['category_id']], (x, y, x + w, y + h)) for a in boxes for x, y, w, h in [a['bbox']]
            ]
    return found


def rewritten(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))

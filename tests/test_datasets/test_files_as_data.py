"""How much memory a JSON takes is known before it is parsed."""

import json
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers.hostile import bounded

from mmdet_kd.datasets.coco import read_coco
from mmdet_kd.datasets.data_files import parsed_size, read_json
from mmdet_kd.datasets.memory import free_memory


def coco(count, corners):
    """A set with polygons."""
    numbers = np.random.default_rng(0).uniform(0, 600, (count, corners + 5)).round(2).tolist()
    annotations = [
        dict(segmentation=[row[5:]], area=row[4], iscrowd=0, image_id=i // 7, bbox=row[:4], category_id=i % 90, id=i)
        for i, row in enumerate(numbers)
    ]
    images = [dict(id=i, file_name=f'{i:012d}.jpg', width=640, height=480, license=3) for i in range(count // 7 + 1)]
    return json.dumps(dict(images=images, annotations=annotations, categories=[]))


#: A text, and the most times that what it takes may be exceeded.
TEXTS = {
    'polygons': (lambda: coco(500, 40), 2.5),
    'boxes': (lambda: coco(1500, 0), 2.5),
    'lists': (lambda: f'[{"[]," * 10**4}[]]', 3),
    'pairs': (lambda: f'[{"[1]," * 10**4}[]]', 3),
    'nested': (lambda: f'[{"[[[[]]]]," * 10**4}[]]', 3),
    'dicts': (lambda: f'[{"{}," * 10**4}[]]', 3),
    'small dicts': (lambda: json.dumps([{'a': 1}] * 10**4), 3),
    'floats': (lambda: f'[{"1.5," * 10**4}1]', 3),
    'strings': (lambda: json.dumps(['ab'] * 10**4), 3),
    'keys': (lambda: json.dumps({f'k{i}': i + 1000 for i in range(10**4)}), 3),
    'one wide character': (lambda: json.dumps(['\U0001f600' + 'x' * 10**6], ensure_ascii=False), 3),
}


@pytest.mark.parametrize('kind', TEXTS)
def test_the_estimate_holds(kind, tmp_path):
    path, (text, excess) = tmp_path / 'a.json', TEXTS[kind]
    path.write_text(text(), encoding='utf-8')
    tracemalloc.start()
    read_json(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < parsed_size(path) < excess * peak


@pytest.fixture
def little_memory():
    """Leave a little memory to this process."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    taken = int(Path('/proc/self/statm').read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (taken + (300 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def test_the_limits_of_this_process_count(little_memory):
    assert free_memory() < 301 << 20


@pytest.mark.usefixtures('little_memory')
@pytest.mark.parametrize(('count', 'fits'), [(2 * 10**5, True), (4 * 10**6, False)])
def test_a_json_that_would_fill_the_memory_is_not_parsed(count, fits, tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(b'[' + b'[],' * (count - 1) + b'[]]')
    if fits:
        assert len(read_json(path)) == count
        return
    (problem,) = read_coco(path)[1]
    assert problem.startswith(
        f'the annotation file {path} cannot be read (it has {3 * count + 1} bytes and would take '
    )
    assert problem.isprintable()


@pytest.mark.slow
@pytest.mark.parametrize('content', [b'[],' * 10**8, b'nonsense, ' * (30 << 20)], ids=['lists', 'nonsense'])
def test_300_megabytes_of_nonsense(content, tmp_path):
    """Within 1 GiB and 10 seconds, whatever the machine has."""
    path = tmp_path / 'a.json'
    path.write_bytes(b'{"images": [' + content)
    del content
    with bounded():
        (problem,) = read_coco(path)[1]
    assert str(path) in problem
    assert len(problem) < 1000

import json

import pytest

from mmdet_kd.runtime.data_classes import category_names

CATEGORIES = [dict(id=i, name=name) for i, name in enumerate(('cat', 'wine glass', 'Käse "mild"'), start=1)]
NAMES = [category['name'] for category in CATEGORIES]
REST = dict(images=[dict(id=1, file_name='categories.png')], annotations=[dict(id=1, bbox=[1, 2, 3, 4])])


@pytest.mark.parametrize(
    'content',
    [
        dict(**REST, categories=CATEGORIES),
        dict(categories=CATEGORIES, **REST),
        # the last mention is of something else
        dict(categories=CATEGORIES, **REST, info=dict(categories='three')),
        dict(**REST, categories=CATEGORIES, licenses=[dict(name='"categories"')]),
    ],
)
@pytest.mark.parametrize('style', [{}, dict(indent=2), dict(separators=(' , ', ' : '))])
def test_names_are_found_wherever_they_stand(tmp_path, content, style):
    path = tmp_path / 'a.json'
    for ascii_only in (True, False):
        path.write_text(json.dumps(content, ensure_ascii=ascii_only, **style), encoding='utf-8')
        assert category_names(path) == NAMES


def test_the_rest_of_a_large_file_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(annotations=list(range(1000)), categories=CATEGORIES)))
    monkeypatch.setattr('json.loads', lambda *_: pytest.fail('all of it was read'))
    assert category_names(path) == NAMES

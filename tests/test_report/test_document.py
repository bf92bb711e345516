"""Both writers show whatever text they are given, and a page needs no other file."""

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from mmdet_kd.report.document import (
    Code,
    Document,
    Gallery,
    Picture,
    Section,
    Table,
    Text,
    to_html,
    to_markdown,
    with_relative_paths,
)

#: What a file may call a class, a title or a path.
NAMES = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    'a | b',
    '`tick` *star* _line_ [link](http://x) ~~no~~ &amp; $x$',
    'back\\slash\\|',
    '# head',
    '1. one',
    '{{ 7 * 7 }} {% if %}',
    'Größe 東京',
]
DANGEROUS = 'red \x1b[31m and \u202eback'


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text in table cells, paragraphs and blocks of code."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def document(name):
    return Document(
        f'title {name}',
        f'warning {name}',
        [f'lead {name}'],
        [f'about {name}'],
        [
            Section(
                f'section {name}',
                [
                    Text(name),
                    Table([['', f'head {name}'], [name, '1.0']]),
                    Gallery(name, [Picture(b'\xff\xd8x', 'webp', name, name)]),
                    Picture(b'\x89PNG', 'png', name, name),
                    Code(f'+{name}\n-{name}', 'diff', name),
                ],
            )
        ],
    )


@pytest.mark.parametrize('name', NAMES)
def test_a_page_shows_names_and_does_not_obey_them(name):
    harmless, page = Page(to_html(document('harmless'))), Page(to_html(document(name)))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert [list(attrs) for _, attrs in page.tags] == [list(attrs) for _, attrs in harmless.tags]
    assert ''.join(page.text) == ''.join(harmless.text).replace('harmless', name)
    assert [attrs['alt'] for tag, attrs in page.tags if tag == 'img'] == [name, name]


@pytest.mark.parametrize('name', NAMES)
def test_markdown_shows_names_and_does_not_obey_them(name):
    """As a parser of CommonMark with tables reads it."""
    tokens = MarkdownIt('commonmark').enable('table').parse(to_markdown(document(name), 'report.html'))
    shown = [''.join(each.content for each in token.children) for token in tokens if token.type == 'inline']
    kinds = {child.type for token in tokens if token.type == 'inline' for child in token.children}
    assert kinds <= {'text', 'text_special', 'strong_open', 'strong_close', 'link_open', 'link_close'}
    assert shown == [
        *(f'title {name}', f'warning {name}', f'lead {name}', f'about {name}', f'section {name}', name),
        *('', f'head {name}', name, '1.0'),
        *(name, 'Pictures: report.html'),
    ]
    (code,) = [token.content for token in tokens if token.type == 'fence']
    assert code == f'+{name}\n-{name}\n'


def test_code_that_has_a_fence_in_it_stays_one_block():
    text = to_markdown(
        Document('t', '', [], [], [Section('s', [Code('```\n# head\n````', 'commands')])]), 'report.html'
    )
    (code,) = [token.content for token in MarkdownIt('commonmark').parse(text) if token.type == 'fence']
    assert code == '```\n# head\n````\n'


def test_neither_hands_on_what_a_terminal_would_obey():
    for text in (to_html(document(DANGEROUS)), to_markdown(document(DANGEROUS), 'report.html')):
        assert '\x1b' not in text
        assert '\u202e' not in text


def test_a_page_needs_no_other_file_and_has_no_script():
    page = Page(to_html(document('name')))
    assert not {tag for tag, _ in page.tags} & {'script', 'link', 'iframe', 'object', 'embed', 'base', 'form'}
    addresses = [value for _, attrs in page.tags for key, value in attrs.items() if key in ('src', 'href', 'srcset')]
    assert [address.partition(';')[0] for address in addresses] == ['data:image/webp', 'data:image/png']
    assert base64.b64decode(addresses[1].partition(',')[2]) == b'\x89PNG'
    assert 'url(' not in to_html(document('name'))
    policies = [attrs['content'] for tag, attrs in page.tags if tag == 'meta' and 'http-equiv' in attrs]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ("data_root='/home/me/project/set/'", "data_root='set/'"),
        ('python /opt/kd/tools/compare.py --out=/home/me/project/out', 'python tools/compare.py --out=out'),
        ('trained on /home/me/project/set/a.json, in /home/me/project.', 'trained on set/a.json, in ..'),
        ("data_root='/home/me/project/'", "data_root='./'"),
        ('/home/me/project/kd/tools/x.py', 'kd/tools/x.py'),  # by the first folder that holds it
        (
            '/home/me/projects/a /home/me/project.old/a /mnt/home/me/project/a',
            '/home/me/projects/a /home/me/project.old/a /mnt/home/me/project/a',
        ),
        ('file:///home/me/project/a', 'file:///home/me/project/a'),
    ],
)
def test_paths_are_relative_in_all_texts(text, shown):
    folders = [Path('/home/me/project'), Path('/home/me/project/kd'), Path('/opt/kd')]
    assert with_relative_paths(document(text), folders) == document(shown)
    assert with_relative_paths(document(text), [Path('/')]) == document(text)


def test_long_pictures_are_whole():
    data = bytes(range(256)) * 2000
    page = Page(to_html(Document('t', '', [], [], [Section('s', [Picture(data, 'png', 'w')])])))
    (address,) = [attrs['src'] for tag, attrs in page.tags if tag == 'img']
    assert base64.b64decode(address.partition(',')[2]) == data

"""A document of plain parts, and its two writers: one HTML page that needs no other file, and Markdown.

The writers know nothing of detectors. All text is data: whatever it holds is shown, and neither a browser nor a
terminal obeys it.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ..comparison import markdown
from ..errors import printable

_MOST = 200_000  # characters of a text; a config has 30,000


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        text: what it says.
        kind: 'plain', or 'note' for what a reader must know beside a table.
    """

    text: str
    kind: str = 'plain'


@dataclass(frozen=True)
class Table:
    """A table: its head first; the first column has words, the others numbers, unless ``words`` says more."""

    cells: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True)
class Picture:
    """A picture, with what it shows in words.

    Args:
        data: of the file.
        kind: 'png' or 'webp'.
        words: what it shows, for who does not see it.
        caption: shown below it.
    """

    data: bytes
    kind: str
    words: str
    caption: str = ''

    @property
    def address(self) -> str:
        """The picture itself, as an address that needs no file."""
        return f'data:image/{self.kind};base64,{base64.b64encode(self.data).decode()}'


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, under a title."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Code:
    """Text as it stands in a file.

    Args:
        text: the lines.
        kind: 'diff', whose lines have colours, or 'commands'.
        title: where it is folded until a reader opens it.
    """

    text: str
    kind: str
    title: str = ''


Part = Text | Table | Picture | Gallery | Code


@dataclass(frozen=True)
class Section:
    """A title and parts."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Document:
    """What a report says.

    Args:
        title: of all of it.
        warning: what a reader must know before anything else; may be empty.
        lead: the sentences that are read first.
        about: what these are about.
        sections: in their order.
    """

    title: str
    warning: str
    lead: Sequence[str]
    about: Sequence[str]
    sections: Sequence[Section]


def with_relative_paths(document: Document, folders: Sequence[Path]) -> Document:
    """The same document, in which the paths below some folders are relative to these.

    A report is passed on, and where a folder lies on this machine helps nobody elsewhere.

    Args:
        document: any.
        folders: absolute. Of two that hold the same path the first one counts. The root of the file system is none.
    """
    held = '|'.join(re.escape(str(folder)) for folder in folders if folder != folder.parent)
    # not in the middle of a path or an address; with the slash, if a name follows
    paths = re.compile(rf'(?<![\w./~])(?:{held})(?:(/)(?=[\w.@+-])|(?![\w-]|\.\w))')
    return _relative(document, paths) if held else document


def _relative(part: Any, paths: re.Pattern[str]) -> Any:
    """A part of a document, or anything in it, with relative paths."""
    if isinstance(part, str):
        return paths.sub(lambda found: '' if found[1] else '.', part)
    if isinstance(part, (list, tuple)):
        return [_relative(each, paths) for each in part]
    if is_dataclass(part):
        return replace(part, **{each.name: _relative(getattr(part, each.name), paths) for each in fields(part)})
    return part


def to_html(document: Document) -> str:
    """One page, without scripts, and without anything from elsewhere."""
    return _template().render(document=document)


def to_markdown(document: Document, pictures_in: str) -> str:
    """The same in Markdown, in which pictures are left out.

    Args:
        document: to be written.
        pictures_in: name of the file beside it that has the pictures.
    """
    blocks = [f'# {_escaped(document.title)}']
    blocks += [f'**{_escaped(document.warning)}**'] if document.warning else []
    blocks += [_paragraph(sentence) for sentence in (*document.lead, *document.about)]
    for section in document.sections:
        blocks.append(f'## {_escaped(section.title)}')
        with_pictures = False
        for part in section.parts:
            if isinstance(part, Text):
                blocks.append(_paragraph(part.text))
            elif isinstance(part, Table):
                blocks.append(markdown([[_escaped(cell) for cell in row] for row in part.cells], part.words))
            elif isinstance(part, Code):
                blocks += [_paragraph(part.title)] if part.title else []
                blocks.append(_fenced(part))
            else:
                with_pictures = True
        blocks += [f'Pictures: [{pictures_in}]({pictures_in})'] if with_pictures else []
    return '\n\n'.join(blocks) + '\n'


def _fenced(code: Code) -> str:
    text = printable(code.text, _MOST)
    fence = '`' * (1 + max(2, *map(len, re.findall('`+', text)), 0))
    return f'{fence}{"diff" if code.kind == "diff" else "sh"}\n{text}\n{fence}'


def _escaped(text: str) -> str:
    """Text that Markdown shows as it stands, within a line or in the cell of a table."""
    text = ' '.join(printable(text, _MOST).split())
    text = re.sub(r'([\\`*<>\[\]|&~$])', r'\\\1', text)
    return re.sub(r'(?<!\w)_|_(?!\w)', r'\\_', text)


def _paragraph(text: str) -> str:
    """The same at the beginning of a line, where it may not begin a heading, a list or a rule."""
    text = re.sub(r'^(\d+)([.)])', r'\1\\\2', _escaped(text))
    return re.sub(r'^([#+=-])', r'\\\1', text)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.tests['of_kind'] = lambda part, kind: type(part).__name__ == kind
    return environment.get_template('page.html')


def _shown(value: object) -> object:
    """What a template puts into a page: a text as it is shown, markup as it stands."""
    return printable(value, _MOST) if isinstance(value, str) and not isinstance(value, Markup) else value

"""The site: `make site` builds it from the repository's Markdown files and from the docstrings."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a checkout documents its own package, installed or not

project = 'mmdet_kd'
author = 'The mmdet_kd authors'
release = re.search(r"__version__ = '(.+)'", (ROOT / 'mmdet_kd' / 'version.py').read_text())[1]

# The source folder is the root of the repository, so one relative link serves GitHub and the site.
root_doc = 'docs/index'
include_patterns = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'docs/**.md', 'configs/**.md', 'benchmarks/*.md']
exclude_patterns = ['.*', 'build', 'data', 'dist', 'mmdet_kd', 'tests', 'tools', 'work_dirs']  # not even looked into

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.mathjax', 'sphinx.ext.napoleon']
myst_heading_anchors = 3  # links to headings, as on GitHub

html_theme = 'furo'  # readable on a telephone, light and dark, and it needs only two packages beside Sphinx
html_title = 'mmdet_kd'
html_extra_path = ['front']  # index.html of the site, which leads to docs/index.html
html_show_sphinx = False

autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
napoleon_numpy_docstring = False
# Names in docstrings lead to the classes of docs/api.md; others, such as those of torch, stay plain text.
nitpick_ignore_regex = [('py:.*', '.*')]


def mark_sources(app, what, name, obj, options, lines):
    """Make a paragraph of each `Source: ...` and `Differs: ...`, whose further lines are indented in our docstrings."""

    def paragraph(found):
        return f'\n**{found[1]}:** ' + ' '.join(found[2].split()) + '\n'

    pattern = r'^(Source|Differs): (.*(?:\n {4}\S.*)*)'
    lines[:] = re.sub(pattern, paragraph, '\n'.join(lines), flags=re.MULTILINE).split('\n')


def setup(app):
    """Sphinx's place for what a project adds."""
    app.connect('autodoc-process-docstring', mark_sources, priority=100)  # before napoleon

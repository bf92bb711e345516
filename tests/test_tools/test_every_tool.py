"""Each Python tool starts from a checkout, whatever the working directory and without an installed package."""

from helpers import run_tool
from helpers.tiny import REPO

TOOLS = sorted(str(path) for path in (REPO / 'tools').rglob('*.py') if 'dev' not in path.parts)

#: Runs each as `python TOOL -h` would. In one process, since imports take ten times as long as the rest.
RUN_EACH = """
import runpy, sys

path = [place for place in sys.path[1:] if place != {repo!r}]
for tool in {tools!r}:
    sys.argv = [tool, '-h']
    sys.path[:] = [tool.rpartition('/')[0], *path]
    try:
        runpy.run_path(tool, run_name='__main__')
    except SystemExit as end:
        print('ended with', end.code)
    print('own package first' if {repo!r} in sys.path[:2] else f'{{tool}}: not on the path')
"""


def test_they_say_what_they_do(tmp_path):
    assert len(TOOLS) > 8
    (tmp_path / 'each.py').write_text(RUN_EACH.format(tools=TOOLS, repo=str(REPO)))
    said = run_tool([tmp_path / 'each.py'], cwd=tmp_path, env={'PYTHONPATH': ''}).stdout.splitlines()
    assert sum(line.startswith('usage: ') for line in said) == len(TOOLS)
    assert said.count('ended with 0') == len(TOOLS)
    assert said.count('own package first') == len(TOOLS)

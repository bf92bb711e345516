"""What the documents say: their tables, links, configs and commands."""

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.classifier import KD_LOC, kd_cls, taught_by_classifier, tiny_classifier_cfg
from helpers.distil import distilled_cfg, save_teacher
from helpers.tiny import call_tool
from mmengine.config import Config

REPO = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path for pattern in ('*.md', 'docs/*.md', 'configs/**/*.md', 'benchmarks/**/*.md') for path in REPO.glob(pattern)
)


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', document.read_text(), flags=re.DOTALL)


def test_the_tables_are_up_to_date():
    subprocess.run([sys.executable, REPO / 'tools' / 'dev' / 'write_docs.py', '--check'], check=True)


def anchors(document: Path) -> set[str]:
    """The names that GitHub and MyST give to the headings of a page."""
    headings = re.findall(r'^#+ (.+)', document.read_text(), flags=re.MULTILINE)
    plain = [re.sub(r'\]\([^)]*\)', '', heading).lower() for heading in headings]
    return {re.sub(r'[^\w\- ]', '', heading).replace(' ', '-') for heading in plain}


def test_links_lead_somewhere():
    astray = []
    for document in DOCUMENTS:
        for target, anchor in re.findall(r'\]\((?!https?://)([^)#]*)#?([^)]*)\)', document.read_text()):
            page = document.parent / target if target else document
            if not page.exists() or (anchor and anchor not in anchors(page)):
                astray.append(f'{document.relative_to(REPO)}: {target}#{anchor}')
    assert astray == []


def test_the_files_that_are_named_are_there():
    path = r'(?<![\w/])(?:configs|tools|benchmarks|tests)/[\w./-]+\.(?:py|sh|json|yml)'
    missing = []
    for document in DOCUMENTS:
        named = {
            word for block in blocks(document, '(?:bash|sh)') for word in block.split() if word.startswith('tools/')
        }
        named |= set(re.findall(path, document.read_text()))
        # 'mine' is the reader's, and what is in capitals stands for any
        named = {name for name in named if not re.search('/mine/|[A-Z]{3}', name)}
        missing += [f'{document.relative_to(REPO)}: {name}' for name in named if not (REPO / name).exists()]
    assert missing == []


def test_the_readme_is_short():
    text = (REPO / 'README.md').read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1300


def test_the_readmes_whole_config_is_a_config(tmp_path):
    (block,) = blocks(REPO / 'README.md', 'python')
    shutil.copytree(REPO / 'configs' / '_base_', tmp_path / 'configs' / '_base_')
    path = tmp_path / 'configs' / 'mine' / 'readme.py'
    path.parent.mkdir()
    path.write_text(block)
    assert len(block.strip().splitlines()) <= 15
    assert Config.fromfile(path).model.type == 'KnowledgeDistillationTwoStageDetector'


def test_the_written_out_config_of_ones_own_student_builds(tmp_path, student_cfg, teacher_cfg):
    from helpers.distil import build

    (block,) = (block for block in blocks(REPO / 'docs' / 'own_data.md', 'python') if "['./my_student.py']" in block)
    student_cfg.dump(tmp_path / 'my_student.py')
    teacher_cfg.dump(tmp_path / 'my_teacher.py')
    (tmp_path / 'mine.py').write_text(block)
    assert set(build(Config.fromfile(tmp_path / 'mine.py'), init=False).distillers) == {'hint', 'roi'}


class Parsed(Exception):
    """A tool has understood its command line."""


@pytest.fixture
def understood(monkeypatch):
    """Whether a tool understands a command line; it stops when it does."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *args, **kwargs):
        parse(parser, *args, **kwargs)
        raise Parsed

    def understands(tool: str, *arguments: str) -> bool:
        monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)
        monkeypatch.syspath_prepend(REPO / Path(tool).parent)  # as Python does for a script
        try:
            call_tool(tool, *arguments)
        except Parsed:
            return True
        except SystemExit:
            return False

    return understands


def test_every_command_of_every_document_is_understood(understood):
    """Those too that take hours: no option is misspelt or gone."""
    lines = [line for document in DOCUMENTS for line in document.read_text().replace('\\\n', ' ').splitlines()]
    commands = {line for line in lines if re.match(r'python (tools|benchmarks)/', line)}
    assert len(commands) > 30
    not_understood = [command for command in commands if not understood(*shlex.split(command, comments=True)[1:])]
    assert not_understood == []


def test_the_quoted_messages_are_in_the_code():
    """The headings of the page of messages, piece by piece between what differs."""
    headings = re.findall(r'^### (.+)', (REPO / 'docs' / 'troubleshooting.md').read_text(), flags=re.MULTILINE)
    files = [path for folder in ('mmdet_kd', 'tools') for path in sorted((REPO / folder).rglob('*.py'))]
    texts = [
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    pieces = [piece.strip() for heading in headings for message in heading.split('`') for piece in message.split('…')]
    pieces = [piece for piece in pieces if len(piece) > 2]
    assert len(headings) > 20
    assert len(pieces) >= len(headings)
    assert [piece for piece in pieces if not any(piece in text for text in texts)] == []


@pytest.fixture
def demo_in_small(tiny_set, tmp_path):
    """A folder in which the pages' paths lead to the real tools and to a training of a few steps."""
    (tmp_path / 'tools').symlink_to(REPO / 'tools')
    demo = tmp_path / 'configs' / 'demo'
    demo.mkdir(parents=True)
    teacher = tiny_teacher_cfg(tiny_set, tmp_path / 'teacher')
    teacher.dump(demo / 'shapes_teacher.py')
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth')
    student = tiny_student_cfg(tiny_set, tmp_path / 'unused', **{'train_cfg.max_epochs': 4})
    student.pop('work_dir')
    student.dump(demo / 'shapes_student.py')
    distilled_cfg(student, str(demo / 'shapes_teacher.py'), checkpoint).dump(demo / 'shapes_distilled.py')
    shutil.copy(demo / 'shapes_distilled.py', tmp_path)
    classifier = tiny_classifier_cfg(tiny_set, tmp_path / 'unused')
    classifier.work_dir = 'work_dirs/demo/shapes_classifier'
    classifier.dump(demo / 'shapes_classifier.py')
    taught = taught_by_classifier(student, kd_cls=kd_cls(), kd_loc=KD_LOC)
    last = f'{classifier.work_dir}/epoch_{classifier.train_cfg.max_epochs}.pth'
    taught.model.teacher.update(config=str(demo / 'shapes_classifier.py'), checkpoint=last)
    (demo / 'dicod').mkdir()
    taught.dump(demo / 'dicod' / 'shapes_dicod.py')
    return tmp_path


#: The pages whose commands are run, in the order in which they are read.
RUN = [
    REPO / 'README.md',
    REPO / 'docs' / 'getting_started.md',
    REPO / 'docs' / 'training.md',
    REPO / 'docs' / 'testing_and_export.md',
    REPO / 'docs' / 'compression.md',
    REPO / 'docs' / 'teachers.md',
]


def test_blocks_of_bash_are_on_pages_that_are_run():
    others = [document for document in DOCUMENTS if document not in RUN and blocks(document, 'bash')]
    assert others == [REPO / 'CONTRIBUTING.md']  # the commands of the tests


@pytest.mark.slow
def test_every_bash_command_runs(demo_in_small):
    """A block of `bash` is run; one of `sh` needs what is not here: one's own data, a network, hours."""
    lines = [line for page in RUN for block in blocks(page, 'bash') for line in block.splitlines()]
    commands = list(dict.fromkeys(line for line in lines if not line.startswith('make')))
    assert len(commands) >= 15
    env = {
        **os.environ,
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'PYTHON': sys.executable,
        'CUDA_VISIBLE_DEVICES': '',
    }
    for command in commands:
        done = subprocess.run(
            ['bash', '-c', command], cwd=demo_in_small, env=env, text=True, capture_output=True, timeout=600
        )
        assert done.returncode == 0, f'{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
    assert (demo_in_small / 'work_dirs' / 'student' / 'student.pth').is_file()

"""What the documents say: their tables, links, configs and commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.classifier import KD_LOC, kd_cls, taught_by_classifier, tiny_classifier_cfg
from helpers.distil import distilled_cfg, save_teacher
from mmengine.config import Config

REPO = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path for pattern in ('*.md', 'docs/*.md', 'configs/**/*.md', 'benchmarks/**/*.md') for path in REPO.glob(pattern)
)


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', document.read_text(), flags=re.DOTALL)


def test_the_tables_are_up_to_date():
    subprocess.run([sys.executable, REPO / 'tools' / 'dev' / 'write_docs.py', '--check'], check=True)


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_links_lead_somewhere(document):
    targets = re.findall(r'\]\((?!https?://)([^)#]+)', document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_the_files_that_are_named_are_there(document):
    commands = {
        word
        for block in blocks(document, 'bash')
        for word in block.split()
        if re.match(r'(configs|tools)/', word) and '<' not in word
    }
    path = r'(?<![\w/])(?:configs|tools|benchmarks|tests)/[\w./-]+\.(?:py|sh|json|yml)'
    # 'mine' is the reader's, and what is in capitals stands for any
    anywhere = {name for name in re.findall(path, document.read_text()) if not re.search('/mine/|[A-Z]{3}', name)}
    assert [name for name in commands | anywhere if not (REPO / name).exists()] == []


def test_the_readmes_whole_config_is_a_config(tmp_path):
    first = blocks(REPO / 'README.md', 'python')[0]
    shutil.copytree(REPO / 'configs' / '_base_', tmp_path / 'configs' / '_base_')
    path = tmp_path / 'configs' / 'mine' / 'readme.py'
    path.parent.mkdir()
    path.write_text(first)
    assert len(first.strip().splitlines()) <= 15
    assert Config.fromfile(path).model.type == 'KnowledgeDistillationTwoStageDetector'


def test_the_readmes_config_of_ones_own_student_builds(tmp_path, student_cfg, teacher_cfg):
    from helpers.distil import build

    student_cfg.dump(tmp_path / 'my_student.py')
    teacher_cfg.dump(tmp_path / 'my_teacher.py')
    (tmp_path / 'mine.py').write_text(blocks(REPO / 'README.md', 'python')[1])
    assert set(build(Config.fromfile(tmp_path / 'mine.py'), init=False).distillers) == {'hint', 'roi'}


@pytest.fixture
def demo_in_small(tiny_set, tmp_path):
    """A folder in which the README's paths lead to the real tools and to a training of a few steps."""
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


@pytest.mark.slow
def test_every_command_of_the_readme_runs(demo_in_small):
    lines = [line for block in blocks(REPO / 'README.md', 'bash') for line in block.splitlines()]
    commands = [line for line in lines if not line.startswith('make')]
    assert len(commands) >= 9
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

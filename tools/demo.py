#!/usr/bin/env python
"""The main job from end to end, on a set of shapes that is drawn first.

A teacher is trained, then a small student without it and with it: the same initial weights, the same data in the same
order, the same number of steps. The distilled student is exported, and tested by plain MMDetection. What is seen is
printed as one table and left in work_dirs/demo. An interrupted demo continues where it stopped.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from mmdet.apis import init_detector  # noqa: E402
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402
from rich.table import Table  # noqa: E402

from mmdet_kd.datasets import ShapesSpec, draw_shapes  # noqa: E402
from mmdet_kd.runtime.results import AP_KEYS, read_json, validation_curve, write_json  # noqa: E402
from mmdet_kd.visualization import draw_curves, draw_detections  # noqa: E402

CONFIGS = Path('configs/demo')
OUT = Path('work_dirs/demo')
SPEC = ShapesSpec()
CONSOLE = Console(highlight=False, soft_wrap=True)
TRAIN_LINE = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/(\d+)\].*?eta: (\S+(?: days?, \S+)?).*?\sloss: (\S+)')


@dataclass(frozen=True)
class Training:
    """One of the three trainings.

    Args:
        title: how the table and the pictures call it.
        config: its config.
        colour: of its curve.
        teacher: the training whose result it learns from.
    """

    title: str
    config: Path
    colour: str
    teacher: Training | None = None

    @property
    def work_dir(self) -> Path:
        """Where its log and its checkpoints lie."""
        return OUT / self.config.stem

    @property
    def epochs(self) -> int:
        """How long it trains."""
        return Config.fromfile(self.config).train_cfg.max_epochs

    @property
    def checkpoint(self) -> Path:
        """What it leaves."""
        return self.work_dir / f'epoch_{self.epochs}.pth'

    @property
    def fingerprint(self) -> str:
        """Changes with whatever the result depends on."""
        cfg = Config.fromfile(self.config)
        code = [file.read_text() for file in sorted(Path('mmdet_kd').rglob('*.py'))]
        parts = [cfg.pretty_text, (Path(cfg.data_root) / 'shapes.json').read_text(), *code]
        if self.teacher:
            parts.append(self.teacher.fingerprint)
        return hashlib.sha256('\n'.join(parts).encode()).hexdigest()


TEACHER = Training('teacher', CONFIGS / 'shapes_teacher.py', 'tab:gray')
ALONE = Training('student alone', CONFIGS / 'shapes_student.py', 'tab:blue')
DISTILLED = Training('student distilled', CONFIGS / 'shapes_distilled.py', 'tab:orange', TEACHER)
TRAININGS = (TEACHER, ALONE, DISTILLED)


def main() -> None:
    """Run whatever is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fresh', action='store_true', help='forget what an earlier demo left, and do all of it again')
    args = parser.parse_args()
    os.chdir(ROOT)
    # Layers as small as these get slower, not faster, from many threads.
    os.environ.setdefault('OMP_NUM_THREADS', str(min(8, torch.get_num_threads())))
    # Threads that wait for each other spin for milliseconds by default. As soon as anything else wants a core, that
    # makes a training several times slower; a tenth of a millisecond does not.
    os.environ.setdefault('GOMP_SPINCOUNT', '2000')
    OUT.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with alone_at_work() as lock:
        if args.fresh:
            forget(OUT)
        draw_data()
        for training in TRAININGS:
            train(training, lock)
        scores = {training.title: last_scores(training, lock) for training in TRAININGS}
        exported = export(DISTILLED, lock)
        scores[DISTILLED.title] = test_through_mim(*exported, lock)
        models = load_models(exported)
        rows = [{'model': title, **scores[title], **measures} for title, measures in measure(models).items()]
        report(rows)
        draw_pictures(models)
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    CONSOLE.print(f'\nThis run of the demo took {minutes} min {seconds:02d} s. It left in {OUT}:')
    CONSOLE.print('  table.md, curves.png, detections.png, and the exported student in student/')


# What an interrupted demo leaves, and who may go on with it.


@contextmanager
def alone_at_work() -> Iterator[IO[str]]:
    """Hold the demo's folder. Its children hold it too, so that a killed demo's training is not joined by another."""
    with (OUT / '.lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f'error: another demo, or a training that it started, is at work in {OUT}. Wait for it or end it.')
        yield lock


def forget(folder: Path) -> None:
    """Empty the demo's folder, but for the lock that is held."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != '.lock':
            entry.unlink()


def run(command: list[str], lock: IO[str], log: Path) -> Iterator[str]:
    """Run a command, yield its lines as they come and keep them in a log; stop the demo if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('a', buffering=1) as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            pass_fds=(lock.fileno(),),
        )
        try:
            for line in process.stdout:
                file.write(line)
                yield line
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-15:])
        sys.exit(
            f'{tail}\n\nerror: this step of the demo failed: {" ".join(command)}\n'
            f'Its whole output is in {log}. The same command as before continues from here.'
        )


# The steps.


def draw_data() -> None:
    """Draw the set, or find it drawn."""
    root = Config.fromfile(ALONE.config).data_root
    with bar('drawing shapes') as progress:
        draw_shapes(root, SPEC, lambda done, total: progress.update(0, completed=done, total=total))
    CONSOLE.print(f'[bold]data[/]: {SPEC.num_train} + {SPEC.num_val} images of shapes in {root}')


def train(training: Training, lock: IO[str]) -> None:
    """Train, or continue, or find it done."""
    state, fingerprint = training.work_dir / 'demo.json', training.fingerprint
    if training.work_dir.exists() and read_json(state).get('fingerprint') != fingerprint:
        shutil.rmtree(training.work_dir)  # of another config, or of other data
    if not read_json(state).get('finished'):
        training.work_dir.mkdir(parents=True, exist_ok=True)
        write_json(state, dict(fingerprint=fingerprint))
        command = [sys.executable, 'tools/train.py', str(training.config), '--work-dir', str(training.work_dir)]
        follow(training, run([*command, '--resume'], lock, training.work_dir / 'console.log'))
        write_json(state, dict(fingerprint=fingerprint, finished=True))
    CONSOLE.print(f'[bold]{training.title}[/]: trained for {training.epochs} epochs, {training.checkpoint}')


def follow(training: Training, lines: Iterator[str]) -> None:
    """Show how a training goes: a bar where there is a terminal, and a line for each validation."""
    loss = eta = ''
    with bar(training.title) as progress:
        for line in lines:
            if match := TRAIN_LINE.search(line):
                epoch, step, steps, eta, loss = match.groups()
                done, total = (int(epoch) - 1) * int(steps) + int(step), training.epochs * int(steps)
                note = f'loss {float(loss):.2f}, {eta} left'
                progress.update(0, completed=done, total=total, description=f'{training.title}: {note}')
            elif match := re.search(r'Epoch\(val\) \[(\d+)\].*coco/bbox_mAP: (\S+)', line):
                epoch, ap = int(match[1]), 100 * float(match[2])
                progress.console.print(
                    f'  {training.title}: epoch {epoch:2} of {training.epochs}, loss {loss}, AP {ap:4.1f}, {eta} left'
                )


def export(training: Training, lock: IO[str]) -> tuple[Path, Path]:
    """Export the student; returns its plain config and its weights."""
    folder = OUT / 'student'
    command = [sys.executable, 'tools/export_student.py', str(training.config), str(training.checkpoint)]
    for _ in run([*command, '--out', str(folder)], lock, OUT / 'export.log'):
        pass
    CONSOLE.print(f'[bold]export[/]: {folder / "student.py"} and {folder / "student.pth"}')
    return folder / 'student.py', folder / 'student.pth'


def test_through_mim(config: Path, checkpoint: Path, lock: IO[str]) -> dict[str, float]:
    """Test a plain config and its weights with mmdet alone, as whoever deploys it would."""
    CONSOLE.print(f'[bold]test[/]: mim test mmdet {config} --checkpoint {checkpoint}')
    command = [sys.executable, '-m', 'mim', 'test', 'mmdet', str(config), '--checkpoint', str(checkpoint)]
    return tested([*command, '--work-dir', str(OUT / 'test')], lock)


def tested(command: list[str], lock: IO[str]) -> dict[str, float]:
    """The scores in a test's output, in points."""
    text = ''.join(run(command, lock, OUT / 'test.log'))
    return {name: 100 * float(re.search(rf'{key}: (\S+)', text)[1]) for name, key in AP_KEYS.items()}


def last_scores(training: Training, lock: IO[str]) -> dict[str, float]:
    """Scores of the last validation; tested anew if the training was interrupted in it."""
    curve = validation_curve(training.work_dir)
    if training.epochs in curve:
        return curve[training.epochs]
    command = [sys.executable, 'tools/test.py', str(training.config), str(training.checkpoint)]
    return tested([*command, '--work-dir', str(OUT / 'test')], lock)


# What came out.


def load_models(exported: tuple[Path, Path]) -> dict[str, torch.nn.Module]:
    """Title -> detector, on the GPU if there is one."""
    files = {training.title: (training.config, training.checkpoint) for training in (TEACHER, ALONE)}
    files[DISTILLED.title] = exported
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with redirect_stdout(io.StringIO()):
        return {
            title: init_detector(str(config), str(weights), palette='random', device=device)
            for title, (config, weights) in files.items()
        }


def measure(models: dict[str, torch.nn.Module], images: int = 60) -> dict[str, dict[str, Any]]:
    """Parameters, and images per second of single images, from picture to boxes.

    The models take turns on the same images, so that whatever else the machine does meets all of them alike.
    """
    dataset = validation_set()
    seconds: dict[str, list[float]] = {title: [] for title in models}
    for index in range(images):
        batch = pseudo_collate([dataset[index % len(dataset)]])
        for title, model in models.items():
            start = time.perf_counter()
            with torch.inference_mode():
                model.test_step(batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[title].append(time.perf_counter() - start)
    return {
        title: dict(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            images_per_second=1 / statistics.median(seconds[title][5:]),  # the first ones warm up
        )
        for title, model in models.items()
    }


def report(rows: list[dict[str, Any]]) -> None:
    """Print the table, and leave it as Markdown and as numbers."""
    heads = ['', *AP_KEYS, 'parameters', 'images/s']
    cells = [
        [
            row['model'],
            *(f'{row[key]:.1f}' for key in AP_KEYS),
            f'{row["parameters"] / 1e6:.2f} M',
            f'{row["images_per_second"]:.0f}',
        ]
        for row in rows
    ]
    table = Table(*heads, title='Shapes, validation split')
    for column in table.columns[1:]:
        column.justify = 'right'
    for row in cells:
        table.add_row(*row)
    CONSOLE.print(table)
    by_title = {row['model']: row for row in rows}
    gain = by_title[DISTILLED.title]['AP'] - by_title[ALONE.title]['AP']
    CONSOLE.print(f'With the teacher the same student reaches {gain:+.1f} AP in the same number of steps.')
    lines = [heads, ['---', *['---:'] * (len(heads) - 1)], *cells]
    (OUT / 'table.md').write_text(''.join(f'| {" | ".join(line)} |\n' for line in lines))
    write_json(OUT / 'table.json', rows)


def draw_pictures(models: dict[str, torch.nn.Module]) -> None:
    """Draw the validation curves, and the detections on the first images with five shapes or more."""
    curves = {
        training.title: {epoch: scores['AP'] for epoch, scores in validation_curve(training.work_dir).items()}
        for training in TRAININGS
    }
    draw_curves(curves, OUT / 'curves.png', {training.title: training.colour for training in TRAININGS})
    dataset = validation_set()
    crowded = [index for index in range(len(dataset)) if len(dataset.get_data_info(index)['instances']) >= 5]
    side_by_side = {title: models[title] for title in (ALONE.title, DISTILLED.title, TEACHER.title)}
    draw_detections(side_by_side, dataset, crowded[:4], OUT / 'detections.png')


def validation_set() -> Any:
    """The validation split as the configs read it."""
    with redirect_stdout(io.StringIO()):  # pycocotools reports to it
        return DATASETS.build(Config.fromfile(ALONE.config).val_dataloader.dataset)


# Small things.


def bar(title: str) -> Progress:
    """A progress bar with one task; invisible where there is no terminal."""
    columns = [TextColumn('  {task.description}'), BarColumn(), TimeElapsedColumn()]
    progress = Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal)
    progress.add_task(title, total=None)
    return progress


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the demo ends its training
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('\nInterrupted. The same command continues from here.')

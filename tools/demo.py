#!/usr/bin/env python
"""The main job from end to end, on a set of shapes that is drawn first.

A teacher is trained, then a small student without it and with it: the same initial weights, the same data in the same
order, the same number of steps. The distilled student is exported, and tested by plain MMDetection. What is seen is
printed as one table and left in work_dirs/demo. An interrupted demo continues where it stopped.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from mmdet.apis import init_detector  # noqa: E402
from mmdet.registry import DATASETS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from rich.console import Console  # noqa: E402

from mmdet_kd.comparison import (  # noqa: E402
    Lock,
    Recipe,
    Training,
    Watch,
    alone_in,
    bar,
    clear,
    export,
    exported_scores,
    markdown,
    run_command,
    shown,
    train,
)
from mmdet_kd.datasets import ShapesSpec, draw_shapes  # noqa: E402
from mmdet_kd.report import Model, report  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402
from mmdet_kd.runtime.results import AP_KEYS, validation_curve, write_json  # noqa: E402
from mmdet_kd.visualization import draw_curves, draw_detections  # noqa: E402

CONFIGS = Path('configs/demo')
OUT = Path('work_dirs/demo')
TOOLS = Path('tools')
SPEC = ShapesSpec()
CONSOLE = Console(highlight=False, soft_wrap=True)
TEACHER, ALONE, DISTILLED = 'teacher', 'student alone', 'student distilled'
#: Title -> its config, and the colour of its curve.
TRAININGS = {
    TEACHER: (CONFIGS / 'shapes_teacher.py', 'tab:gray'),
    ALONE: (CONFIGS / 'shapes_student.py', 'tab:blue'),
    DISTILLED: (CONFIGS / 'shapes_distilled.py', 'tab:orange'),
}


def main() -> None:
    """Run whatever is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fresh', action='store_true', help='forget what an earlier demo left, and do all of it again')
    args = parser.parse_args()
    os.chdir(ROOT)
    # Layers as small as these get slower, not faster, from many threads.
    os.environ.setdefault('OMP_NUM_THREADS', str(min(8, torch.get_num_threads())))
    start = time.monotonic()
    with cli.command_line(), alone_in(OUT) as lock:
        if args.fresh:
            forget(OUT)
        draw_data()
        trainings = train_all(TEACHER, lock=lock)
        trainings |= train_all(ALONE, DISTILLED, lock=lock)  # whose fingerprints depend on the teacher's weights
        scores = {title: training.reached()['scores'] for title, training in trainings.items()}
        exported = export(trainings[DISTILLED], OUT / 'student', TOOLS, lock)
        CONSOLE.print(f'[bold]export[/]: {" and ".join(map(str, exported))}')
        scores[DISTILLED] = exported_scores(trainings[DISTILLED], exported, TOOLS, CONSOLE, lock)
        models = load_models(trainings, exported)
        compared = [trainings[ALONE], trainings[DISTILLED]]
        found = report(compared, OUT, CONSOLE, beside=[trainings[TEACHER]])
        rows = [{'model': title, **scores[title], **size_and_speed(found.models[title])} for title in models]
        show_table(rows)
        draw_pictures(trainings, models)
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    CONSOLE.print(f'\nThis run of the demo took {minutes} min {seconds:02d} s. It left in {OUT}:')
    CONSOLE.print(
        '  report.html, report.md, table.md, curves.png, detections.png, and the exported student in student/'
    )


def forget(folder: Path) -> None:
    """Empty the demo's folder, but for the lock that is held."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != '.lock':
            entry.unlink()


# The steps.


def draw_data() -> None:
    """Draw the set, or find it drawn."""
    root = data_root()
    with bar(CONSOLE, 'drawing shapes', total=None) as progress:
        draw_shapes(root, SPEC, lambda done, total: progress.update(0, completed=done, total=total))
    CONSOLE.print(f'[bold]data[/]: {SPEC.num_train} + {SPEC.num_val} images of shapes in {root}')


def training_of(title: str) -> Training:
    """One of the three trainings. It begins anew when the data, the code or its teacher's weights are others."""
    config, _ = TRAININGS[title]
    files = (Path(data_root()) / 'shapes.json', *sorted(Path('mmdet_kd').rglob('*.py')))
    return Training(title, Recipe(str(config), files=files), OUT / config.stem)


def train_all(*titles: str, lock: Lock) -> dict[str, Training]:
    """Train some of the three, or continue, or find them done."""
    trainings = {title: training_of(title) for title in titles}
    watch = Watch(CONSOLE, [training for training in trainings.values() if training.state != 'finished'])
    for title, training in trainings.items():
        clear(training)
        train(training, TOOLS, watch.follow, lock)
        epochs = training.recipe.read().train_cfg.max_epochs
        CONSOLE.print(f'[bold]{title}[/]: trained for {epochs} epochs, {training.checkpoint}')
    return trainings


# What came out.


def load_models(trainings: dict[str, Training], exported: tuple[Path, Path]) -> dict[str, torch.nn.Module]:
    """Title -> detector, on the GPU if there is one."""
    files = {title: (trainings[title].recipe.config, trainings[title].checkpoint) for title in (TEACHER, ALONE)}
    files[DISTILLED] = exported
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with redirect_stdout(io.StringIO()):
        return {
            title: init_detector(str(config), str(weights), palette='random', device=device)
            for title, (config, weights) in files.items()
        }


def size_and_speed(model: Model) -> dict[str, Any]:
    """Parameters, and images per second of single images, from picture to boxes."""
    return dict(parameters=model.parameters, images_per_second=model.speed)


def show_table(rows: list[dict[str, Any]]) -> None:
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
    CONSOLE.print(shown([heads, *cells], 'Shapes, validation split'))
    by_title = {row['model']: row for row in rows}
    gain = by_title[DISTILLED]['AP'] - by_title[ALONE]['AP']
    CONSOLE.print(f'With the teacher the same student reaches {gain:+.1f} AP in the same number of steps.')
    (OUT / 'table.md').write_text(f'{markdown([heads, *cells])}\n')
    write_json(OUT / 'table.json', rows)


def draw_pictures(trainings: dict[str, Training], models: dict[str, torch.nn.Module]) -> None:
    """Draw the validation curves, and the detections on the first images with five shapes or more."""
    curves = {
        title: {epoch: scores['AP'] for epoch, scores in validation_curve(training.work_dir).items()}
        for title, training in trainings.items()
    }
    draw_curves(curves, OUT / 'curves.png', {title: colour for title, (_, colour) in TRAININGS.items()})
    dataset = validation_set()
    crowded = [index for index in range(len(dataset)) if len(dataset.get_data_info(index)['instances']) >= 5]
    side_by_side = {title: models[title] for title in (ALONE, DISTILLED, TEACHER)}
    draw_detections(side_by_side, dataset, crowded[:4], OUT / 'detections.png')


def validation_set() -> Any:
    """The validation split as the configs read it."""
    with redirect_stdout(io.StringIO()):  # pycocotools reports to it
        return DATASETS.build(Config.fromfile(TRAININGS[ALONE][0]).val_dataloader.dataset)


def data_root() -> str:
    """Where the configs look for the set."""
    return Config.fromfile(TRAININGS[ALONE][0]).data_root


if __name__ == '__main__':
    run_command(main)

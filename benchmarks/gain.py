#!/usr/bin/env python
"""Train the rows of a table and keep what each of them reached.

A table is a file in benchmarks/tables: rows, the first of which is the one that the others are compared with, and
seeds. A row is a config, or dict(config=..., options={...}) with what differs from it, as --cfg-options take it.
With one seed every row starts from the same weights, where they have the same student, and sees the same data in the
same order. What benchmarks/results/<table>.json has is not trained again, an interrupted training continues; a row
whose config, teacher or annotations are others by now begins anew, and is left out of the table until it is asked for.
When all rows of all seeds are asked for, what a step costs (see step_time.py) is measured last, with the weights of the
first seed, which are trained for that if they are gone; leave the machine alone then. `make docs` puts the numbers into
the documents.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import torch  # noqa: E402
from costs import PLAIN, STUDENT, distilled_by, memory_of, tax, works_of  # noqa: E402
from gain_input import read_table, score_problems  # noqa: E402
from gain_table import MEMORY, known_rows, table_cells  # noqa: E402
from meter import Work, in_turns, median  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.runner import Runner, set_random_seed  # noqa: E402
from step_time import set_up  # noqa: E402
from steps import Batch, build, step_of, taught_by_a_detector_alone  # noqa: E402

from mmdet_kd.comparison import (  # noqa: E402
    Recipe,
    Training,
    Watch,
    annotations_of,
    clear,
    console_of_command,
    run_command,
    shown,
    teachers_in_files,
    train,
)
from mmdet_kd.errors import DistillationError, raise_if_any  # noqa: E402
from mmdet_kd.report import Cost, Findings, unlike_rows, write_report  # noqa: E402
from mmdet_kd.report.detectors import detector_of  # noqa: E402
from mmdet_kd.report.gather import silence  # noqa: E402
from mmdet_kd.report.looking import look  # noqa: E402
from mmdet_kd.report.work_dirs import classes_of, sizes_of  # noqa: E402
from mmdet_kd.runtime.cli import command_line  # noqa: E402
from mmdet_kd.runtime.digests import files_digest  # noqa: E402
from mmdet_kd.runtime.results import read_results, write_json  # noqa: E402
from mmdet_kd.unknown_names import nearest  # noqa: E402

STEP = distilled_by('as it comes')  # of a row's training, taught or not
CONSOLE = console_of_command()


def main() -> None:
    """Train what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', help='e.g. benchmarks/tables/half-resolution.py')
    parser.add_argument('--rows', nargs='+', help='only these (default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, help="only these (default: the table's)")
    parser.add_argument('--work-dir', default='work_dirs/gain', help='for the trainings (default: %(default)s)')
    parser.add_argument('--results', default='benchmarks/results', help='for the numbers (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=20, help='turns to measure a step in (default: %(default)s)')
    args = parser.parse_args()
    with command_line():
        fill(args)


def fill(args: argparse.Namespace) -> None:
    """Train what is not done yet, and print the table.

    Raises:
        DistillationError: the table, a row of it or a config is missing, or a row cannot be trained or judged.
    """
    path = Path(args.table).resolve()
    os.chdir(ROOT)
    os.environ.setdefault('GOMP_SPINCOUNT', '2000')  # see mmdet_kd/comparison/stages.py
    table = read_table(path)
    recipes = recipes_of(table, args.rows)
    raise_if_any([p for recipe in recipes.values() for p in score_problems(recipe.config, recipe.read())])
    require_weights(recipes.values())
    results, folder = Path(args.results) / f'{path.stem}.json', Path(args.work_dir) / path.stem
    require_first_row(table, recipes, read_results(results))
    with_costs = not args.rows and not args.seeds
    runs = [
        training_of(row, recipe, seed, folder) for seed in args.seeds or table.seeds for row, recipe in recipes.items()
    ]
    runs = [run for run in runs if not is_known(run, results) or (with_costs and run.seed == table.seeds[0])]
    watch = Watch(CONSOLE, [run for run in runs if run.state != 'finished'])
    for run in runs:
        finish(run, watch, results, list(table.rows))
    if with_costs:
        measure_costs(recipes, table.seeds[0], results, folder, args.repeats)
    content = rows_of_now(known_rows(read_results(results), table), table, recipes)
    CONSOLE.print(shown(table_cells(content, table), table.title))
    if next(iter(table.rows)) in content:  # with which the others are compared
        costs = {row: Cost(found['step, s']['value']) for row, found in content.items() if 'step, s' in found}
        commands = [f'python benchmarks/gain.py {args.table}']
        write_report(Findings(content, costs=costs, unlike=unlike_rows(content), commands=commands), folder)
        CONSOLE.print(f'Report: {folder}/report.html', markup=False)


def recipes_of(table: Config, asked: Sequence[str] | None) -> dict[str, Recipe]:
    """Row -> what it trains, for those that are asked for, or all.

    Raises:
        DistillationError: the table has no such row.
    """
    unknown = sorted(set(asked or ()) - set(table.rows))
    raise_if_any([f'the table has no row {row!r}. {nearest(row, table.rows)}' for row in unknown])
    return {row: recipe_of(table.rows[row]) for row in asked or table.rows}


def recipe_of(row: str | Config) -> Recipe:
    """What a row of a table says: a config, or one with options."""
    return Recipe(row) if isinstance(row, str) else Recipe(row.config, tuple(row.get('options', {}).items()))


def training_of(row: str, recipe: Recipe, seed: int, folder: Path) -> Training:
    """A row of a table with a seed; it is trained in a folder of the table's trainings."""
    return Training(row, recipe, folder / re.sub(r'\W+', '-', row) / f'seed{seed}', seed, mark='gain.json')


def require_weights(recipes: Iterable[Recipe]) -> None:
    """Stop before anything is trained if weights are missing that some row will want.

    Raises:
        DistillationError: with all that are missing.
    """
    missing = [f'{file}, for {recipe.config}' for recipe in recipes for file in recipe.weights if not file.is_file()]
    if missing:
        raise DistillationError(
            [
                'there is no\n  '
                + '\n  '.join(missing)
                + "\nRun `make demo`, which leaves the demo's; how others are made stands in these configs."
            ]
        )


def require_first_row(table: Config, recipes: Mapping[str, Recipe], content: Mapping[str, Any]) -> None:
    """Stop where rows would be compared with a first row that was trained by another config than it has now.

    Raises:
        DistillationError: the first row is not asked for, and its numbers are of something else.
    """
    first, definition = next(iter(table.rows.items()))
    if first in recipes or first not in content or is_of(content[first], recipe_of(definition)):
        return
    raise DistillationError(
        [
            f'the row {first!r}, with which the others are compared, was trained by another config or teacher than it '
            f'has now: ask for it too, --rows {first!r} ...'
        ]
    )


def is_of(row: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a row of results is of a recipe as its config, teacher and data are now.

    Raises:
        DistillationError: weights of the recipe are missing.
    """
    if row.get('fingerprint') != recipe.fingerprint:
        return False
    return 'inputs' not in row or row['inputs'] == inputs_of(recipe)  # older results do not have them


def inputs_of(recipe: Recipe) -> str:
    """What a result depends on beside the config and the weights: its teachers' own configs, and its annotations."""
    cfg = recipe.read()
    found = [files_digest(annotations_of(cfg))['digest'], *teachers_in_files(cfg)]
    return hashlib.sha256('\n'.join(found).encode()).hexdigest()[:16]


def rows_of_now(content: Mapping[str, Any], table: Config, read: Mapping[str, Recipe]) -> dict[str, Any]:
    """The rows that are of their configs as these are now; those left out, and those that cannot be told, are named.

    Args:
        content: row -> what was written of it.
        table: with what each row trains.
        read: the same of those rows whose configs were read already, which takes a while.
    """
    kept = {}
    for row, found in content.items():
        recipe = read.get(row) or recipe_of(table.rows[row])
        missing = [str(file) for file in recipe.weights if not file.is_file()]
        if missing:
            CONSOLE.print(f'{row} was not compared with its config: there is no {missing[0]}', markup=False)
        elif not is_of(found, recipe):
            CONSOLE.print(f'{row} is left out: its config, teacher or annotations have changed since', markup=False)
            continue
        kept[row] = found
    return kept


def is_known(run: Training, results: Path) -> bool:
    """Whether the results have the numbers of a run, as its config, its teacher and its data are now.

    Those by size and class may lack where its training is gone.
    """
    row = read_results(results).get(run.title, {})
    if not is_of(row, run.recipe) or str(run.seed) not in row['seeds']:
        return False
    return 'classes' in row['seeds'][str(run.seed)] or run.state != 'finished'


def finish(run: Training, watch: Watch, results: Path, order: list[str]) -> None:
    """Train a run to its end, unless its work dir says that this was done, and put it into the results.

    Args:
        run: the run.
        watch: shows how it goes.
        results: file of the table's numbers.
        order: all rows of the table.
    """
    clear(run)
    train(run, ROOT / 'tools', watch.follow)
    entry = {**run.reached(), **detail(run)}
    content = read_results(results)  # now: another row may have been finished beside this one
    row = content.get(run.title, {})
    if not is_of(row, run.recipe):
        row = dict(seeds={})  # the old are of something else
    known_by = dict(fingerprint=run.recipe.fingerprint, inputs=inputs_of(run.recipe))
    seeds = dict(sorted({**row['seeds'], str(run.seed): entry}.items()))
    content[run.title] = {**row, **describe(run.recipe), **known_by, 'seeds': seeds}
    # in the table's order; a row that this table does not know stays, another version of the table has it
    write_json(results, {row: content[row] for row in (*order, *content) if row in content})
    CONSOLE.print(f'{run}: AP {entry["scores"]["AP"]:.1f}', markup=False)


def detail(run: Training) -> dict[str, dict[str, float]]:
    """The AP by size and by class, of the student as it is at the end of a training: the log has no classes."""
    with silence():
        looked = look({run.title: detector_of(run)}, most=sys.maxsize, seconds=math.inf)
    found = dict(sizes=sizes_of(looked.logged[run.title]), classes=classes_of(looked.logged[run.title]))
    return {kind: {name: round(score, 2) for name, score in scores.items()} for kind, scores in found.items()}


def describe(recipe: Recipe) -> dict[str, Any]:
    """What the results say of what a row trains; also whether its student starts with a teacher's neck and heads."""
    options = dict(options=dict(recipe.options)) if recipe.options else {}
    return dict(config=recipe.config, **options, **(dict(inherits=True) if recipe.inherits else {}))


def measure_costs(recipes: Mapping[str, Recipe], seed: int, results: Path, folder: Path, repeats: int) -> None:
    """Put into the results what a step of each row takes, and its tax and memory where a detector alone teaches it.

    A step of the training as it was at the end, with the first seed: its weights, and its first batch. On a CPU, one
    core takes it: several wait for each other whenever something else wants one of them.
    """
    set_up()
    torch.set_num_threads(1)
    works: dict[tuple[str, str], Work] = {}
    begun = {row: (cfg := recipe.read(), first_batch(cfg)) for row, recipe in recipes.items()}
    for row, (cfg, batch) in begun.items():
        weights = training_of(row, recipes[row], seed, folder).checkpoint
        taught = taught_by_a_detector_alone(cfg)
        kinds = works_of(cfg, batch, weights=weights) if taught else {STEP: step_of(build(cfg, weights), cfg, batch)}
        works |= {(row, kind): work for kind, work in kinds.items()}
    found = in_turns(works, repeats)
    content = read_results(results)
    for row, (cfg, batch) in begun.items():
        content[row]['step, s'] = median(found[row, STEP])
        if (row, STUDENT) in found:
            content[row]['tax'] = tax(*(found[row, kind] for kind in (STEP, STUDENT, PLAIN)))
            content[row][MEMORY] = memory_of(cfg, batch)[MEMORY]
    write_json(results, content)


def first_batch(cfg: Config) -> Batch:
    """The first batch of a training."""
    set_random_seed(0)
    loader = {**cfg.train_dataloader, 'num_workers': 0, 'persistent_workers': False}
    with redirect_stdout(StringIO()):  # pycocotools says what it loads
        return next(iter(Runner.build_dataloader(loader, seed=0)))


if __name__ == '__main__':
    run_command(main)

#!/usr/bin/env python
"""How hard each distiller of the rows of a table pulls the student, beside its own losses.

Of each distiller it is the norm of the gradient of its losses at the maps that are compared, as a multiple of that of
the student's own losses: over a few batches with which the training begins, and with --epochs once more after so many
epochs of it. Numbers that hooks move are looked at where they end. A gradient is proportional to the weight of its
loss, so of rows that differ in such weights alone one is measured at the start, and the others are calculated. What
benchmarks/results/gradient_shares_TABLE.json has is not measured again, unless the config changes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from gain import CONSOLE, Recipe, describe, recipes_of, require_weights  # noqa: E402
from gain_input import read_table  # noqa: E402
from mmengine.config import Config  # noqa: E402

from mmdet_kd.checks import begin_training, quiet_config, take_training_steps  # noqa: E402
from mmdet_kd.errors import DistillationError  # noqa: E402
from mmdet_kd.runtime.cli import command_line  # noqa: E402
from mmdet_kd.runtime.results import read_results, write_json  # noqa: E402

#: Name of a distiller -> its gradient, as a multiple of the student's own.
Shares = dict[str, float]
#: A recipe without its weights -> the weights with which it was measured, and the shares.
Known = dict[str, tuple[dict[str, float], Shares]]


def main() -> None:
    """Measure what is not known yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', help='e.g. benchmarks/tables/bccd-two-stage-weights.py')
    parser.add_argument('--rows', nargs='+', help='only these (default: all)')
    parser.add_argument('--epochs', type=int, default=0, help='train each row for so many, and measure again')
    parser.add_argument('--steps', type=int, default=4, help='batches (default: %(default)s)')
    parser.add_argument('--results', default='benchmarks/results', help='for the numbers (default: %(default)s)')
    args = parser.parse_args()
    with command_line():
        measure_table(args)


def measure_table(args: argparse.Namespace) -> None:
    """Measure the rows of a table that have distillers.

    Raises:
        DistillationError: the table, a row of it or a config is missing, or a training fails.
    """
    path, results_folder = Path(args.table).resolve(), Path(args.results).resolve()
    os.chdir(ROOT)
    table = read_table(path)
    recipes = {
        row: recipe for row, recipe in recipes_of(table, args.rows).items() if recipe.read().model.get('distillers')
    }
    require_weights(recipes.values())
    results = results_folder / f'gradient_shares_{path.stem}.json'
    known: Known = {}
    for row, recipe in recipes.items():
        entry = read_results(results).get(row, {})
        if entry.get('fingerprint') != recipe.fingerprint:
            entry = dict(**describe(recipe), fingerprint=recipe.fingerprint)
        if 'start' not in entry:
            entry['start'] = at_the_start(recipe, args.steps, known)
        later = f'epoch {args.epochs}'
        if args.epochs and later not in entry:
            entry[later] = after_epochs(recipe, args.steps, args.epochs)
        content = {**read_results(results), row: entry}
        # in the table's order; a row that this table does not know stays, another version of the table has it
        write_json(results, {each: content[each] for each in (*table.rows, *content) if each in content})
        CONSOLE.print(f'{row}: {entry["start"]}' + (f', {later}: {entry[later]}' if later in entry else ''))


def at_the_start(recipe: Recipe, steps: int, known: Known) -> Shares:
    """The shares of a fresh student, measured or, where another row differs in the weights alone, calculated."""
    cfg = recipe.read()
    weights = weights_of(cfg.model.distillers)
    rest = Recipe(recipe.config, tuple(each for each in recipe.options if not is_weight(each[0], weights)))
    if str(rest) in known:
        before, shares = known[str(rest)]
        factors = {name: factors_of(name, before, weights) for name in shares}
        if all(len(each) == 1 for each in factors.values()):
            return {name: rounded(share * factors[name].pop()) for name, share in shares.items()}
    shares = measure(cfg, steps)
    known[str(rest)] = weights, shares
    return {name: rounded(share) for name, share in shares.items()}


def is_weight(option: str, weights: Mapping[str, float]) -> bool:
    """Whether an option of a row sets one of these weights."""
    return option.removeprefix('model.distillers.') in weights


def weights_of(distillers: Mapping[str, Any]) -> dict[str, float]:
    """Dotted name -> the weight of each loss in the configs of distillers, or of each of its parts."""
    found: dict[str, float] = {}
    for name, distiller in distillers.items():
        for key, value in (distiller or {}).items():  # None leaves an inherited one out
            if isinstance(value, Mapping) and 'loss_weight' in value:
                found[f'{name}.{key}.loss_weight'] = float(value['loss_weight'])
            elif key.endswith('_weight'):
                found[f'{name}.{key}'] = float(value)
    return found


def factors_of(distiller: str, before: Mapping[str, float], after: Mapping[str, float]) -> set[float]:
    """By which factors the weights of a distiller differ; one, if they all do alike."""
    own = {key for key in (*before, *after) if key.startswith(f'{distiller}.')}
    if any(key not in before or key not in after for key in own):
        return set()
    return {float(f'{after[key] / before[key]:.9g}') if before[key] else 0.0 for key in own} or {1.0}


def after_epochs(recipe: Recipe, steps: int, epochs: int) -> Shares:
    """The shares of a student that was taught for so many epochs."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f'{key}={value}' for key, value in (*recipe.options, ('train_cfg.max_epochs', epochs))]
        options.append(f'train_cfg.val_interval={epochs + 1}')
        command = [sys.executable, 'tools/train.py', recipe.config, '--work-dir', folder, '--cfg-options', *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise DistillationError([f'{recipe.config} could not be trained: {done.stderr[-2000:]}'])
        cfg = recipe.read()
        cfg.load_from = f'{folder}/epoch_{epochs}.pth'
        return {name: rounded(share) for name, share in measure(cfg, steps).items()}


def measure(cfg: Config, steps: int) -> Shares:
    """The shares in a few steps from where a training of this config begins."""
    with tempfile.TemporaryDirectory() as folder:
        runner = begin_training(quiet_config(cfg, Path(folder)))
        taken = take_training_steps(runner, steps, ramps=1.0)
        return {name: taken.gradient_times_own(name) for name in runner.model.distillers}


def rounded(share: float) -> float:
    """To four digits."""
    return float(f'{share:.4g}')


if __name__ == '__main__':
    main()

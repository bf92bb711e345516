#!/usr/bin/env python
"""Train the rows of a table and keep what each of them reached.

A table is a file in benchmarks/tables: rows, the first of which is the one that the others are compared with, and
seeds. With one seed every row starts from the same weights, where they have the same student, and sees the same data in
the same order. Finished rows are kept, an interrupted one continues. The numbers go to benchmarks/results/<table>.json,
from where `make docs` puts them into the documents. The teachers are those that `make demo` leaves.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mmengine.config import Config  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from mmdet_kd.runtime.results import AP_KEYS, read_json, validation_curve, write_json  # noqa: E402

CONSOLE = Console(highlight=False, soft_wrap=True)


class Run(NamedTuple):
    """One row of a table with one seed.

    Args:
        row: name of the row.
        config: what it trains.
        seed: of weights, order and augmentation.
        folder: of the table's trainings.
    """

    row: str
    config: str
    seed: int
    folder: Path

    @property
    def work_dir(self) -> Path:
        """Where its log and its checkpoints lie."""
        return self.folder / re.sub(r'\W+', '-', self.row) / f'seed{self.seed}'

    @property
    def fingerprint(self) -> str:
        """Changes with its config."""
        return hashlib.sha256(Config.fromfile(self.config).pretty_text.encode()).hexdigest()[:16]


def main() -> None:
    """Train what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', help='e.g. benchmarks/tables/half-resolution.py')
    parser.add_argument('--rows', nargs='+', help='only these (default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, help="only these (default: the table's)")
    parser.add_argument('--work-dir', default='work_dirs/gain', help='for the trainings (default: %(default)s)')
    parser.add_argument('--results', default='benchmarks/results', help='for the numbers (default: %(default)s)')
    args = parser.parse_args()
    path = Path(args.table).resolve()
    os.chdir(ROOT)
    os.environ.setdefault('GOMP_SPINCOUNT', '2000')  # see tools/demo.py
    table = Config.fromfile(path)
    unknown = sorted(set(args.rows or ()) - set(table.rows))
    if unknown:
        sys.exit(f'error: the table has no row {", ".join(unknown)}; it has {", ".join(table.rows)}')
    results = Path(args.results) / f'{path.stem}.json'
    for seed in args.seeds or table.seeds:
        for row in args.rows or table.rows:
            finish(Run(row, table.rows[row], seed, Path(args.work_dir) / path.stem), results, list(table.rows))
    show(read_json(results), table.title)


def finish(run: Run, results: Path, order: list[str]) -> None:
    """Train a run to its end, unless it is there already, and add it to the results."""
    known = read_json(results).get(run.row, {}).get(str(run.seed), {})
    if known.get('fingerprint') == run.fingerprint:
        return
    train(run)
    curve = validation_curve(run.work_dir)
    last = max(curve)
    entry = dict(fingerprint=run.fingerprint, config=run.config, scores=curve[last], curve=curve)
    content = read_json(results)  # now: another row may have been finished beside this one
    content.setdefault(run.row, {})[str(run.seed)] = entry
    write_json(results, {row: content[row] for row in order if row in content})
    CONSOLE.print(f'{run.row}, seed {run.seed}: AP {curve[last]["AP"]:.1f}')


def train(run: Run) -> None:
    """Start or continue a training, as a user would."""
    mark = run.work_dir / 'gain.json'
    if run.work_dir.exists() and read_json(mark).get('fingerprint') != run.fingerprint:
        shutil.rmtree(run.work_dir)  # of another config
    run.work_dir.mkdir(parents=True, exist_ok=True)
    write_json(mark, dict(fingerprint=run.fingerprint))
    command = [sys.executable, 'tools/train.py', run.config, '--work-dir', str(run.work_dir), '--resume']
    with (run.work_dir / 'console.log').open('a') as log:
        done = subprocess.run(
            [*command, '--cfg-options', f'randomness.seed={run.seed}'], stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        sys.exit(f'error: {run.row}, seed {run.seed}, failed; the reason stands at the end of {log.name}')


def show(content: dict[str, Any], title: str) -> None:
    """Print a table."""
    heads, *rows = table_cells(content)
    table = Table(*heads, title=title)
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(table)


def table_cells(content: dict[str, Any]) -> list[list[str]]:
    """The cells of a table of results, its head first: means over the seeds, with their spread, and the gain in AP."""
    seeds = {row: len(runs) for row, runs in content.items()}
    cells = [['', *AP_KEYS, 'gain in AP', 'seeds']]
    first = next(iter(content.values()))
    for row, runs in content.items():
        scores = [spread([run['scores'][key] for run in runs.values()]) for key in AP_KEYS]
        gains = [run['scores']['AP'] - first[seed]['scores']['AP'] for seed, run in runs.items() if seed in first]
        gain = '' if runs is first or not gains else f'{statistics.mean(gains):+.1f}'
        cells.append([row, *scores, gain, str(seeds[row])])
    return cells


def spread(values: list[float]) -> str:
    """Mean, and standard deviation where there is one."""
    mean = f'{statistics.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Train the rows of a table and keep what each of them reached.

A table is a file in benchmarks/tables: rows, the first of which is the one that the others are compared with, and
seeds. With one seed every row starts from the same weights, where they have the same student, and sees the same data
in the same order. Finished rows are kept, an interrupted one continues. When all rows of all seeds are asked for, what
a step costs (see step_time.py) is measured last; leave the machine alone then. The numbers go to
benchmarks/results/<table>.json, from where `make docs` puts them into the documents. The teachers are those that
`make demo` leaves.
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
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from meter import in_turns, quartiles  # noqa: E402
from mmengine.config import Config  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from scipy import stats  # noqa: E402
from step_time import measure, set_up  # noqa: E402
from steps import Workload, build, prepared, step_of, teachers_of  # noqa: E402

from mmdet_kd.runtime.results import AP_KEYS, read_json, trained_steps, validation_curve, write_json  # noqa: E402

CONSOLE = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


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
        """Changes with its config, wherever the checkout lies."""
        text = Config.fromfile(self.config).pretty_text.replace(str(ROOT), '')
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    require_weights(table.rows[row] for row in args.rows or table.rows)
    results = Path(args.results) / f'{path.stem}.json'
    for seed in args.seeds or table.seeds:
        for row in args.rows or table.rows:
            finish(Run(row, table.rows[row], seed, Path(args.work_dir) / path.stem), results, list(table.rows))
    if not args.rows and not args.seeds:
        measure_costs(table.rows, results)
    show(read_json(results), table.title)


def require_weights(configs: Iterable[str]) -> None:
    """Stop before anything is trained if weights are missing that some row will want."""
    missing = []
    for config in configs:
        cfg = Config.fromfile(config)
        for file in (*(teacher.checkpoint for teacher in teachers_of(cfg)), cfg.get('load_from')):
            if file and '://' not in file and not Path(file).is_file():
                missing.append(f'{file}, for {config}')
    if missing:
        sys.exit(
            'error: there is no\n  '
            + '\n  '.join(missing)
            + "\nRun `make demo`, which leaves the demo's; how others are made stands in these configs."
        )


def finish(run: Run, results: Path, order: list[str]) -> None:
    """Train a run to its end, unless its work_dir says that this was done, and put it into the results."""
    mark = run.work_dir / 'gain.json'
    if read_json(mark) != dict(fingerprint=run.fingerprint, finished=True):
        train(run, mark)
    curve = validation_curve(run.work_dir)
    last = max(curve)
    entry = dict(scores=curve[last], curve=curve, steps=trained_steps(run.work_dir))
    content = read_json(results)  # now: another row may have been finished beside this one
    row = content.setdefault(run.row, {}) | dict(config=run.config)
    row['seeds'] = dict(sorted({**row.get('seeds', {}), str(run.seed): entry}.items()))
    content[run.row] = row
    write_json(results, {row: content[row] for row in order if row in content})
    CONSOLE.print(f'{run.row}, seed {run.seed}: AP {curve[last]["AP"]:.1f}')


def train(run: Run, mark: Path) -> None:
    """Start or continue a training, as a user would, and leave a mark of which config it was."""
    if run.work_dir.exists() and read_json(mark).get('fingerprint') != run.fingerprint:
        shutil.rmtree(run.work_dir)  # of another config
    run.work_dir.mkdir(parents=True, exist_ok=True)
    write_json(mark, dict(fingerprint=run.fingerprint, finished=False))
    command = [sys.executable, 'tools/train.py', run.config, '--work-dir', str(run.work_dir), '--resume']
    with (run.work_dir / 'console.log').open('a') as log:
        done = subprocess.run(
            [*command, '--cfg-options', f'randomness.seed={run.seed}'], stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        sys.exit(f'error: {run.row}, seed {run.seed}, failed; the reason stands at the end of {log.name}')
    write_json(mark, dict(fingerprint=run.fingerprint, finished=True))


def measure_costs(rows: dict[str, str], results: Path) -> None:
    """Put into the results what a step of each row takes, and its tax where a detector alone teaches it."""
    set_up()
    content = read_json(results)
    for row, path in rows.items():
        cfg = Config.fromfile(path)
        work = workload(cfg)
        if [teacher.get('type') for teacher in teachers_of(cfg)] == [None]:
            costs = measure(cfg, work, repeats=20, teachers={'as it comes': {}})
            content[row]['tax'] = costs['tax, teacher as it comes']
            content[row]['step, s'] = costs['distilled, teacher as it comes, s']
        else:
            step = step_of(build(prepared(cfg, work)), cfg, work)
            content[row]['step, s'] = quartiles(in_turns({'step': step}, repeats=20)['step'])
        write_json(results, content)


def workload(cfg: Config) -> Workload:
    """What a step of a training has to do."""
    loader = cfg.train_dataloader
    resize = next(step for step in loader.dataset.pipeline if step.type == 'Resize')
    sampled = dict(rois=cfg.model.train_cfg.rcnn.sampler.num) if 'rcnn' in cfg.model.train_cfg else {}
    return Workload(loader.batch_size, max(resize.scale), **sampled)


def show(content: dict[str, Any], title: str) -> None:
    """Print a table."""
    heads, *rows = table_cells(content)
    table = Table(*heads, title=title)
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(table)


def table_cells(content: dict[str, Any]) -> list[list[str]]:
    """The cells of a table of results, its head first.

    Means over the seeds, with their standard deviation; of the gain, with its 95 % confidence interval, paired by seed.
    """
    first = next(iter(content.values()))
    cells = [['', *AP_KEYS, 'gain in AP', 'step, s', 'tax', "steps to the first row's AP", 'seconds', 'seeds']]
    for row, found in content.items():
        runs = found['seeds']
        scores = [spread([run['scores'][key] for run in runs.values()]) for key in AP_KEYS]
        pairs = [(run, first['seeds'][seed]) for seed, run in runs.items() if seed in first['seeds']]
        gain = '' if found is first else interval([run['scores']['AP'] - alone['scores']['AP'] for run, alone in pairs])
        tax = f'{found["tax"]["median"]:.2f}' if 'tax' in found else ''
        step = f'{found["step, s"]["median"]:.2f}' if 'step, s' in found else ''
        steps = reach(pairs)
        seconds = f'{steps * found["step, s"]["median"]:.0f}' if steps and 'step, s' in found else ''
        cells.append([row, *scores, gain, step, tax, '' if steps is None else f'{steps:.0f}', seconds, str(len(runs))])
    return cells


def reach(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> float | None:
    """Steps until the first validation at which a run has the final AP of the one it is compared with.

    The mean over the pairs; None if one of them never has it.
    """
    reached = []
    for run, alone in pairs:
        epochs = [int(epoch) for epoch, scores in run['curve'].items() if scores['AP'] >= alone['scores']['AP']]
        if not epochs:
            return None
        reached.append(run['steps'] * min(epochs) / max(map(int, run['curve'])))
    return statistics.mean(reached) if reached else None


def interval(values: list[float]) -> str:
    """Mean, and its 95 % confidence interval where there is one."""
    if not values:
        return ''
    mean = f'{statistics.mean(values):+.1f}'
    if len(values) == 1:
        return mean
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    return f'{mean} ({low:+.1f} to {high:+.1f})'


def spread(values: list[float]) -> str:
    """Mean, and standard deviation where there is one."""
    mean = f'{statistics.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'


if __name__ == '__main__':
    main()

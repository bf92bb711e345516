#!/usr/bin/env python
"""What a change costs a training step: this checkout beside another one, in turns in one run.

Each checkout has a process of its own, which holds the steps of a distillation: the student's own, a plain pass of
the teacher, and the distilled step. The steps of both are timed one at a time, in an order that is shuffled anew each
turn, so that whatever else the machine does meets both alike. The student's own step and the plain pass are mmdet's,
the same in both checkouts, though two processes differ by a few percent in the same step: the taxes (see
step_time.py) of both rest on their mean, turn by turn. Prints seconds, taxes and memory of both, and the ratio of the
distilled steps with its 95 % confidence interval.

    git worktree add /tmp/before COMMIT
    python benchmarks/beside.py /tmp/before
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DISTILLED = 'distilled, teacher as it comes'


def main() -> None:
    """Measure both checkouts, config by config, and print."""
    args = parse_args()
    if args.worker:
        serve(Path(args.other), args)
        return
    sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]
    from step_time import CONFIGS, show

    for config in args.configs or CONFIGS:
        before, now = (Checkout(root, config, args) for root in (args.other, ROOT))
        found = take_turns({'before': before, 'now': now}, args.repeats)
        shared = means(found['before'], found['now'])
        rows = {n: report({**found[n], **shared}, side.memory()) for n, side in (('before', before), ('now', now))}
        show(rows, f'{Path(config).stem}: {args.other} (before) and this checkout (now)')
        print(f'a distilled step takes {ratio(found["now"][DISTILLED], found["before"][DISTILLED])} of what it took')
        before.close()
        now.close()


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('other', help='root of the other checkout')
    parser.add_argument('configs', nargs='*', help='distillations that both have (default: those of step_time.py)')
    parser.add_argument('--repeats', type=int, default=20, help='turns (default: %(default)s)')
    parser.add_argument('--images', type=int, default=2, help='a batch (default: %(default)s)')
    parser.add_argument('--size', type=int, default=320, help='pixels of their sides (default: %(default)s)')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


class Checkout:
    """A process that does the work of one checkout, when it is told to.

    Args:
        root: of the checkout.
        config: a distillation, relative to it.
        args: of the command line.
    """

    def __init__(self, root: str | Path, config: str, args: argparse.Namespace) -> None:
        options = ['--images', str(args.images), '--size', str(args.size), '--worker']
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(Path(root).resolve()), config, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.works: list[str] = self._answer()

    def seconds(self, work: str) -> float:
        """Of one run of a kind of work."""
        return self._ask(work)

    def memory(self) -> dict[str, float]:
        """What the distilled step holds; see costs.py."""
        return self._ask('memory')

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, question: str) -> Any:
        self._process.stdin.write(question + '\n')
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            sys.exit('error: a checkout could not be measured; what it said stands above')
        return json.loads(line)


def serve(root: Path, args: argparse.Namespace) -> None:
    """Do one checkout's work: a line names what is to be done, a line answers."""
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # whatever else is printed must not be taken for an answer
    os.chdir(root)
    sys.path[:1] = [str(root), str(root / 'benchmarks')]  # in the place of this file's own folder
    from costs import memory_of, works_of
    from meter import seconds
    from step_time import read_config, set_up
    from steps import Workload

    set_up()
    work = Workload(args.images, args.size)
    cfg = work.prepared(read_config(args.configs[0]))
    batch = work.batch(cfg)
    works = works_of(cfg, batch)
    print(json.dumps(list(works)), file=answers)
    for line in sys.stdin:
        name = line.strip()
        print(json.dumps(memory_of(cfg, batch) if name == 'memory' else seconds(works[name])), file=answers)


def take_turns(sides: Mapping[str, Checkout], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Side -> kind of work -> its seconds, turn by turn; the first two turns do not count."""
    order = [(name, work) for name, side in sides.items() for work in side.works]
    found = {name: {work: [] for work in side.works} for name, side in sides.items()}
    generator = random.Random(0)
    for turn in range(repeats + 2):
        generator.shuffle(order)
        for name, work in order:
            taken = sides[name].seconds(work)
            if turn >= 2:
                found[name][work].append(taken)
    return found


def means(before: Mapping[str, Sequence[float]], now: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Seconds of the work that the two checkouts share, the mean of both in each turn."""
    return {
        work: [(a + b) / 2 for a, b in zip(before[work], now[work], strict=True)]
        for work in before
        if work != DISTILLED
    }


def report(found: Mapping[str, Sequence[float]], memory: dict[str, float]) -> dict[str, Any]:
    """The row of one checkout."""
    from costs import costs_of

    return costs_of(found) | memory


def ratio(now: Sequence[float], before: Sequence[float]) -> str:
    """Of the medians, with its 95 % confidence interval from a bootstrap over the turns."""
    import numpy as np
    from scipy.stats import bootstrap

    def of_medians(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.median(a, axis=axis) / np.median(b, axis=axis)

    turns = np.asarray(now), np.asarray(before)
    interval = bootstrap(turns, of_medians, paired=True, method='percentile', rng=0).confidence_interval
    return f'{of_medians(*turns):.3f} ({interval.low:.3f} to {interval.high:.3f})'


if __name__ == '__main__':
    main()

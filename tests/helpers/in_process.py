"""Trainings of a comparison in this process, where all is imported, and not each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from .tiny import call_tool


@contextmanager
def _running_here(what: str, command: Sequence[Any], log: Path, lock: Any = None) -> Iterator[Iterator[str]]:
    before = log.stat().st_size if log.exists() else 0
    with log.open('a') as file, redirect_stdout(file), redirect_stderr(file):
        call_tool(*command[1:])
    with log.open() as file:
        file.seek(before)
        yield iter(file)


def _run_here(what: str, command: Sequence[Any], log: Path, lock: Any = None) -> str:
    log.parent.mkdir(parents=True, exist_ok=True)
    with _running_here(what, command, log, lock) as lines:
        return ''.join(lines)


def deliver_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have exports and their tests run here, as where mim is not installed."""
    monkeypatch.setattr('mmdet_kd.comparison.delivery.run', _run_here)
    monkeypatch.setattr('mmdet_kd.comparison.delivery.find_spec', lambda name: None)


def train_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trainings run here; they say the same."""
    monkeypatch.setattr('mmdet_kd.comparison.training.running', _running_here)

"""What a piece of work takes: seconds, bytes, and of a GPU's time."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

Work = Callable[[], object]
Name = TypeVar('Name', bound=Hashable)


def seconds(work: Work) -> float:
    """Of one run; on a GPU, of what it computes there."""
    if not torch.cuda.is_available():
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def in_turns(works: Mapping[Name, Work], repeats: int) -> dict[Name, list[float]]:
    """Seconds of each kind of work, each done once a turn.

    Whatever else the machine does meets all alike; and none always comes after the same other one, since each turn has
    an order of its own.
    """
    for _ in range(2):  # the first run finds out how to compute; of a compiled one, compiles
        for work in works.values():
            work()
    found: dict[Name, list[float]] = {name: [] for name in works}
    order = list(works)
    generator = random.Random(0)
    for _ in range(repeats):
        generator.shuffle(order)
        for name in order:
            found[name].append(seconds(works[name]))
    return found


def busy_and_waits(work: Work) -> tuple[float, int]:
    """Seconds for which one run keeps a GPU busy, and how often the host waits for it meanwhile.

    A copy from ordinary memory to the GPU is a wait too.
    """
    work()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as prof:
        work()
    events = prof.events()
    busy = sum(
        event.time_range.elapsed_us()
        for event in events
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    )
    waits = sum(event.name in ('cudaStreamSynchronize', 'cudaEventSynchronize') for event in events)
    return round(busy / 1e6, 4), waits


def peak_bytes(work: Work) -> int:
    """The most memory that is held at a time beyond what was held before."""
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        work()
    held = peak = 0
    # The allocations one by one; torch's public tables have them summed up by operator.
    events = [event for event in prof.profiler.kineto_results.events() if event.name() == '[memory]']
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def median(values: list[float]) -> dict[str, float]:
    """The median, and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return dict(value=round(middle, 4), low=round(low, 4), high=round(high, 4))

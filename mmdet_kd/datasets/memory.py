"""How much memory is left to this process, where the operating system says so."""

import resource
from collections.abc import Iterator
from pathlib import Path

#: What a container sees as its own group: its limit, what it takes, and what of that are files kept in memory, which
#: the kernel gives up; of both versions of Linux's control groups.
_GROUPS = (
    (Path('/sys/fs/cgroup'), 'memory.max', 'memory.current', 'inactive_file'),
    (Path('/sys/fs/cgroup/memory'), 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'),
)


def free_memory() -> int | None:
    """Bytes that this process can still take: of the machine, of its container and of its own limit, the least.

    None where nothing says so (not Linux).
    """
    return min(_limits(), default=None)


def _limits() -> Iterator[int]:
    try:
        lines = dict(line.split(':', 1) for line in Path('/proc/meminfo').read_text().splitlines())
        yield int(lines['MemAvailable'].split()[0]) << 10
        pages = Path('/proc/self/statm').read_text().split()
    except (OSError, KeyError, ValueError):
        return
    for limit, taken in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            yield max(0, most - int(taken) * resource.getpagesize())
    for folder, most, now, kept in _GROUPS:
        try:
            held = dict(line.split() for line in (folder / 'memory.stat').read_text().splitlines())
            yield max(0, int((folder / most).read_text()) - int((folder / now).read_text()) + int(held[kept]))
        except (OSError, KeyError, ValueError):  # no such group, or "max": it has no limit
            continue

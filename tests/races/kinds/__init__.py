"""Kinds of shared things: each module has a KIND."""

from __future__ import annotations

from typing import Final

from tests.races.kinds import (
    calls,
    control_groups,
    events,
    files,
    futexes,
    memory,
    mounts,
    pipes,
    processes,
    queues,
    rights,
    sockets,
    terminals,
)
from tests.races.kinds.kind import Kind

_MODULES: Final = (
    calls, control_groups, events, files, futexes, memory, mounts, pipes, processes, queues, rights, sockets, terminals,
)  # fmt: skip
KINDS: Final[dict[str, Kind]] = {module.KIND.name: module.KIND for module in _MODULES}

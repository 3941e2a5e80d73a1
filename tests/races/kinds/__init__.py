"""Kinds of shared things: each module has a KIND."""

from __future__ import annotations

from typing import Final

from tests.races.kinds import (
    calls,
    control_groups,
    devices,
    events,
    files,
    fuse,
    futexes,
    memory,
    mounts,
    networks,
    overlays,
    pipes,
    processes,
    queues,
    rights,
    sockets,
    swapping,
    terminals,
    tracing,
)
from tests.races.kinds.kind import Kind

_MODULES: Final = (
    calls, control_groups, devices, events, files, fuse, futexes, memory, mounts, networks, overlays, pipes, processes,
    queues, rights, sockets, swapping, terminals, tracing,
)  # fmt: skip
KINDS: Final[dict[str, Kind]] = {module.KIND.name: module.KIND for module in _MODULES}

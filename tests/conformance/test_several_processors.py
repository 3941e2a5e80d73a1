"""Cases in which threads and processes meet, on four processors: they must end and print as on Linux with four."""

from __future__ import annotations

import pytest

from tests.conformance.cases import MANY, Both, both_answers
from tests.conformance.test_conformance import LONG, compare

NAMES = [
    "clone3_numbers", "closed_pipe_hammer", "epoll_eventfd", "exec", "fault_signals", "fifos", "fork_bomb",
    "fork_wait", "fpu_state", "futex", "futex_pi", "inotify", "large_collapse", "large_hammer", "large_pages",
    "long_calls", "memory_calls", "mmap_file",
    "packet_rings", "pipes", "poll_select", "ptrace_dead_threads", "ptrace_events", "ptrace_stops", "ptrace_threads",
    "realtime_order", "rseq", "scheduling", "seccomp_threads", "shared_memory", "sigio", "signal_masks", "signals",
    "sysv_messages", "sysv_semaphores", "tcp_data", "tcp_loopback", "threads", "timers_posix", "unix_rights",
    "unix_stream", "user_dispatch", "userfault_events", "userfault_tracking", "wait_options", "wait_order",
]  # fmt: skip


@pytest.fixture(scope="module")
def both() -> Both:
    return both_answers(NAMES, MANY)


@LONG
@pytest.mark.parametrize("name", NAMES)
def test_answers_as_linux_does_on_four(
    name: str, both: Both, request: pytest.FixtureRequest
) -> None:
    krait, linux = both
    compare(linux[name], krait[name], request, MANY)


@LONG
def test_linux_ends_every_case_on_four(both: Both) -> None:
    assert [name for name, result in both[1].items() if result.kind in ("timeout", "died", "error")] == []

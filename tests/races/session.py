"""A session: the machine of one seed, on which random programs race. It follows from the seed alone.

A session has some generations. In each, a leader in namespaces of its own prepares things of a few kinds and starts
programs about them, some with several threads. When they have made their calls, or some time has passed, all are
killed; then everything that they used must come back.
"""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import struct
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from arch.x86_64.simulation import processor
from kernel.sched.processor import PROCESSORS
from kernel.time.clock import NS_PER_SECOND
from tests.races.invariants import (
    SLACK_FRAMES,
    Holders,
    complaints,
    error_text,
    free_frames,
    negative_counters,
    programs,
    slots_in_use,
    threads,
    where,
)
from tests.races.kinds import KINDS, swapping
from tests.races.machine import RacingMachine
from tests.races.worker import Pool, SharedState, Worker
from tools.simulated.program import Program

GENERATIONS = 3
MOST_KINDS = 4
PROGRAMS = 4
CALLS = 60  # most of a thread, roughly
CALLS_NS = 3_000_000_000  # of the machine's clock, for a generation
END_NS = 60_000_000_000  # until killed programs have ended
STEP_NS = 20_000_000
LATER_NS = 2_000_000_000
STILL_S = 10.0  # of the host's processor without a call
NAMESPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x40000000  # mounts, names, System V's objects, networks
PRIVATE_EVERYWHERE = 1 << 18 | 0x4000  # MS_PRIVATE, MS_REC
LOOP_CLR_FD = 0x4C01
LOOPS = ("/loop0", "/loop1", "/loop2")  # nodes that programs do not know, and so do not remove
DIRECTORIES = ("/t", "/proc", "/sys", "/cg", "/dev")


class StandsStill(BaseException):
    """The kernel computes, and no call begins or ends."""


@dataclass
class Outcome:
    """Of a session."""

    seed: int
    kinds: Sequence[str]
    calls: int = 0
    good: int = 0
    switches: int = 0
    places: int = 0
    digest: int = 0
    by_name: dict[str, int] = field(default_factory=dict)
    finding: str = ""

    def line(self) -> str:
        """A summary."""
        return (
            f"seed {self.seed} ({' '.join(self.kinds)}): {self.calls} calls, {self.good} without error, "
            f"{self.switches} switches at {self.places} places, {self.digest:016x}"
        )


class Session:
    """Of one seed."""

    def __init__(self, machine: RacingMachine, seed: int, kinds: Sequence[str]) -> None:
        self.machine = machine
        self.random = random.Random(f"session {seed}")
        self.kinds = [KINDS[name] for name in kinds] or self.random.sample(
            list(KINDS.values()), self.random.randrange(2, MOST_KINDS + 1)
        )
        self.shared = SharedState(seed)
        self._calls_seen = -1
        self._holders: Holders | None = None

    def run(self) -> Outcome:
        """All generations."""
        outcome = Outcome(self.shared.seed, [each.name for each in self.kinds])
        before = PROCESSORS[0].switches
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, STILL_S, STILL_S)
        try:
            with _kept_rules():
                outcome.finding = self._generations()
        except BaseException as error:
            outcome.finding = f"{error_text(error)}\n{self._last_calls()}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        shared = self.shared
        outcome.calls, outcome.good, outcome.digest = shared.calls, shared.good, shared.outcome
        outcome.by_name = dict(shared.by_name)
        outcome.switches = PROCESSORS[0].switches - before
        outcome.places = self.machine.switches.places
        return outcome

    def _look(self, signo: int, frame: FrameType | None) -> None:
        if self._calls_seen == self.shared.calls:
            raise StandsStill
        self._calls_seen = self.shared.calls

    def _generations(self) -> str:
        host = self.machine.host
        for path in DIRECTORIES:
            with contextlib.suppress(OSError):
                host.call("mkdir", path, 0o755)
        host.call("mount", "proc", "/proc", "proc", 0, None)
        host.call("mount", "cg", "/cg", "cgroup2", 0, None)
        host.call("mount", "dev", "/dev", "devtmpfs", 0, None)
        for number, path in enumerate(LOOPS):
            host.call("mknod", path, 0o60600, 7 << 8 | number)
        self._holders = Holders()
        self.machine.switches.begin(self.shared.seed)
        free: list[int] = []
        for _ in range(GENERATIONS):
            self.shared.workers.clear()
            self._generation()
            found = self._end() or self._check()
            if found:
                return found
            free.append(free_frames())
        if free[-1] + SLACK_FRAMES < free[-2] and free[-2] + SLACK_FRAMES < free[-3]:
            return f"frames do not come back: {free} were free after each generation"
        return ""

    # A generation -----------------------------------------------------------------------------------------------------

    def _generation(self) -> None:
        """Until its time is over, or all have ended."""
        host = self.machine.host
        host.fork(self._lead)
        until = processor.tsc + CALLS_NS
        while processor.tsc < until and programs():
            self._pass_time()
            self._reap()
            present = programs()
            if present and self.random.random() < 0.05:
                with contextlib.suppress(OSError):
                    host.call("kill", int(self.random.choice(present).pid), 9)

    def _lead(self, program: Program) -> int:
        """The leader: it ends with the last of its programs, or is killed."""
        worker = Worker(program, self.shared, Pool())
        worker.prepare_memory()
        worker.call("unshare", NAMESPACES | (0x20000000 if self.random.random() < 0.5 else 0))
        worker.call("mount", "none", "/", None, PRIVATE_EVERYWHERE, None)
        worker.call("mount", "t", "/t", "tmpfs", 0, None)
        worker.call("chdir", "/t")
        for kind in self.kinds:
            kind.prepare(worker)
        for _ in range(self.random.randrange(2, PROGRAMS + 1)):
            worker.fork(self._be_program)
        while worker.call("wait4", -1, bytearray(4), 0, 0) >= 0:
            pass
        return 0

    def _be_program(self, worker: Worker) -> None:
        """A program: threads about the same kinds, which share more or less."""
        for _ in range(worker.random.choice((0, 1, 1, 2))):
            worker.start_thread(self._make_calls)
        self._make_calls(worker)

    def _make_calls(self, worker: Worker) -> None:
        chance = worker.random
        for _ in range(chance.randrange(CALLS // 4, CALLS)):
            chance.choice(chance.choice(self.kinds).operations)(worker)
            if chance.random() < 0.15:
                worker.call("sched_yield")
            if worker.depth < 4 and chance.random() < 0.02 and len(programs()) < self.shared.most_workers:
                self._multiply(worker)

    def _multiply(self, worker: Worker) -> None:
        if worker.random.random() < 0.5:
            worker.fork(self._make_calls)
        else:
            worker.start_thread(self._make_calls, worker.random.choice((0x50F00, 0x400 | 17, 0x700 | 17)))

    # Its end ----------------------------------------------------------------------------------------------------------

    def _pass_time(self, time_ns: int = STEP_NS) -> None:
        until = processor.tsc + time_ns
        while processor.tsc < until:
            with contextlib.suppress(OSError):
                self.machine.host.call("nanosleep", struct.pack("<qq", *divmod(time_ns, NS_PER_SECOND)), None)

    def _reap(self) -> None:
        with contextlib.suppress(OSError):
            while self.machine.host.call("wait4", -1, bytearray(4), 0x4000_0001, 0) > 0:
                pass

    def _end(self) -> str:
        """Kill everybody, and wait."""
        until = processor.tsc + END_NS
        while programs():
            with contextlib.suppress(OSError):
                self.machine.host.call("kill", -1, 9)
            self._pass_time()
            self._reap()
            if processor.tsc > until:
                stacks = [f"{int(each.pid)} {each.state.name}:\n{where(self.machine, each)}" for each in programs()]
                return "killed programs do not end:\n" + "".join(stacks) + self._last_calls()
        return ""

    def _check(self) -> str:
        for pid, error in Program.failures.items():
            text = "".join(traceback.format_exception(error))
            return f"the test itself failed in process {pid}:\n{text}"
        host = self.machine.host
        descriptor = host.call("open", "/proc/sys/vm/drop_caches", 1, 0)
        host.call("write", descriptor, b"3", 1)
        host.call("close", descriptor)
        self._free_devices()
        self._pass_time(LATER_NS)  # some things are released by threads of the kernel, which wait before
        found = complaints(bytes(self.machine.output)) + negative_counters() + slots_in_use()
        assert self._holders is not None
        if self._holders.left():
            self._pass_time(LATER_NS)
            found += self._holders.left()
        return "\n".join([*found, self._last_calls()]) if found else ""

    def _free_devices(self) -> None:
        """Take from the kernel what programs may have given to it."""
        host = self.machine.host
        with contextlib.suppress(OSError):
            host.call("acct", None)
        for path in swapping.PATHS:
            with contextlib.suppress(OSError):
                host.call("swapoff", path)
        for path in LOOPS:
            with contextlib.suppress(OSError):
                descriptor = host.call("open", path, 0, 0)
                with contextlib.suppress(OSError):
                    host.call("ioctl", descriptor, LOOP_CLR_FD, 0)
                host.call("close", descriptor)

    def _last_calls(self) -> str:
        """What each living thread did last, and where it is."""
        alive = {id(each): each for each in threads()}
        parts = []
        for worker in self.shared.workers:
            thread = alive.get(id(worker.program.task))
            if thread is None or int(worker.program.task.pid) == 1:
                continue
            parts += [f"{worker}, {thread.state.name}:", *(f"    {line}" for line in worker.log)]
            if worker.log and worker.log[-1].endswith("…"):
                parts.append(where(self.machine, thread, 8))
        return "\n".join(parts)


@contextlib.contextmanager
def _kept_rules() -> Iterator[None]:
    """CPython's collector would free what the kernel lost, at its own times."""
    gc.disable()
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        gc.enable()
        sys.setrecursionlimit(limit)

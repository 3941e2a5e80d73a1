"""A thread of a random program: it makes calls, and remembers the last of them."""

from __future__ import annotations

import random
import struct
from collections import Counter, deque
from collections.abc import Callable

from arch import number_of_call
from kernel.doors.arguments import result_of
from kernel.doors.table import DESCRIPTIONS
from tests.races.arguments import ARENA, ARENA_BYTES, MAPS, MAPS_PAGES, PAGE, Arguments
from tools.simulated.program import Argument, Program

REMEMBERED = 12  # calls of each thread
MOST_DESCRIPTORS = 24
THREAD = 0x50F00  # CLONE_VM, _FS, _FILES, _SIGHAND, _THREAD, _SYSVSEM
STACK_PAGES = 32
MAP_FIXED_PRIVATE = 0x32


class Pool:
    """What earlier calls of a program have returned; its threads share it."""

    def __init__(self) -> None:
        self.descriptors: list[tuple[int, str]] = []
        self.resources: dict[str, list[int]] = {}

    def copy(self) -> Pool:
        """For a child."""
        other = Pool()
        other.descriptors = list(self.descriptors)
        other.resources = {kind: list(numbers) for kind, numbers in self.resources.items()}
        return other


class SharedState:
    """What all workers of a session share."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.calls = 0
        self.good = 0
        self.by_name: Counter[str] = Counter()
        self.outcome = 0  # of all calls, in one number
        self.workers: list[Worker] = []
        self.created = 0
        self.most_workers = 40
        self.paths: list[str] = ["."]  # that kinds of things have made


class Worker:
    """One thread. Its choices follow from the seed of the session and its number."""

    def __init__(self, program: Program, shared: SharedState, pool: Pool) -> None:
        shared.created += 1
        self.number = shared.created
        self.program = program
        self.shared = shared
        self.pool = pool
        self.random = random.Random(f"actor {shared.seed} {self.number}")  # changed, a seed means another session
        self.arguments = Arguments(self)
        self.log: deque[str] = deque(maxlen=REMEMBERED)
        self.depth = 0
        shared.workers.append(self)

    def __str__(self) -> str:
        return f"thread {self.number} (pid {int(self.program.task.pid)})"

    # Calls ------------------------------------------------------------------------------------------------------------

    def call(self, name: str, *arguments: Argument) -> int:
        """A system call: its result, or a negative error."""
        self.log.append(f"{name}({', '.join(_shown(each) for each in arguments)}) …")
        try:
            result = self.program.call(name, *arguments)
        except OSError as error:
            assert error.errno is not None
            result = -error.errno
        self._note(name, result)
        return result

    def call_any(self, name: str) -> int:
        """A system call with random arguments."""
        number = number_of_call(name)
        registers = self.arguments.of_call(number)
        self.log.append(f"{name}({', '.join(f'{each:#x}' for each in registers)}) …")
        frame = self.program.frame
        sp = frame.rsp
        frame.rsp = sp - 128 & ~15
        result = self.program.raw(number, registers)
        frame.rsp = sp
        self._note(name, result)
        of = result_of(DESCRIPTIONS[number])
        if of is not None and of.kind == "fd":
            self.keep(result, of.detail or "file")
        elif of is not None:
            self.remember(of.kind, result)
        return result

    def _note(self, name: str, result: int) -> None:
        self.log[-1] = self.log[-1].removesuffix("…") + f"= {result}"
        shared = self.shared
        shared.calls += 1
        shared.good += result >= 0
        shared.by_name[name] += 1
        shared.outcome = (shared.outcome * 1_000_003 + hash((self.number, result))) & (1 << 61) - 1

    def one_of(self, *operations: Callable[[Worker], None]) -> None:
        self.random.choice(operations)(self)

    def decides(self, chance: float) -> bool:
        return self.random.random() < chance

    # What arguments.py asks -------------------------------------------------------------------------------------------

    def descriptor(self, kind: str = "") -> int:
        """One of the program's, of a kind if there is one."""
        found = [fd for fd, of in self.pool.descriptors if of == kind] if kind else []
        if not found or self.random.random() < 0.05:
            found = [fd for fd, _ in self.pool.descriptors]
        return self.random.choice(found) if found else self.random.randrange(8)

    def resource(self, kind: str) -> int:
        """A number that a call has returned."""
        numbers = self.pool.resources.get(kind)
        if kind == "pid" and self.random.random() < 0.3:
            return self.random.choice((0, 1, int(self.program.task.pid)))
        return self.random.choice(numbers) if numbers else self.random.randrange(4)

    def other(self) -> int:
        """A process that may be stopped or left: not the one that makes the session."""
        pid = self.resource("pid")
        return pid if pid != 1 else 0

    def path(self) -> str:
        return self.random.choice(self.shared.paths)

    def store(self, address: int, data: bytes) -> None:
        self.program.store(address, data)

    def load(self, address: int, size_bytes: int) -> bytes:
        return self.program.load(address, size_bytes)

    # Things that last -------------------------------------------------------------------------------------------------

    def keep(self, descriptor: int, kind: str) -> int:
        """Add a descriptor to those of the program, if it is one; there are not too many."""
        if descriptor >= 0:
            self.pool.descriptors.append((descriptor, kind))
            if len(self.pool.descriptors) > MOST_DESCRIPTORS:
                self.close_one()
        return descriptor

    def keep_pair(self, numbers: bytes | bytearray, kind: str) -> None:
        for each in struct.unpack("<ii", numbers):
            self.keep(each, kind)

    def remember(self, kind: str, number: int) -> int:
        """Add a number that a call has returned, if it did not fail."""
        if number >= 0:
            numbers = self.pool.resources.setdefault(kind, [])
            numbers.append(number)
            del numbers[:-8]
        return number

    def close_one(self) -> None:
        """Close some descriptor."""
        pool = self.pool.descriptors
        if pool:
            self.call("close", pool.pop(self.random.randrange(len(pool)))[0])

    def open(self, path: str, flags: int, kind: str = "file") -> int:
        return self.keep(self.call("open", path, flags, 0o644), kind)

    def write_text(self, path: str, text: bytes) -> None:
        """To a file that has no other content."""
        descriptor = self.call("open", path, 1, 0)
        if descriptor >= 0:
            self.call("write", descriptor, text, len(text))
            self.call("close", descriptor)

    # Others -----------------------------------------------------------------------------------------------------------

    def prepare_memory(self) -> None:
        """Map what arguments.py puts data into."""
        self.call("mmap", ARENA, ARENA_BYTES, 3, MAP_FIXED_PRIVATE, -1, 0)
        self.call("mmap", MAPS, MAPS_PAGES * PAGE, 3, MAP_FIXED_PRIVATE, -1, 0)

    def fork(self, run: Callable[[Worker], None]) -> int:
        """Start a child, which goes on with calls."""
        shared, pool, depth = self.shared, self.pool.copy(), self.depth + 1

        def main(program: Program) -> int:
            worker = Worker(program, shared, pool)
            worker.depth = depth
            run(worker)
            return 0

        return self._begin(main, "fork", ())

    def start_thread(self, run: Callable[[Worker], None], flags: int = THREAD) -> int:
        """Start a thread, or a process that shares what `flags` say, on a stack of its own."""
        shared = self.shared
        pool = self.pool if flags & 0x400 else self.pool.copy()
        depth = self.depth + 1
        stack = self.call("mmap", 0, STACK_PAGES * PAGE, 3, 0x22, -1, 0)
        if stack < 0:
            return stack

        def main(program: Program) -> int:
            worker = Worker(program, shared, pool)
            worker.depth = depth
            run(worker)
            program.call("exit", 0)
            raise AssertionError

        return self._begin(main, "clone", (flags, stack + STACK_PAGES * PAGE - 64, 0, 0, 0))

    def _begin(self, main: Callable[[Program], int], name: str, arguments: tuple[int, ...]) -> int:
        frame = self.program.frame
        frame.r15 = self.program.code.add_main(main)
        try:
            return self.remember("pid", self.call(name, *arguments))
        finally:
            frame.r15 = 0


def _shown(argument: Argument) -> str:
    if isinstance(argument, int):
        return str(argument) if -4096 < argument < 4096 else f"{argument:#x}"
    if isinstance(argument, bytearray):
        return f"[{len(argument)}]"
    text = repr(argument)
    return text if len(text) < 80 else text[:77] + "…"

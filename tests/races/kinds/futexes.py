"""Futexes in shared memory, with and without priority inheritance, robust lists, and timers that signal."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.arguments import ARENA
from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

WORDS: Final = tuple(ARENA + 0x8000 + 64 * i for i in range(3))
SHORT: Final = struct.pack("<qq", 0, 2_000_000)
WAIT, WAKE, REQUEUE, COMPARE_REQUEUE, WAKE_OP, LOCK, UNLOCK, TRY_LOCK = 0, 1, 3, 4, 5, 6, 7, 8
WAIT_BITS, WAKE_BITS, WAIT_REQUEUE, COMPARE_REQUEUE_LOCK, LOCK_2 = 9, 10, 11, 12, 13


def word(worker: Worker) -> int:
    return worker.random.choice(WORDS)


def private(worker: Worker) -> int:
    return worker.random.choice((128, 128, 0))


def wait(worker: Worker) -> None:
    at = word(worker)
    value = int.from_bytes(worker.load(at, 4), "little") if worker.decides(0.8) else 0
    worker.call("futex", at, WAIT | private(worker), value, SHORT, 0, 0)


def wake(worker: Worker) -> None:
    worker.call("futex", word(worker), WAKE | private(worker), worker.random.choice((1, 10)), 0, 0, 0)


def requeue(worker: Worker) -> None:
    worker.call("futex", word(worker), REQUEUE | private(worker), 1, 5, word(worker), 0)


def requeue_to_lock(worker: Worker) -> None:
    at = word(worker)
    value = int.from_bytes(worker.load(at, 4), "little")
    worker.call("futex", at, COMPARE_REQUEUE_LOCK | private(worker), 1, 5, word(worker), value)


def wait_for_requeue(worker: Worker) -> None:
    at = word(worker)
    value = int.from_bytes(worker.load(at, 4), "little")
    deadline = bytearray(16)
    worker.call("clock_gettime", 1, deadline)
    seconds, nanoseconds = struct.unpack("<qq", deadline)
    until = struct.pack("<qq", seconds, min(nanoseconds + 3_000_000, 999_999_999))
    worker.call("futex", at, WAIT_REQUEUE | private(worker), value, until, word(worker), 0)


def lock(worker: Worker) -> None:
    now = bytearray(16)
    worker.call("clock_gettime", 0, now)
    seconds, nanoseconds = struct.unpack("<qq", now)
    until = struct.pack("<qq", seconds, min(nanoseconds + 3_000_000, 999_999_999))
    at, flag = word(worker), private(worker)
    if worker.call("futex", at, worker.random.choice((LOCK, LOCK, TRY_LOCK)) | flag, 0, until, 0, 0) == 0:
        if worker.decides(0.9):
            worker.call("futex", at, UNLOCK | flag, 0, 0, 0, 0)


def unlock(worker: Worker) -> None:
    worker.call("futex", word(worker), UNLOCK | private(worker), 0, 0, 0, 0)


def store(worker: Worker) -> None:
    worker.store(word(worker), struct.pack("<I", worker.random.choice((0, 0, 1))))


def any_operation(worker: Worker) -> None:
    worker.call_any(worker.random.choice(("futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue")))


def own_list(worker: Worker) -> None:
    head = ARENA + 0x9000 + 64 * (worker.number % 16)
    at = word(worker)
    worker.store(head, struct.pack("<QqQ", at - 16, 16, at if worker.decides(0.3) else 0))
    worker.store(at - 16, struct.pack("<Q", head))
    worker.call("set_robust_list", head, 24)


def make_timer(worker: Worker) -> None:
    number = bytearray(4)
    event = struct.pack("<qiiq40x", 0, worker.random.choice((17, 18, 23)), worker.random.choice((0, 1)), 0)
    if worker.call("timer_create", worker.random.choice((0, 1, 2)), event, number) >= 0:
        worker.remember("timerid", int.from_bytes(number, "little"))


def use_timer(worker: Worker) -> None:
    number = worker.resource("timerid")
    when = struct.pack("<qqqq", 0, worker.random.choice((0, 500_000)), 0, worker.random.choice((0, 1, 300_000)))
    name = worker.random.choice(("timer_settime", "timer_settime", "timer_delete", "timer_getoverrun"))
    worker.call(name, number, 0, when, bytearray(32))


KIND: Final = Kind(
    "futexes",
    (wait, wait, wake, wake, requeue, requeue_to_lock, wait_for_requeue, lock, lock, lock, unlock, store,
     any_operation, own_list, make_timer, use_timer),
)  # fmt: skip

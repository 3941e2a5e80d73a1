"""Futexes in shared memory, with and without priority inheritance, robust lists, and timers that signal."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.arguments import ARENA
from tests.races.kinds.kind import Kind

WORDS: Final = tuple(ARENA + 0x8000 + 64 * i for i in range(3))
SHORT: Final = struct.pack("<qq", 0, 2_000_000)
WAIT, WAKE, REQUEUE, COMPARE_REQUEUE, WAKE_OP, LOCK, UNLOCK, TRY_LOCK = 0, 1, 3, 4, 5, 6, 7, 8
WAIT_BITS, WAKE_BITS, WAIT_REQUEUE, COMPARE_REQUEUE_LOCK, LOCK_2 = 9, 10, 11, 12, 13


def word(actor: Actor) -> int:
    return actor.random.choice(WORDS)


def private(actor: Actor) -> int:
    return actor.random.choice((128, 128, 0))


def wait(actor: Actor) -> None:
    at = word(actor)
    value = int.from_bytes(actor.load(at, 4), "little") if actor.decides(0.8) else 0
    actor.call("futex", at, WAIT | private(actor), value, SHORT, 0, 0)


def wake(actor: Actor) -> None:
    actor.call("futex", word(actor), WAKE | private(actor), actor.random.choice((1, 10)), 0, 0, 0)


def requeue(actor: Actor) -> None:
    actor.call("futex", word(actor), REQUEUE | private(actor), 1, 5, word(actor), 0)


def requeue_to_lock(actor: Actor) -> None:
    at = word(actor)
    value = int.from_bytes(actor.load(at, 4), "little")
    actor.call("futex", at, COMPARE_REQUEUE_LOCK | private(actor), 1, 5, word(actor), value)


def wait_for_requeue(actor: Actor) -> None:
    at = word(actor)
    value = int.from_bytes(actor.load(at, 4), "little")
    deadline = bytearray(16)
    actor.call("clock_gettime", 1, deadline)
    seconds, nanoseconds = struct.unpack("<qq", deadline)
    until = struct.pack("<qq", seconds, min(nanoseconds + 3_000_000, 999_999_999))
    actor.call("futex", at, WAIT_REQUEUE | private(actor), value, until, word(actor), 0)


def lock(actor: Actor) -> None:
    now = bytearray(16)
    actor.call("clock_gettime", 0, now)
    seconds, nanoseconds = struct.unpack("<qq", now)
    until = struct.pack("<qq", seconds, min(nanoseconds + 3_000_000, 999_999_999))
    at, flag = word(actor), private(actor)
    if actor.call("futex", at, actor.random.choice((LOCK, LOCK, TRY_LOCK)) | flag, 0, until, 0, 0) == 0:
        if actor.decides(0.9):
            actor.call("futex", at, UNLOCK | flag, 0, 0, 0, 0)


def unlock(actor: Actor) -> None:
    actor.call("futex", word(actor), UNLOCK | private(actor), 0, 0, 0, 0)


def store(actor: Actor) -> None:
    actor.store(word(actor), struct.pack("<I", actor.random.choice((0, 0, 1))))


def any_operation(actor: Actor) -> None:
    actor.call_any(actor.random.choice(("futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue")))


def own_list(actor: Actor) -> None:
    head = ARENA + 0x9000 + 64 * (actor.number % 16)
    at = word(actor)
    actor.store(head, struct.pack("<QqQ", at - 16, 16, at if actor.decides(0.3) else 0))
    actor.store(at - 16, struct.pack("<Q", head))
    actor.call("set_robust_list", head, 24)


def make_timer(actor: Actor) -> None:
    number = bytearray(4)
    event = struct.pack("<qiiq40x", 0, actor.random.choice((17, 18, 23)), actor.random.choice((0, 1)), 0)
    if actor.call("timer_create", actor.random.choice((0, 1, 2)), event, number) >= 0:
        actor.remember("timerid", int.from_bytes(number, "little"))


def use_timer(actor: Actor) -> None:
    number = actor.resource("timerid")
    when = struct.pack("<qqqq", 0, actor.random.choice((0, 500_000)), 0, actor.random.choice((0, 1, 300_000)))
    name = actor.random.choice(("timer_settime", "timer_settime", "timer_delete", "timer_getoverrun"))
    actor.call(name, number, 0, when, bytearray(32))


KIND: Final = Kind(
    "futexes",
    (wait, wait, wake, wake, requeue, requeue_to_lock, wait_for_requeue, lock, lock, lock, unlock, store,
     any_operation, own_list, make_timer, use_timer),
)  # fmt: skip

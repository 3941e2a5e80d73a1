"""Explores a model: a few threads that share state, in every order in which their steps can be taken.

A thread is a generator. What it does between two `yield`s is one step, which nothing interrupts: a step reads or writes
one word, or does what an atomic instruction or a held lock makes one. `yield STEP` lets others go first; `yield
condition` waits until `condition()` is true, as a processor that spins or halts does.

The explorer takes each enabled step from each state, breadth first, so that the first failure has the shortest
history. Two states are one if all that the model and the local variables of its threads hold is equal, however they
came about; that keeps the number of states small, and finite where threads loop. What an iterator has still to give is
in no variable: where the turns of a loop can look the same, number them (`enumerate`). A generator cannot be copied, so
a state is reached again by running its history from the start.

A failure is an assertion of the model (`check` after each step, `finish` when all threads are done), an exception of a
step, a deadlock (nobody can go on, and somebody is not done), or a state from which no history leads to the end: the
threads then only keep each other busy.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import FrameType

Condition = Callable[[], bool]
Steps = Generator[Condition | None, None, None]
Answer = Generator[Condition | None, None, bool]  # steps that come to a yes or no

STEP = None  # what a thread yields to let others go first
MOST_STATES = 200_000


class Model:
    """What is explored. A fresh instance is made for each history, so all its state must be made in `__init__`."""

    def threads(self) -> dict[str, Steps]:
        """The threads, by name, each before its first step."""
        raise NotImplementedError

    def check(self) -> None:
        """Assert what holds after every step."""

    def finish(self) -> None:
        """Assert what holds when all threads are done."""


class ModelFailure(AssertionError):
    """A history that breaks the model; its text is the history, a line of source for each step."""


@dataclass(frozen=True)
class Explored:
    """What an exploration saw when it found nothing wrong."""

    states: int
    ends: int  # different states in which all threads are done


# One history -----------------------------------------------------------------------------------------------------


class _Run:
    """A model and its threads, some steps into a history."""

    def __init__(self, make: Callable[[], Model], history: tuple[int, ...]) -> None:
        self.model = make()
        found = self.model.threads()
        self.names = list(found)
        self._threads = list(found.values())
        self._waits: list[Condition | None] = [None] * len(self._threads)
        self._done = [False] * len(self._threads)
        for thread in history:
            self.step(thread)

    def enabled(self) -> list[int]:
        """The threads that can take a step."""
        return [
            index
            for index, condition in enumerate(self._waits)
            if not self._done[index] and (condition is None or condition())
        ]

    def is_done(self) -> bool:
        return all(self._done)

    def step(self, index: int) -> None:
        """Let a thread take its next step."""
        try:
            self._waits[index] = next(self._threads[index])
        except StopIteration:
            self._done[index] = True
            self._waits[index] = None

    def place(self, index: int) -> str:
        """The line of source at which a thread stands."""
        frame = _innermost(self._threads[index])
        if frame is None:
            return "done"
        lines = Path(frame.f_code.co_filename).read_text().splitlines()
        return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}: {lines[frame.f_lineno - 1].strip()}"

    def state(self) -> Hashable:
        """All that decides what can happen from here on."""
        seen: dict[int, int] = {}
        frames = []
        for thread in self._threads:
            generator: object = thread
            stack = []
            while inspect.isgenerator(generator):
                frame = generator.gi_frame
                if frame is not None:
                    stack.append((frame.f_code.co_name, frame.f_lasti, _frozen(frame.f_locals, seen)))
                generator = generator.gi_yieldfrom
            frames.append(tuple(stack))
        return _frozen(self.model, seen), tuple(frames)


def _innermost(thread: Steps) -> FrameType | None:
    frame: FrameType | None = None
    generator: object = thread
    while inspect.isgenerator(generator):
        frame = generator.gi_frame
        generator = generator.gi_yieldfrom
    return frame


def _frozen(value: object, seen: dict[int, int]) -> Hashable:
    """A value as tuples. An object is shown by its contents; the second time by the number of the first."""
    if value is None or isinstance(value, int | str | bytes | Enum):
        return value
    if isinstance(value, list | tuple | deque):
        return (type(value).__name__, *(_frozen(item, seen) for item in value))
    if isinstance(value, set | frozenset):
        return ("set", *sorted((_frozen(item, seen) for item in value), key=repr))
    if isinstance(value, dict):
        return ("dict", *((_frozen(key, seen), _frozen(item, seen)) for key, item in value.items()))
    if inspect.isgenerator(value) or inspect.isroutine(value):
        return value.__qualname__
    if id(value) in seen:
        return ("seen", seen[id(value)])
    seen[id(value)] = len(seen)
    return (type(value).__name__, *(_frozen(item, seen) for item in vars(value).values()))


# All of them -----------------------------------------------------------------------------------------------------


def explore(make: Callable[[], Model], most_states: int = MOST_STATES) -> Explored:
    """Take every history of a model; raises `ModelFailure` with the shortest that breaks it."""
    histories: list[tuple[int, ...]] = [()]  # of each state, in the order in which they were found
    first = _Run(make, ())
    numbers: dict[Hashable, int] = {first.state(): 0}
    enabled_in = [first.enabled()]
    before: list[set[int]] = [set()]  # the states from which a step leads to each
    ends = []
    number = 0
    while number < len(histories):
        history = histories[number]
        run = _Run(make, history)
        enabled = enabled_in[number]
        if run.is_done():
            _ask(make, history, run.model.finish)
            ends.append(number)
        elif not enabled:
            raise ModelFailure(f"deadlock\n{_told(make, history)}")
        for position, thread in enumerate(enabled):
            if position > 0:
                run = _Run(make, history)
            longer = (*history, thread)
            _ask(make, longer, lambda run=run, thread=thread: run.step(thread))  # type: ignore[misc]  # bound now
            _ask(make, longer, run.model.check)
            state = run.state()
            if state not in numbers:
                numbers[state] = len(histories)
                histories.append(longer)
                enabled_in.append(run.enabled())
                before.append(set())
                assert len(histories) <= most_states, f"more than {most_states} states: make the model smaller"
            same = numbers[state]
            assert enabled_in[same] == run.enabled(), f"states differ that look the same:\n{_told(make, longer)}"
            before[same].add(number)
        number += 1
    _require_progress(make, histories, before, ends)
    return Explored(len(histories), len(ends))


def _ask(make: Callable[[], Model], history: tuple[int, ...], question: Callable[[], None]) -> None:
    try:
        question()
    except Exception as error:
        raise ModelFailure(f"{type(error).__name__}: {error}\n{_told(make, history)}") from error


def _require_progress(
    make: Callable[[], Model], histories: list[tuple[int, ...]], before: list[set[int]], ends: list[int]
) -> None:
    """From every state some history leads to an end."""
    good = set(ends)
    waiting = list(ends)
    while waiting:
        for earlier in before[waiting.pop()] - good:
            good.add(earlier)
            waiting.append(earlier)
    for number, history in enumerate(histories):
        if number not in good:
            raise ModelFailure(f"no way leads to the end\n{_told(make, history)}")


def _told(make: Callable[[], Model], history: tuple[int, ...]) -> str:
    """A history as text: who took each step, and the line where it began."""
    lines = []
    run = _Run(make, ())
    for thread in history:
        lines.append(f"  {run.names[thread]:12} {run.place(thread)}")
        try:
            run.step(thread)
        except Exception:
            break  # the step that fails is the last
    return "\n".join(lines)

"""The explorer finds what it is for: lost updates, deadlocks, threads that keep each other busy."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, Model, ModelFailure, Steps, explore


class Counter(Model):
    """Two threads that add one to a word, by a load and a store."""

    def __init__(self) -> None:
        self.word = 0

    def threads(self) -> dict[str, Steps]:
        return {"a": self.add(), "b": self.add()}

    def add(self) -> Steps:
        value = self.word
        yield STEP
        self.word = value + 1

    def finish(self) -> None:
        assert self.word == 2, f"the word is {self.word}"


def test_a_lost_update_is_found_with_its_shortest_history() -> None:
    with pytest.raises(ModelFailure) as found:
        explore(Counter)
    first, *steps = str(found.value).splitlines()
    assert first.startswith("AssertionError: the word is 1")
    assert [step.split()[0] for step in steps if step.startswith("  ")] == ["a", "b", "a", "b"]


class TwoLocks(Model):
    """Two threads that take two locks, each in a given order."""

    def __init__(self, second_order: tuple[int, int]) -> None:
        self.held = [False, False]
        self.second_order = second_order

    def threads(self) -> dict[str, Steps]:
        return {"a": self.both((0, 1)), "b": self.both(self.second_order)}

    def both(self, order: tuple[int, int]) -> Steps:
        for lock in order:
            yield lambda lock=lock: not self.held[lock]  # type: ignore[misc]  # bound now
            self.held[lock] = True
        for lock in order:
            yield STEP
            self.held[lock] = False


def test_a_deadlock_is_found() -> None:
    assert explore(lambda: TwoLocks((0, 1))).ends == 1
    with pytest.raises(ModelFailure, match="deadlock"):
        explore(lambda: TwoLocks((1, 0)))


class Polite(Model):
    """Two threads that give way to each other for ever, once both have asked."""

    def __init__(self) -> None:
        self.asks = [False, False]

    def threads(self) -> dict[str, Steps]:
        return {"a": self.enter(0), "b": self.enter(1)}

    def enter(self, me: int) -> Steps:
        yield STEP
        self.asks[me] = True
        while True:
            yield STEP
            if not self.asks[1 - me]:
                return


def test_threads_that_only_keep_each_other_busy_are_found() -> None:
    with pytest.raises(ModelFailure, match="no way leads to the end"):
        explore(Polite)


class Raises(Model):
    """A step that raises."""

    def threads(self) -> dict[str, Steps]:
        return {"a": self.fail()}

    def fail(self) -> Steps:
        yield STEP
        raise KeyError("lost")


def test_an_exception_of_a_step_is_a_failure() -> None:
    with pytest.raises(ModelFailure, match="KeyError: 'lost'"):
        explore(Raises)


def test_a_model_that_is_too_large_is_an_error() -> None:
    with pytest.raises(AssertionError, match="more than 2 states"):
        explore(Counter, most_states=2)


class HiddenTurns(Model):
    """A loop whose turns look the same, though one is the last."""

    def __init__(self) -> None:
        self.may_end = False

    def threads(self) -> dict[str, Steps]:
        return {"a": self.loop(), "b": self.allow()}

    def loop(self) -> Steps:
        for letter in "xx":
            yield STEP if letter == "x" else None
        yield lambda: self.may_end

    def allow(self) -> Steps:
        yield STEP
        self.may_end = True


def test_states_that_only_look_the_same_are_found() -> None:
    with pytest.raises((AssertionError, ModelFailure)):
        explore(HiddenTurns)

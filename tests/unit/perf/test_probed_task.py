"""Functions whose returns are watched, of one thread."""

from typing import cast

from kernel.perf.probed_task import ProbedTask, WatchedReturn
from kernel.perf.probes import Probe


def entry(place: int, is_chained: bool = False) -> WatchedReturn:
    return WatchedReturn(cast(Probe, None), 0, place, 0, is_chained)


def test_what_a_jump_has_left_goes() -> None:
    state = ProbedTask()
    state.returns = [entry(100), entry(80), entry(60)]
    state.forget_dead(70, is_chained=False)
    assert [each.place for each in state.returns] == [100, 80]
    state.forget_dead(80, is_chained=False)  # the same place: that function has been left
    assert [each.place for each in state.returns] == [100]


def test_a_function_may_take_the_place_of_another() -> None:
    state = ProbedTask()
    state.returns = [entry(100), entry(80)]
    state.forget_dead(80, is_chained=True)
    assert [each.place for each in state.returns] == [100, 80]


def test_a_child_returns_as_its_parent_does() -> None:
    state = ProbedTask()
    state.returns = [entry(100)]
    copy = state.copy()
    assert isinstance(copy, ProbedTask)
    state.returns.pop()
    assert len(copy.returns) == 1

"""The buddy allocator: what is handed out is whole, aligned, disjoint, and comes back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.lang import Panic
from kernel.mm import frames


@pytest.mark.usefixtures("machine")
def test_everything_can_be_taken_and_returned() -> None:
    total = frames.free_frame_count()
    taken = []
    while True:
        try:
            taken.append(frames.allocate_frame())
        except MemoryError:
            break
    assert len(taken) == len(set(taken)) == total
    assert frames.free_frame_count() == 0
    for frame in taken:
        frames.put_frame(frame)
    assert frames.free_frame_count() == total
    big = frames.allocate_frames(frames.MAX_ORDER)
    assert big % (1 << frames.MAX_ORDER) == 0


@pytest.mark.usefixtures("machine")
def test_user_frames_leave_a_reserve() -> None:
    while True:
        try:
            frames.allocate_user_frame()
        except MemoryError:
            break
    assert frames.free_frame_count() >= 128
    frames.allocate_frame()


@pytest.mark.usefixtures("machine")
def test_counts() -> None:
    frame = frames.allocate_frame()
    frames.get_frame(frame)
    with pytest.raises(Panic):
        frames.free_frame(frame)
    frames.put_frame(frame)
    frames.put_frame(frame)
    with pytest.raises(Panic):
        frames.put_frame(frame)


@pytest.mark.usefixtures("machine")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 1000)), max_size=120))
def test_blocks_never_overlap(steps: list[tuple[bool, int, int]]) -> None:
    held: list[tuple[frames.Frame, int]] = []
    owner: dict[int, int] = {}
    before = frames.free_frame_count()
    for take, order, pick in steps:
        if take or not held:
            frame = frames.allocate_frames(order)
            assert frame % (1 << order) == 0
            for i in range(1 << order):
                assert frame + i not in owner
                owner[frame + i] = frame
            held.append((frame, order))
        else:
            frame, order = held.pop(pick % len(held))
            for i in range(1 << order):
                del owner[frame + i]
            frames.free_frames(frame, order)
    for frame, order in held:
        frames.free_frames(frame, order)
    assert frames.free_frame_count() == before

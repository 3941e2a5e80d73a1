"""Kernel stacks come and go (kernel/sched/stacks.py)."""

from __future__ import annotations

from kernel.mm.frames import PAGE_SIZE
from kernel.sched import stacks
from kernel.sched.stacks import STACK_SIZE
from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity
from tools.simulated.machine import Machine

CACHED = 64
COUNT = CACHED + 6


@booted
def test_stacks_are_given_back_where_no_memory_is_left(machine: Machine) -> None:
    """Nothing is written down that would need some: their places are taken again."""
    stacks.drop_cached_stacks()
    taken = [stacks.allocate_stack() for _ in range(COUNT)]
    places = {stack.top for stack in taken}
    assert len(places) == COUNT
    for stack in taken:
        stacks.free_stack(stack)
    with Scarcity(1, room="sched", lasts=True):
        dropped = stacks.drop_cached_stacks()
    assert dropped == CACHED * STACK_SIZE // PAGE_SIZE
    taken = [stacks.allocate_stack() for _ in range(COUNT)]
    assert {stack.top for stack in taken} == places
    assert all(stack.top - stack.base == STACK_SIZE for stack in taken)
    for stack in taken:
        stacks.free_stack(stack)
    assert stacks.drop_cached_stacks() == CACHED * STACK_SIZE // PAGE_SIZE
    assert stacks.drop_cached_stacks() == 0

"""What all datagrams in queues may take together (udp(7), udp_mem)."""

import pytest

from kernel.net.datagram.memory import DatagramMemory

PAGE = 4096


@pytest.mark.parametrize(
    ("pages", "marks"), [(32_768, [3072, 4096, 6144]), (8192, [768, 1024, 1536]), (100, [96, 128, 192])]
)
def test_the_marks_follow_the_machine_s_memory(pages: int, marks: list[int]) -> None:
    memory = DatagramMemory()
    memory.configure(pages)
    assert memory.marks.values == marks


def test_above_the_last_mark_only_queues_that_hold_nearly_nothing_grow() -> None:
    memory = DatagramMemory()
    memory.configure(32_768)
    memory.used = 6144 * PAGE
    assert memory.may_grow(1 << 20)
    memory.used += PAGE
    assert not memory.may_grow(PAGE)
    assert memory.may_grow(PAGE - 1)

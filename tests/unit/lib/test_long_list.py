"""Long lists."""

from kernel.lib.long_list import PART, LongList


def test_values_come_in_order_and_go_from_the_end() -> None:
    found: LongList[int] = LongList()
    assert found.take_last() is None
    for value in range(2 * PART + 2):
        found.append(value)
    assert [len(part) for part in found.parts] == [PART, PART, 2]
    assert found.count == 2 * PART + 2 and found.first() == 0
    for value in reversed(range(1, 2 * PART + 2)):
        assert found.take_last() == value
    found.append(7)
    assert found.parts == [[0, 7]] and found.count == 2
    assert [found.take_last() for _ in range(3)] == [7, 0, None] and found.count == 0


def test_no_part_is_long() -> None:
    found: LongList[int] = LongList()
    for value in range(300_000):
        found.append(value)
    assert max(map(len, found.parts)) == PART and len(found.parts) < 300
    assert [each for part in found.parts for each in part] == list(range(300_000))

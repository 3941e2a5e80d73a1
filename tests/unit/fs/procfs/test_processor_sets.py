"""Sets of processors, as /proc and /sys print them."""

from kernel.fs.procfs.processor_sets import set_list, set_text


def test_masks_have_the_digits_of_all_processors() -> None:
    """As many as the machine has, not as many as the set needs."""
    assert set_text(1, 1) == "1"
    assert set_text(0b1010, 4) == "a"
    assert set_text(0b1, 6) == "01"
    assert set_text(1 << 35 | 3, 36) == "8,00000003"
    assert set_text(-1, 64) == "ffffffff,ffffffff"


def test_lists_join_neighbours() -> None:
    assert set_list(1, 1) == "0"
    assert set_list(0b11011, 5) == "0-1,3-4"
    assert set_list(0b101, 4) == "0,2"
    assert set_list(-1, 64) == "0-63"
    assert set_list(-(1 << 63), 64) == "63"


def test_masks_show_no_processor_that_is_not_there() -> None:
    """A thread that may run anywhere has all bits set."""
    assert set_text(-1, 1) == "1"
    assert set_text(-1, 6) == "3f"
    assert set_text(-1, 36) == "f,ffffffff"

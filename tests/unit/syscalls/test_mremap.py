"""Moving mappings (kernel/mm/remap.py) with several bad arguments, on a booted machine."""

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
MAY_MOVE, FIXED = 1, 2


def is_mapped(program: Program, address: int) -> bool:
    try:
        program.msync(address, PAGE, 1)
    except OSError:
        return False
    return True


@booted
def test_a_length_that_wraps_is_none(machine: Machine) -> None:
    host = machine.host
    pages = host.mmap(0, 2 * PAGE, 3, 0x22, -1, 0)
    host.munmap(pages + PAGE, PAGE)
    for address in (pages, pages + PAGE):
        for length in (0, -1, 1 - PAGE):
            with pytest.raises(OSError, match="EINVAL"):
                host.mremap(address, PAGE, length, MAY_MOVE, 0)
    with pytest.raises(OSError, match="EFAULT"):
        host.mremap(pages + PAGE, PAGE, PAGE, MAY_MOVE, 0)


@booted
def test_the_place_is_made_free_even_if_the_move_fails(machine: Machine) -> None:
    host = machine.host
    pages = host.mmap(0, 4 * PAGE, 3, 0x22, -1, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.mremap(pages, PAGE, PAGE, MAY_MOVE | FIXED, pages)  # onto itself
    assert is_mapped(host, pages)
    with pytest.raises(OSError, match="EFAULT"):
        host.mremap(pages, 0, PAGE, MAY_MOVE | FIXED, pages)  # nothing, onto what it would have been
    assert not is_mapped(host, pages)
    with pytest.raises(OSError, match="EINVAL"):
        host.mremap(pages + PAGE, 0, PAGE, MAY_MOVE | FIXED, pages + 2 * PAGE)  # a second one of private memory
    assert is_mapped(host, pages + PAGE)
    assert not is_mapped(host, pages + 2 * PAGE)


@booted
def test_files_are_mapped_at_offsets_far_beyond_their_ends(machine: Machine) -> None:
    host = machine.host
    file = host.open("/tmp/file", 0o102, 0o600)
    assert host.mmap(0, PAGE, 1, 1, file, 1 << 62) > 0
    assert host.mmap(0, PAGE, 1, 3 | 0x4000000, file, 0) > 0  # MAP_SHARED_VALIDATE knows MAP_UNINITIALIZED
    for flags, offset, error in ((1, -PAGE, "EOVERFLOW"), (3 | 0x400000, 0, "ENOTSUP")):
        with pytest.raises(OSError, match=error):
            host.mmap(0, PAGE, 1, flags, file, offset)


@booted
def test_what_lies_above_goes_whatever_it_is(machine: Machine) -> None:
    host = machine.host
    pages = host.mmap(0, 4 * PAGE, 3, 0x22, -1, 0)
    host.mprotect(pages + 2 * PAGE, PAGE, 1)
    assert host.mremap(pages, 4 * PAGE, 4 * PAGE, 0, 0) == pages
    assert host.mremap(pages, 8 * PAGE, 8 * PAGE, 0, 0) == pages
    assert host.mremap(pages, 3 * PAGE, PAGE, 0, 0) == pages
    assert [is_mapped(host, pages + i * PAGE) for i in range(4)] == [True, False, False, True]
    with pytest.raises(OSError, match="EINVAL"):
        host.mremap(pages, 1 << 60, PAGE, 0, 0)


@booted
def test_memory_that_may_be_dropped(machine: Machine) -> None:
    host = machine.host
    for flags in (0x2028, 0x128, 0x4_0028):  # with MAP_LOCKED, MAP_GROWSDOWN, MAP_HUGETLB
        with pytest.raises(OSError, match="EINVAL"):
            host.mmap(0, PAGE, 3, flags, -1, 0)
    pages = host.mmap(0, 4 * PAGE, 3, 0x28, -1, 0)
    for advice, error in ((19, "EINVAL"), (17, "EINVAL")):  # MADV_KEEPONFORK, MADV_DODUMP
        with pytest.raises(OSError, match=error):
            host.madvise(pages, PAGE, advice)
    assert host.mlock(pages, PAGE) == 0
    assert host.madvise(pages, PAGE, 4) == 0  # MADV_DONTNEED: it is not locked
    assert host.mremap(pages, 4 * PAGE, 8 * PAGE, MAY_MOVE, 0) > 0

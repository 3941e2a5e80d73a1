"""Protection keys of a space, on a processor that has them and on one that has none."""

from collections.abc import Iterator

import pytest

from arch.programs import KEY_SHIFT, read_entry
from arch.x86_64.cpu import features
from arch.x86_64.simulation import processor
from kernel.lang import EINVAL, ENOSPC, Errno
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE
from kernel.mm.fault import Access
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.protection_keys import DISABLE_ACCESS, DISABLE_WRITE, NO_KEY, ProtectionKeys
from kernel.mm.space import AddressSpace, each_area

BASE = 0x40_0000
READ_WRITE = PROT_READ | PROT_WRITE


@pytest.fixture
def keys_there() -> Iterator[None]:
    features.protection_keys = True
    processor.registers["pkru"] = 0x5555_5554
    yield
    features.protection_keys = False
    del processor.registers["pkru"]


def test_without_keys() -> None:
    keys = ProtectionKeys()
    with pytest.raises(Errno) as error:
        keys.take_for_program(0)
    assert error.value.code == EINVAL
    assert not keys.has(0)
    with pytest.raises(Errno):
        keys.give_back(0)


@pytest.mark.usefixtures("keys_there")
def test_fifteen_keys() -> None:
    keys = ProtectionKeys()
    assert [keys.take_for_program(DISABLE_WRITE) for _ in range(15)] == list(range(1, 16))
    assert processor.registers["pkru"] == 0xAAAA_AAA8
    with pytest.raises(Errno) as error:
        keys.take_for_program(0)
    assert error.value.code == ENOSPC
    assert keys.execute_only_key() == NO_KEY
    keys.give_back(7)
    assert not keys.has(7) and not keys.has(16) and not keys.has(-1)
    assert keys.copy().take() == 7
    assert keys.execute_only_key() == 7
    assert not keys.has(7)
    assert processor.registers["pkru"] >> 14 & 3 == DISABLE_ACCESS


@pytest.mark.usefixtures("machine", "keys_there")
def test_entries_have_the_key_of_their_area() -> None:
    space = AddressSpace()
    space.map(BASE, 4 * PAGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    space.fault(BASE, Access.WRITE)
    key = space.own_keys().take_for_program(0)
    space.protect(BASE, 2 * PAGE_SIZE, READ_WRITE, key)
    space.fault(BASE + PAGE_SIZE, Access.WRITE)
    space.fault(BASE + 2 * PAGE_SIZE, Access.WRITE)
    assert [read_entry(space.pages.find(BASE + i * PAGE_SIZE)) >> KEY_SHIFT & 15 for i in range(3)] == [key, key, 0]
    assert [area.key for area in each_area(space)] == [key, 0]
    assert not space.forbids(BASE, is_write=True)
    processor.registers["pkru"] |= DISABLE_WRITE << 2 * key
    assert space.forbids(BASE, is_write=True) and not space.forbids(BASE, is_write=False)
    child = space.fork()
    assert [area.key for area in each_area(child)] == [key, 0]
    assert child.own_keys().has(key)
    space.protect(BASE, 2 * PAGE_SIZE, READ_WRITE, 0)
    assert [area.key for area in each_area(space)] == [0]
    child.release()
    space.release()


@pytest.mark.usefixtures("machine", "keys_there")
def test_memory_that_may_only_be_executed() -> None:
    space = AddressSpace()
    space.map(BASE, 2 * PAGE_SIZE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    assert [area.key for area in each_area(space)] == [1]
    space.protect(BASE, PAGE_SIZE, PROT_READ | PROT_EXEC)
    assert [area.key for area in each_area(space)] == [0, 1]
    space.protect(BASE, PAGE_SIZE, PROT_EXEC)
    assert [area.key for area in each_area(space)] == [1]
    space.release()

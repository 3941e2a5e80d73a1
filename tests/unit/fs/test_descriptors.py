"""Tables of descriptors that several threads use."""

from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_RDWR
from kernel.fs.descriptors import FileTable
from tests.unit.fs.conftest import World
from tests.unit.meanwhile import meanwhile

MANY = 5000  # more than are looked through without a safe point


def new_file() -> DescriptorFile:
    return DescriptorFile(anonymous_path(b"[test]"), O_RDWR)


def test_a_descriptor_that_is_closed_during_the_search_is_used(world: World) -> None:
    table = FileTable()
    table.limit = 2 * MANY
    for _ in range(MANY + 10):
        table.install(new_file(), False)
    table.close_range(MANY, MANY + 10)
    table.close(1)
    table.install(new_file(), False)
    assert table.lowest_free(0) == MANY
    table.close(0)
    table._files[0] = new_file()
    file, other = new_file(), new_file()
    with meanwhile(lambda: table.close(3)):
        assert table.install(file, False) == 3
    table.close(0)
    table._files[0] = new_file()
    with meanwhile(lambda: table.close(3)):
        assert table.install(other, False, lowest=10) == MANY
    assert table.install(new_file(), False) == 3
    assert table.install(new_file(), False) == MANY + 1

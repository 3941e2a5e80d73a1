"""In which order directories are listed, and where a reader goes on."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from kernel.fs.constants import O_CREAT, O_RDWR
from kernel.fs.ext2.listing import ListedDirectory, NameOrder
from kernel.fs.ext2.name_hash import END_POSITION, HALF_MD4, hash_position, position_of
from kernel.fs.names import make_directory, unlink
from kernel.fs.open import open_file
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Listing, Mounted, check_image, make_image

Mount = Callable[..., Mounted]
HASHES = st.builds(position_of, st.integers(0, 3).map(lambda half: half << 29), st.integers(0, 3))


@given(st.lists(HASHES, max_size=40))
def test_order(positions: list[int]) -> None:
    """Sorted; of equal ones the first found, then the others backwards, as Linux keeps them."""
    order = NameOrder()
    order.take(positions, list(range(len(positions))))
    assert order.positions == sorted(positions)
    expected = []
    for position in sorted(set(positions)):
        first, *others = (place for place, other in enumerate(positions) if other == position)
        expected += [first, *reversed(others)]
    assert order.places == expected


@given(st.lists(HASHES, min_size=1, max_size=40), HASHES)
def test_seek(positions: list[int], wanted: int) -> None:
    order = NameOrder()
    order.take(positions, list(range(len(positions))))
    order.seek(wanted)
    assert order.positions[order.index :] == [position for position in sorted(positions) if position >= wanted]


def create(mounted: Mounted, directory: bytes, number: int) -> None:
    name = b"%s/a file with quite a long name, number %d" % (directory, number)
    open_file(mounted.context, None, name, O_CREAT | O_RDWR, 0o644).release()


def expected_order(mounted: Mounted, names: list[bytes]) -> list[bytes]:
    seed = mounted.fs.volume.super().hash_seed
    return sorted(names, key=lambda name: hash_position(name, HALF_MD4, seed))


def test_a_directory_that_grows_is_listed_by_hash_until_unmounted(mount: Mount) -> None:
    mounted = mount(make_image(2048, "-b", "1024"))
    make_directory(mounted.context, None, b"/many", 0o755)
    for number in range(100):
        create(mounted, b"/many", number)
    many = mounted.root.lookup(b"many")
    assert isinstance(many, ListedDirectory)
    names = mounted.names(many, 7)
    assert len(names) == 100
    assert names == expected_order(mounted, names)
    image = mounted.unmount()
    assert check_image(image) == ""
    mounted = mount(image)
    many = mounted.root.lookup(b"many")
    assert many is not None
    assert mounted.names(many) == [b"a file with quite a long name, number %d" % number for number in range(100)]


def test_a_number_that_is_used_again_is_not_taken_for_the_old_directory(mount: Mount) -> None:
    mounted = mount(make_image(2048, "-b", "1024"))
    known = mounted.fs.hashed_directories
    directory = mounted.fs.root().create(b"d", 0o040755, 0, plain_actor(Credentials()))
    known[directory.ino] = HALF_MD4
    mounted.fs.root().remove_directory(b"d", directory)
    mounted.fs.settle()
    assert directory.ino not in known


def test_a_reader_goes_on_behind_names_that_went_and_came(mount: Mount) -> None:
    mounted = mount(make_image(2048, "-b", "1024"))
    for number in range(60):
        create(mounted, b"", number)
    root = mounted.root
    assert isinstance(root, ListedDirectory)
    old = {name for name in mounted.names(root) if name.startswith(b"a file")}
    assert len(old) == 60
    order = NameOrder()
    seen: list[bytes] = []
    position = 0
    while position < END_POSITION:
        sink = Listing(3)
        root.list_names(position, sink, order)
        seen += [name for name, _, _ in sink.entries]
        position = sink.position
        last = seen[-1]
        if len(seen) < 60 and last in old:
            unlink(mounted.context, None, b"/" + last)
            create(mounted, b"", 100 + len(seen))
    assert len(seen) == len(set(seen))
    assert old <= set(seen)

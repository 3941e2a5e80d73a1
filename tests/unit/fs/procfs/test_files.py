"""/proc as a reader finds it, on a machine where nothing has happened yet."""

import re
from collections.abc import Iterator

import pytest

from kernel.fs.attributes import change_mode, change_owner, truncate_path
from kernel.fs.constants import O_RDONLY, O_TRUNC, O_WRONLY, SEEK_END, SEEK_SET
from kernel.fs.file import DirectorySink, File
from kernel.fs.mounts import attach_root
from kernel.fs.open import open_file
from kernel.fs.path import MOUNTS, FsContext
from kernel.fs.procfs import system
from kernel.fs.procfs.filesystem import make_procfs
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EACCES, EFBIG, EINVAL, EIO, ENOENT, EPERM, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.task.host import HOST
from kernel.task.namespace_set import FIRST_SET


class Names(DirectorySink):
    """Collects the names of a directory; takes no more than `room`."""

    def __init__(self, room: int = 1000) -> None:
        super().__init__()
        self.names: list[bytes] = []
        self.room = room

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        if len(self.names) >= self.room:
            return False
        self.names.append(name)
        return True


class Reader:
    """The running task, as far as files ask for it: its clocks are those of the machine."""

    def __init__(self) -> None:
        self.namespaces = FIRST_SET


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> Iterator[FsContext]:
    monkeypatch.setattr(system, "current", Reader)
    kept = dict(MOUNTS)
    MOUNTS.clear()
    yield attach_root(make_procfs(b"proc", b""), Credentials())
    MOUNTS.update(kept)


def read(file: File, size: int = 65536) -> bytes:
    buffer = KernelBuffer(bytearray(size))
    return bytes(buffer.storage[: file.read(buffer)])


def text_of(proc: FsContext, name: bytes) -> bytes:
    return read(open_file(proc, None, name, O_RDONLY, 0))


def write(proc: FsContext, name: bytes, data: bytes) -> int:
    return open_file(proc, None, name, O_WRONLY | O_TRUNC, 0).write(KernelBuffer(bytearray(data)))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (b"/uptime", rb"\d+\.\d\d \d+\.\d\d\n"),
        (b"/loadavg", rb"(\d+\.\d\d ){3}\d+/\d+ \d+\n"),
        (b"/meminfo", rb"((?!HugePages_)\w+: +\d+ kB\n|HugePages_(Total|Free|Rsvd|Surp): +\d+\n)+"),
        (b"/stat", rb"cpu  (\d+ ){9}\d+\ncpu0 (\d+ ){9}\d+\n(\w+ [\d ]+\n)+"),
        (b"/version", rb"Linux version \S+ .*\n"),
        (b"/sys/kernel/random/uuid", rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n"),
        (b"/metrics", rb"(# HELP (krait_\w+) .+\n# TYPE \2 (counter|gauge)\n\2 \d+(\.\d+)?\n)+"),
    ],
)
def test_texts_have_the_form_that_programs_expect(proc: FsContext, name: bytes, pattern: bytes) -> None:
    assert re.fullmatch(pattern, text_of(proc, name))


def test_meminfo_lines_up(proc: FsContext) -> None:
    lines = text_of(proc, b"/meminfo").splitlines()
    assert {len(line.removesuffix(b" kB")) for line in lines} == {24}
    assert [line.partition(b"_")[0] for line in lines if not line.endswith(b" kB")] == [b"HugePages"] * 4


def test_a_text_stays_the_same_while_it_is_read_in_pieces(proc: FsContext) -> None:
    file = open_file(proc, None, b"/sys/kernel/random/uuid", O_RDONLY, 0)
    whole = b""
    while piece := read(file, 5):
        whole += piece
    assert len(whole) == 37
    file.seek(0, SEEK_SET)
    assert read(file) != whole  # from the start it is made anew


def test_settings_alone_seek_from_their_end(proc: FsContext) -> None:
    setting = open_file(proc, None, b"/sys/kernel/hostname", O_RDONLY, 0)
    assert setting.seek(2, SEEK_END) == 2  # their size is 0
    text = open_file(proc, None, b"/version", O_RDONLY, 0)
    with pytest.raises(Errno) as error:
        text.seek(0, SEEK_END)
    assert error.value.code == EINVAL


def test_boot_id_stays(proc: FsContext) -> None:
    assert text_of(proc, b"/sys/kernel/random/boot_id") == text_of(proc, b"/sys/kernel/random/boot_id")


def test_the_host_name_can_be_written(proc: FsContext) -> None:
    old = HOST.host
    try:
        assert write(proc, b"/sys/kernel/hostname", b"here\n") == 5
        assert HOST.host == b"here"
        assert text_of(proc, b"/sys/kernel/hostname") == b"here\n"
        with pytest.raises(Errno) as error:
            write(proc, b"/sys/kernel/hostname", b"x" * 65)
        assert error.value.code == EINVAL
    finally:
        HOST.host = old


def test_even_root_cannot_write_what_only_tells(proc: FsContext) -> None:
    with pytest.raises(Errno) as error:
        write(proc, b"/uptime", b"x")  # root may open it
    assert error.value.code == EIO
    with pytest.raises(Errno) as error:
        open_file(proc, None, b"/sys/kernel/ostype", O_WRONLY, 0)
    assert error.value.code == EACCES


@pytest.mark.parametrize("name", [b"/uptime", b"/sys/kernel/hostname"])
def test_a_file_keeps_its_size_whatever_it_is_given(proc: FsContext, name: bytes) -> None:
    path = resolve(proc, None, name, FOLLOW)
    truncate_path(proc, path, 9)
    assert path.inode().size == 0
    with pytest.raises(Errno) as error:
        truncate_path(proc, path, 1 << 31)
    assert error.value.code == EFBIG


def test_settings_keep_their_owner_and_mode(proc: FsContext) -> None:
    for name in (b"/sys", b"/sys/kernel", b"/sys/kernel/hostname", b"/sys/kernel/ostype", b"/sys/kernel/pid_max"):
        path = resolve(proc, None, name, FOLLOW)
        inode = path.inode()
        change_owner(proc, path.mount, inode, None, None)
        with pytest.raises(Errno) as error:
            change_owner(proc, path.mount, inode, None, inode.gid)
        assert error.value.code == EPERM
        with pytest.raises(Errno) as error:
            change_mode(proc, path.mount, inode, inode.mode)
        assert error.value.code == EPERM
    path = resolve(proc, None, b"/uptime", FOLLOW)
    change_mode(proc, path.mount, path.inode(), 0o400)
    assert path.inode().mode & 0o777 == 0o400


def test_nobody_can_make_or_remove_names(proc: FsContext) -> None:
    for name in (b"/0", b"/99999", b"/007", b"/nothing", b"/sys/nothing"):
        with pytest.raises(Errno) as error:
            open_file(proc, None, name, O_RDONLY, 0)
        assert error.value.code == ENOENT


def test_a_directory_is_listed_whole_in_small_pieces(proc: FsContext) -> None:
    whole = Names()
    open_file(proc, None, b"/", O_RDONLY, 0).read_directory(whole)
    assert {b".", b"..", b"self", b"mounts", b"meminfo", b"sys"} <= set(whole.names)

    file = open_file(proc, None, b"/", O_RDONLY, 0)
    pieces: list[bytes] = []
    while True:
        part = Names(3)
        file.read_directory(part)
        if not part.names:
            break
        pieces += part.names
    assert pieces == whole.names

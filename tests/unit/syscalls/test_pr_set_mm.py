"""PR_SET_MM and PR_SET_VMA: another program is named while other threads do things; which areas can be named."""

from collections.abc import Iterator

from kernel.fs.anonymous import AnonymousInode, InternalMount
from kernel.fs.secret_memory import SecretPages
from kernel.ipc.shared_memory import Segment, Segments
from kernel.lang import EBADF, Errno
from kernel.lib.namespace import FIRST_USER
from kernel.mm.area import MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, Area
from kernel.mm.objects import MemoryObject, SharedMemory
from kernel.mm.remap import name_areas
from kernel.mm.space import AddressSpace, each_area
from kernel.syscalls import pr_set_mm
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
PR_SET_MM = 35
PR_SET_MM_EXE_FILE = 13


def nothing(_program: Program) -> None:
    pass


@booted
def test_others_close_it_and_name_another_one_meanwhile(machine: Machine) -> None:
    host = machine.host
    task = host.task
    for name in ("/bin/one", "/bin/two", "/bin/three"):
        machine.install(name, nothing)
    one, two, three = (host.call("open", name, 0, 0) for name in ("/bin/one", "/bin/two", "/bin/three"))
    files = [task.files.get(descriptor) for descriptor in (one, two, three)]
    task.process.executable = files[0].acquire()  # none of it is mapped
    assert [file.users for file in files] == [2, 1, 1]
    walk = each_area

    def disturbed(space: AddressSpace) -> Iterator[Area]:
        setattr(pr_set_mm, "each_area", walk)  # noqa: B010
        task.files.close(two)
        pr_set_mm._set_executable(task, files[2])
        return walk(space)

    setattr(pr_set_mm, "each_area", disturbed)  # noqa: B010  # for this machine alone
    host.call("prctl", PR_SET_MM, PR_SET_MM_EXE_FILE, two, 0, 0)
    assert task.process.executable is files[1]
    assert [file.users for file in files] == [1, 1, 1]
    assert files[1].is_program


@booted
def test_which_areas_can_be_named(machine: Machine) -> None:
    """Debian's Linux is built without names; Linux's sources say which it would take."""
    space = machine.host.task.space
    zeros = SharedMemory(PAGE)
    system = InternalMount(b"secrets", 0)
    secret = SecretPages(AnonymousInode(system.file_system, system.file_system.new_ino(), 0))
    secret.page_limit = 1
    segments = Segments(FIRST_USER)
    segment = Segment(segments, 0, PAGE, 0o600, machine.host.task.credentials, machine.host.task.process.as_bearer())

    def name(flags: int, source: MemoryObject | None) -> str:
        start = space.map(0, PAGE, PROT_READ | PROT_WRITE, flags, source, 0)
        try:
            name_areas(space, start, PAGE, b"name", True)
        except Errno as error:
            return "EBADF" if error.code == EBADF else f"{error.code}"
        return "named"

    assert name(MAP_PRIVATE, None) == "named"
    assert name(MAP_SHARED, None) == "named"
    assert name(MAP_SHARED, zeros) == "named"
    assert name(MAP_PRIVATE, zeros) == "EBADF"  # of /dev/zero
    assert name(MAP_SHARED, secret) == "EBADF"
    assert name(MAP_SHARED, segment) == "EBADF"

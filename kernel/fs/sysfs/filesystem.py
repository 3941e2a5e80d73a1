"""sysfs (sysfs(5)). It shows what the kernel really has: processors, buses with their devices, devices by class.

Context: see kernel/fs/procfs/entries.py, whose directories and texts this tree is made of.
"""

from typing import Final

from kernel.drivers.platform.firmware_items import FIRMWARE
from kernel.fs.attribute_store import NodeStore, Store
from kernel.fs.cgroup.directory import ROWS
from kernel.fs.cgroup.mount_options import NAMES
from kernel.fs.constants import S_IFDIR
from kernel.fs.filesystem import FileSystem, refuse_options, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.fs.procfs.entries import FixedDirectory, FixedLink, FixedText, MountPlace
from kernel.fs.procfs.processor_sets import set_list
from kernel.fs.sysfs import watchers
from kernel.fs.sysfs.buses import BusKobject, virtual_group
from kernel.fs.sysfs.characters import CLASSES
from kernel.fs.sysfs.events import NUMBERS
from kernel.fs.sysfs.firmware import FirmwareDirectory
from kernel.fs.sysfs.huge_pages import PoolKobject
from kernel.fs.sysfs.kobject import FILE_SIZE, KobjectDirectory
from kernel.fs.sysfs.large_pages import LargePagesKobject
from kernel.fs.sysfs.links import BusLinks, CharacterLinks, ClassLinks, DiskLinks, Disks
from kernel.fs.sysfs.merging import MergingKobject
from kernel.fs.sysfs.net import InterfacesDirectory
from kernel.lang import EINVAL, EPERM, Errno, final
from kernel.lib.bus import BUS_DEVICES, PROCESSORS_HOOK
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.namespace import UserNamespace
from kernel.lib.proc_files import MakeText
from kernel.mm.huge_pool import GIGANTIC, POOL
from kernel.mm.next_kernel import LOADED
from kernel.net.link.network import Network, caller_network
from kernel.perf.attributes import TYPE_BREAKPOINT, TYPE_SOFTWARE, TYPE_TRACEPOINT, TYPE_UPROBE
from kernel.sched.processor import PROCESSORS

# Used through registries that importing it fills.
_ = watchers

SYSFS_MAGIC: Final = 0x6265_6572
_BUSES: Final[list[bytes]] = [b"pci", b"platform", b"virtio"]
_EMPTY: Final[list[bytes]] = [b"module", b"power"]


@final
class SysFileSystem(FileSystem):
    """What all mounts show that are created in a network namespace."""

    def __init__(self, network: Network) -> None:
        super().__init__(b"sysfs", b"none", SYSFS_MAGIC)
        self.opens_devices = False
        self.has_fixed_names = True
        self.reveals = True
        self.attributes: dict[int, Store] = {}  # extended ones, by inode
        self.next_ino: int = 0
        self.top: FixedDirectory | None = None
        self.network: Network = network

    def ruler(self) -> UserNamespace:
        return self.network.owner

    def use(self, source: bytes, options: bytes) -> None:
        self.source = source

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def withdraw(self) -> None:
        if _MOUNTED.get(self.network.number) is self:
            _MOUNTED.pop(self.network.number)

    def shut_down(self) -> None:
        self.withdraw()
        self.top = None
        self.attributes.clear()

    def heeds_modes(self) -> bool:
        return True

    def takes_user_attributes(self) -> bool:
        return False

    def attribute_store_of(self, inode: Inode) -> Store | None:
        if inode.stays_empty():
            return None
        kept = self.attributes.get(inode.ino)
        return NodeStore(self.attributes, inode.ino) if kept is None else kept

    def directory(self, parent: FixedDirectory, name: bytes) -> FixedDirectory:
        """A new directory."""
        fresh = FixedDirectory(self, self.new_ino())
        fresh.mode = fresh.mode & ~0o777 | 0o755
        parent.add(name, fresh)
        return fresh

    def mount_place(self, parent: FixedDirectory, name: bytes, mode: int) -> None:
        """A new directory for another file system."""
        fresh = MountPlace(self, self.new_ino())
        fresh.mode = S_IFDIR | mode
        parent.add(name, fresh)

    def text(self, parent: FixedDirectory, name: bytes, make: MakeText) -> None:
        """A new file."""
        file = FixedText(self, self.new_ino(), 0o444, make, None)
        file.size = FILE_SIZE
        parent.add(name, file)

    def new_ino(self) -> int:
        """The next inode number."""
        self.next_ino += 1
        return self.next_ino


def processors() -> bytes:
    """The list of processors: those present, possible and online are the same."""
    return f"{set_list(-1, len(PROCESSORS))}\n".encode()


PROCESSORS_HOOK.list = processors


def kexec_loaded() -> bytes:
    """Whether reboot(2) has a kernel to start."""
    return b"0\n" if LOADED.kernel is None else b"1\n"


def software_type() -> bytes:
    """PERF_TYPE_SOFTWARE."""
    return f"{TYPE_SOFTWARE}\n".encode()


def breakpoint_type() -> bytes:
    """PERF_TYPE_BREAKPOINT."""
    return f"{TYPE_BREAKPOINT}\n".encode()


def tracepoint_type() -> bytes:
    """PERF_TYPE_TRACEPOINT."""
    return f"{TYPE_TRACEPOINT}\n".encode()


def probe_type() -> bytes:
    """That of events of programs' probes."""
    return f"{TYPE_UPROBE}\n".encode()


def probe_return_bit() -> bytes:
    """Where an event says that it wants a function's return."""
    return b"config:0\n"


def probe_counter_bits() -> bytes:
    """… and where a word counts those who want it."""
    return b"config:32-63\n"


def delegated_files() -> bytes:
    """The files whose owner changes when a control group is delegated."""
    text = b""
    for row in ROWS:
        if row.is_delegated:
            text += row.name + b"\n"
    return text


def group_features() -> bytes:
    """The options of cgroup2."""
    text = b""
    for name in NAMES:
        text += name + b"\n"
    return text


def nothing() -> bytes:
    """No memory is kept for a kernel that starts after a crash."""
    return b"0\n"


def last_event() -> bytes:
    """The number of the newest event of a device."""
    return f"{NUMBERS.last}\n".encode()


def _enter_events(fs: SysFileSystem, bus: FixedDirectory, devices: FixedDirectory) -> None:
    """The sources of events of perf_event_open(2), each with its number there."""
    source = fs.directory(bus, b"event_source")
    links = fs.directory(source, b"devices")
    fs.directory(source, b"drivers")
    places = fs.directory(devices, b"breakpoint")
    fs.text(places, b"type", breakpoint_type)
    links.add(b"breakpoint", FixedLink(fs, fs.new_ino(), b"../../../devices/breakpoint", size=0))
    software = fs.directory(devices, b"software")
    fs.text(software, b"type", software_type)
    links.add(b"software", FixedLink(fs, fs.new_ino(), b"../../../devices/software", size=0))
    tracepoint = fs.directory(devices, b"tracepoint")
    fs.text(tracepoint, b"type", tracepoint_type)
    links.add(b"tracepoint", FixedLink(fs, fs.new_ino(), b"../../../devices/tracepoint", size=0))
    probes = fs.directory(devices, b"uprobe")
    fs.text(probes, b"type", probe_type)
    form = fs.directory(probes, b"format")
    fs.text(form, b"retprobe", probe_return_bit)
    fs.text(form, b"ref_ctr_offset", probe_counter_bits)
    links.add(b"uprobe", FixedLink(fs, fs.new_ino(), b"../../../devices/uprobe", size=0))


def _enter_classes(fs: SysFileSystem, classes: FixedDirectory, network: Network) -> None:
    """Links to devices, by class."""
    classes.add(b"block", DiskLinks(fs, fs.new_ino(), b"../../", Disks.ALL))
    classes.add(b"net", InterfacesDirectory(fs, fs.new_ino(), network, has_links=True))
    for name in CLASSES:
        classes.add(name, ClassLinks(fs, fs.new_ino(), name))


def _enter_buses(fs: SysFileSystem, bus: FixedDirectory, devices: FixedDirectory, network: Network) -> None:
    """Devices by bus, and for each bus links to its devices and drivers."""
    for name in _BUSES:
        directory = fs.directory(bus, name)
        directory.add(b"devices", BusLinks(fs, fs.new_ino(), name, b""))
        drivers = fs.directory(directory, b"drivers")
        known: list[bytes] = []
        for device in BUS_DEVICES:
            if device.bus == name and len(device.driver) > 0 and device.driver not in known:
                known.append(device.driver)
                drivers.add(device.driver, BusLinks(fs, fs.new_ino(), name, device.driver))
    for device in BUS_DEVICES:
        if device.parent is None:
            devices.add(device.name, KobjectDirectory(fs, BusKobject(device, network)))
    virtual = fs.directory(devices, b"virtual")
    virtual.add(b"block", KobjectDirectory(fs, virtual_group(b"block")))
    virtual.add(b"net", InterfacesDirectory(fs, fs.new_ino(), network, has_links=False))
    for name in CLASSES:
        virtual.add(name, KobjectDirectory(fs, virtual_group(name)))


_MOUNTED: Final[dict[int, SysFileSystem]] = {}  # by the number of the network


def make_sysfs(source: bytes, options: bytes) -> FileSystem:
    """The instance of the caller's network namespace. Raises EINVAL (there are no options), MemoryError."""
    if len(options) > 0:
        raise Errno(EINVAL)
    network = caller_network()
    shown = _MOUNTED.get(network.number)
    if shown is not None:
        return shown
    made = _new(network)
    _MOUNTED[network.number] = made
    return made


def _new(network: Network) -> SysFileSystem:
    fs = SysFileSystem(network)
    top = FixedDirectory(fs, fs.new_ino())
    top.mode = top.mode & ~0o777 | 0o555
    bus = fs.directory(top, b"bus")
    for name in _EMPTY:
        fs.directory(top, name)
    firmware = fs.directory(top, b"firmware")
    if FIRMWARE.find():
        firmware.add(b"qemu_fw_cfg", FirmwareDirectory(fs))
    top.add(b"block", DiskLinks(fs, fs.new_ino(), b"../", Disks.WHOLE))
    _enter_classes(fs, fs.directory(top, b"class"), network)
    numbers = fs.directory(top, b"dev")
    numbers.add(b"block", DiskLinks(fs, fs.new_ino(), b"../../", Disks.BY_NUMBER))
    numbers.add(b"char", CharacterLinks(fs, fs.new_ino(), b"../../"))
    devices = fs.directory(top, b"devices")
    _enter_buses(fs, bus, devices, network)
    system = fs.directory(devices, b"system")
    cpu = fs.directory(system, b"cpu")
    fs.text(cpu, b"online", processors)
    fs.text(cpu, b"possible", processors)
    fs.text(cpu, b"present", processors)
    for processor in PROCESSORS:
        fs.directory(cpu, f"cpu{processor.number}".encode())
    file_systems = fs.directory(top, b"fs")
    fs.mount_place(file_systems, b"cgroup", 0o555)
    fs.mount_place(file_systems, b"bpf", 0o555)
    kernel = fs.directory(top, b"kernel")
    groups = fs.directory(kernel, b"cgroup")
    fs.text(groups, b"delegate", delegated_files)
    fs.text(groups, b"features", group_features)
    fs.text(kernel, b"kexec_loaded", kexec_loaded)
    fs.text(kernel, b"kexec_crash_loaded", nothing)
    fs.text(kernel, b"kexec_crash_size", nothing)
    fs.text(kernel, b"uevent_seqnum", last_event)
    memory = fs.directory(kernel, b"mm")
    sizes = fs.directory(memory, b"hugepages")
    sizes.add(b"hugepages-1048576kB", KobjectDirectory(fs, PoolKobject(GIGANTIC)))
    sizes.add(b"hugepages-2048kB", KobjectDirectory(fs, PoolKobject(POOL)))
    memory.add(b"ksm", KobjectDirectory(fs, MergingKobject()))
    memory.add(b"transparent_hugepage", KobjectDirectory(fs, LargePagesKobject()))
    fs.mount_place(kernel, b"config", 0o555)
    fs.mount_place(kernel, b"tracing", 0o555)
    _enter_events(fs, bus, devices)
    fs.top = top
    return fs


def check_sysfs_right(context: FsContext) -> None:
    """Only those who rule the network that it shows may mount it. Raises EPERM."""
    if not context.credentials.capable_in(caller_network().owner, CAP_SYS_ADMIN):
        raise Errno(EPERM)


SYSFS: Final = register_filesystem(b"sysfs", make_sysfs, is_for_all=True)
SYSFS.check_right = check_sysfs_right
SYSFS.check_options = refuse_options

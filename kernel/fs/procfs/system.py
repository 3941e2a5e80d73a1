"""Files of /proc about the whole system (proc(5)): time, load, memory, processor, devices.

What Krait does not have is shown as 0.
"""

from typing import Final

from arch import KIND_RAM, boot_info, processor_text
from arch.programs import LARGE_TOTALS
from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.block.registry import each_device
from kernel.cache.devices import device_page_count
from kernel.cache.dirty_pages import TOTALS
from kernel.cache.page import LRU
from kernel.fs.character_devices import CHAR_DEVICES
from kernel.fs.constants import device_major, device_minor
from kernel.fs.filesystem import FILE_SYSTEM_TYPES
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.linked import NEXT
from kernel.lib.pace import pace
from kernel.lib.proc_files import proc_file
from kernel.mm import slabs
from kernel.mm.broken import BROKEN
from kernel.mm.commitment import PROMISES, promise_limit
from kernel.mm.frames import PAGE_SIZE, available_frame_count, free_frame_count, total_frame_count
from kernel.mm.huge_pool import HUGE_KIB, POOL, pooled_frames
from kernel.mm.large_pages import LARGE_PAGES
from kernel.mm.merged_pages import MERGED
from kernel.mm.objects import SHARED_TOTALS
from kernel.mm.swap_slots import SWAP
from kernel.sched.processor import PROCESSORS, idle_ns, load_averages
from kernel.sched.scheduler import LOAD_ONE, divide_all
from kernel.sched.thread import Thread, ThreadState, first_thread, thread_count
from kernel.task.clocks import shown_boottime_ns
from kernel.task.host import HOST, RELEASE, SYSTEM_NAME, VERSION
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import next_process
from kernel.task.task import current, current_or_none
from kernel.time.clock import NS_PER_SECOND, counter_frequency_hz, realtime_ns

_KIB_PER_PAGE: Final = PAGE_SIZE // 1024
_NS_PER_TICK: Final = 10_000_000
_NS_PER_MS: Final = 1_000_000
_BLOCK_SEEN: Final = 1 << 32
_MISC_MAJOR: Final = 10
_PROCESS_COST: Final = 300  # instructions, for `pace`
_DISK_COST: Final = 6000


@proc_file("uptime")
def uptime() -> bytes:
    """Seconds since boot, and idle ones."""
    up = shown_boottime_ns(current()) // _NS_PER_TICK
    idle = idle_ns() // _NS_PER_TICK
    return f"{up // 100}.{up % 100:02d} {idle // 100}.{idle % 100:02d}\n".encode()


def running_count() -> int:
    """Threads that run or are ready to run."""
    count = 0
    thread: Thread | None = first_thread()
    while thread is not None:
        if thread.state == ThreadState.READY or thread.state == ThreadState.RUNNING:
            count += 1
        thread = thread.all_links[NEXT]
    return count


def _last_pid() -> int:
    """The number given last in the namespace of the running thread."""
    task = current_or_none()
    return (FIRST_PID if task is None else task.pids).last


@proc_file("loadavg")
def loadavg() -> bytes:
    """Load averages, running and all threads, the last process number."""
    text = ""
    for average in load_averages():
        hundredths = (average * 100 + LOAD_ONE // 2) // LOAD_ONE
        text += f"{hundredths // 100}.{hundredths % 100:02d} "
    return (text + f"{running_count()}/{thread_count()} {_last_pid()}\n").encode()


def shared_pages() -> int:
    """Pages that programs share without a file on a disk."""
    return SHARED_TOTALS.pages


def anonymous_pages() -> int:
    """Pages in the address spaces of all processes; shared ones count for each. Sleeps if there are very many."""
    pages = 0
    process = next_process(FIRST_PID, 0)
    while process is not None:
        number = int(process.pid)
        task = process.any_thread()
        if task is not None and task.memory is not None:
            pages += task.memory.resident
        pace(_PROCESS_COST)
        process = next_process(FIRST_PID, number + 1)
    return pages


def _memory_line(name: str, kib: int) -> str:
    label = name + ":"
    while len(label) < 16:
        label += " "
    number = str(kib)
    while len(label) + len(number) < 24:
        number = " " + number
    return f"{label}{number} kB\n"


def _count_line(name: str, count: int) -> str:
    label = name + ":"
    while len(label) < 16:
        label += " "
    return f"{label}{count:8d}\n"


@proc_file("meminfo")
def meminfo() -> bytes:
    """Memory in KiB. Files in memory are Linux's Shmem, and are part of Cached."""
    total = total_frame_count() * _KIB_PER_PAGE
    shared = shared_pages() * _KIB_PER_PAGE
    heap_held = slabs.bytes_held() // 1024
    heap_used = slabs.bytes_in_use() // 1024
    stacks = thread_count() * 16
    text = _memory_line("MemTotal", total)
    text += _memory_line("MemFree", free_frame_count() * _KIB_PER_PAGE)
    cached = LRU.count * _KIB_PER_PAGE
    buffers = device_page_count() * _KIB_PER_PAGE
    dirty = TOTALS.dirty * _KIB_PER_PAGE
    writing = TOTALS.writing * _KIB_PER_PAGE
    reclaimable = max(0, cached - dirty - writing)
    text += _memory_line("MemAvailable", available_frame_count() * _KIB_PER_PAGE + reclaimable)
    text += _memory_line("Buffers", buffers)
    text += _memory_line("Cached", shared + cached - buffers)
    text += _memory_line("SwapCached", SWAP.count() * _KIB_PER_PAGE)
    text += _memory_line("Active", 0)
    text += _memory_line("Inactive", 0)
    text += _memory_line("SwapTotal", SWAP.total() * _KIB_PER_PAGE)
    text += _memory_line("SwapFree", SWAP.free() * _KIB_PER_PAGE)
    text += _memory_line("Dirty", dirty)
    text += _memory_line("Writeback", writing)
    text += _memory_line("AnonPages", anonymous_pages() * _KIB_PER_PAGE)
    text += _memory_line("Mapped", 0)
    text += _memory_line("Shmem", shared)
    text += _memory_line("Slab", heap_held)
    text += _memory_line("SReclaimable", max(0, heap_held - heap_used))
    text += _memory_line("SUnreclaim", heap_used)
    text += _memory_line("KernelStack", stacks)
    text += _memory_line("CommitLimit", promise_limit() * _KIB_PER_PAGE)
    text += _memory_line("Committed_AS", PROMISES.pages * _KIB_PER_PAGE)
    text += _memory_line("HardwareCorrupted", BROKEN.count * _KIB_PER_PAGE)
    text += _memory_line("AnonHugePages", LARGE_TOTALS.mapped * HUGE_KIB)
    text += _memory_line("ShmemHugePages", 0) + _memory_line("ShmemPmdMapped", 0)  # only anonymous memory has any
    text += _memory_line("FileHugePages", 0) + _memory_line("FilePmdMapped", 0)
    text += _count_line("HugePages_Total", POOL.total) + _count_line("HugePages_Free", POOL.free)
    text += _count_line("HugePages_Rsvd", POOL.reserved) + _count_line("HugePages_Surp", POOL.surplus)
    text += _memory_line("Hugepagesize", HUGE_KIB) + _memory_line("Hugetlb", pooled_frames() * _KIB_PER_PAGE)
    return text.encode()


@proc_file("modules")
def modules() -> bytes:
    """There are none: the kernel is one piece."""
    return b""


def _times(user: int, nice: int, system: int, idle: int) -> str:
    """Nanoseconds as /proc/stat has them."""
    text = f" {user // _NS_PER_TICK} {nice // _NS_PER_TICK} {system // _NS_PER_TICK} {idle // _NS_PER_TICK}"
    return text + " 0 0 0 0 0 0\n"


@proc_file("stat")
def stat() -> bytes:
    """Processor time by kind in hundredths of a second; counters since boot."""
    divide_all()
    user = 0
    nice = 0
    system = 0
    switches = 0
    forks = 0
    lines = ""
    for processor in PROCESSORS:
        user += processor.user_ns
        nice += processor.nice_ns
        system += processor.system_ns
        switches += processor.switches
        forks += processor.forks
        lines += f"cpu{processor.number}" + _times(
            processor.user_ns, processor.nice_ns, processor.system_ns, processor.idle_ns
        )
    boot_time = (realtime_ns() - shown_boottime_ns(current())) // NS_PER_SECOND
    text = "cpu " + _times(user, nice, system, idle_ns()) + lines + "intr 0\n"
    text += f"ctxt {switches}\nbtime {boot_time}\nprocesses {forks}\n"
    text += f"procs_running {running_count()}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
    return text.encode()


@proc_file("version")
def version() -> bytes:
    """As `uname -a`, in Linux's words."""
    return SYSTEM_NAME + b" version " + RELEASE + b" (root@" + HOST.host + b") (krait) " + VERSION + b"\n"


@proc_file("cmdline")
def command_line_text() -> bytes:
    """What the boot loader passed."""
    return boot_info.command_line() + b"\n"


@proc_file("cpuinfo")
def cpuinfo() -> bytes:
    """A paragraph for each processor."""
    text = b""
    for processor in PROCESSORS:
        text += processor_text(processor.number, len(PROCESSORS), counter_frequency_hz() // 1000)
    return text


# Devices --------------------------------------------------------------------------------------------------------------


@proc_file("devices")
def devices() -> bytes:
    """Majors of character devices, each with the name of its first."""
    text = bytearray(b"Character devices:\n")
    seen: dict[int, bool] = {}
    for device in CHAR_DEVICES.values():
        major = device.number >> 8 & 0xFFF
        if major in seen:
            continue
        seen[major] = True
        name = device.name
        if major == 1:
            name = b"mem"
        elif major == 4:
            name = b"ttyS"
        elif major == 5:
            name = b"/dev/tty"
        text.extend(f"{major:3d} ".encode() + name + b"\n")
    text.extend(b"\nBlock devices:\n")
    for block_device in BLOCK_DEVICES.values():
        major = device_major(block_device.number)
        if block_device.whole is None and major | _BLOCK_SEEN not in seen:
            seen[major | _BLOCK_SEEN] = True
            text.extend(f"{major:3d} ".encode() + _kind_of_disk(block_device.name) + b"\n")
    return bytes(text)


def _kind_of_disk(name: bytes) -> bytes:
    return b"virtblk" if name.startswith(b"vd") else b"loop" if name.startswith(b"loop") else name


@proc_file("misc")
def miscellaneous_devices() -> bytes:
    """Minors of the major that miscellaneous devices share."""
    text = bytearray()
    for device in CHAR_DEVICES.values():
        if device_major(device.number) == _MISC_MAJOR:
            text.extend(f"{device_minor(device.number):3d} ".encode() + device.name + b"\n")
    return bytes(text)


@proc_file("iomem")
def physical_regions() -> bytes:
    """The map of physical addresses, as the boot loader reported it. Only root sees the addresses."""
    text = bytearray()
    shows = current().credentials.capable(CAP_SYS_ADMIN)
    for i in range(boot_info.region_count):
        start = boot_info.region_start[i] if shows else 0
        last = boot_info.region_end[i] - 1 if shows else 0
        name = b"System RAM" if boot_info.region_kind[i] == KIND_RAM else b"Reserved"
        text.extend(f"{start:08x}-{last:08x} : ".encode() + name + b"\n")
    return bytes(text)


@proc_file("filesystems")
def filesystems() -> bytes:
    """Types that can be mounted."""
    text = bytearray()
    for kind in FILE_SYSTEM_TYPES:
        text.extend((b"\t" if kind.needs_device else b"nodev\t") + kind.name + b"\n")
    return bytes(text)


@proc_file("interrupts")
def interrupts() -> bytes:
    """The processors' timer interrupts; those of lines are not counted."""
    text = "           "
    timers = "LOC:"
    for processor in PROCESSORS:
        text += f"CPU{processor.number:<8d}"
        timers += f" {processor.timer_interrupts:10d}"
    return (text + "\n" + timers + "   Local timer interrupts\n").encode()


@proc_file("partitions")
def partitions() -> bytes:
    """All block devices that have a size, in blocks of 1 KiB."""
    text = bytearray(b"major minor  #blocks  name\n\n")
    for device in each_device(_DISK_COST):
        if device.sectors > 0:
            numbers = f"{device_major(device.number):4d}  {device_minor(device.number):7d} {device.sectors // 2:10d} "
            text.extend(numbers.encode() + device.name + b"\n")
    return bytes(text)


@proc_file("diskstats")
def diskstats() -> bytes:
    """What each block device has done (Linux's Documentation/admin-guide/iostats.rst)."""
    text = bytearray()
    for device in each_device(_DISK_COST):
        text.extend(f"{device_major(device.number):4d} {device_minor(device.number):7d} ".encode())
        text.extend(device.name + b" " + statistics_line(device) + b"\n")
    return bytes(text)


def statistics_line(device: BlockDevice) -> bytes:
    """Requests, merged ones (there are none), sectors and milliseconds of reads and writes; those in flight, busy and
    weighted time; discards; flushes.
    """
    done = device.statistics
    taken = (done.read_ns + done.write_ns + done.flush_ns + done.discard_ns) // _NS_PER_MS
    text = f"{done.reads} 0 {done.read_sectors} {done.read_ns // _NS_PER_MS} "
    text += f"{done.writes} 0 {done.written_sectors} {done.write_ns // _NS_PER_MS} "
    text += f"{done.in_flight} {done.busy_ns // _NS_PER_MS} {taken} "
    text += f"{done.discards} 0 {done.discarded_sectors} {done.discard_ns // _NS_PER_MS} "
    text += f"{done.flushes} {done.flush_ns // _NS_PER_MS}"
    return text.encode()


@proc_file("vmstat")
def vmstat() -> bytes:
    """Memory in pages."""
    text = f"nr_free_pages {free_frame_count()}\nnr_anon_pages {anonymous_pages()}\nnr_mapped 0\n"
    text += f"nr_file_pages {shared_pages() + LRU.count}\nnr_dirty {TOTALS.dirty}\n"
    text += f"nr_writeback {TOTALS.writing}\nnr_shmem {shared_pages()}\n"
    text += f"nr_kernel_stack {thread_count() * 16}\npgpgin 0\npgpgout 0\npswpin {SWAP.swapped_in}\n"
    text += f"pswpout {SWAP.swapped_out}\n"
    text += f"nr_anon_transparent_hugepages {LARGE_TOTALS.mapped}\n"
    text += f"thp_fault_alloc {LARGE_PAGES.faults}\nthp_fault_fallback {LARGE_PAGES.fallbacks}\n"
    text += f"thp_collapse_alloc {LARGE_PAGES.collapsed}\nthp_collapse_alloc_failed {LARGE_PAGES.not_collapsed}\n"
    text += f"thp_split_pmd {LARGE_TOTALS.splits}\n"
    text += f"ksm_swpin_copy 0\ncow_ksm {MERGED.copies}\n"
    return text.encode()

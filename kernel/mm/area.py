"""An area: a run of pages of one address space with the same protection and the same source.

Source: mmap(2).
"""

from typing import TYPE_CHECKING, Final

from arch.programs import WRITE_WATCHED
from kernel.lang import final, u8
from kernel.lib.linked import Links
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.mm.huge_pool import HugeUse
from kernel.mm.objects import FixedPages, MappedThrough, MemoryObject
from kernel.mm.policy import MemoryPolicy, same_policy

if TYPE_CHECKING:
    from kernel.mm.space import AddressSpace
    from kernel.mm.userfault import FaultHandler

PROT_READ: Final = 1
PROT_WRITE: Final = 2
PROT_EXEC: Final = 4
PROT_GROWSDOWN: Final = 0x0100_0000
PROT_GROWSUP: Final = 0x0200_0000

MAP_SHARED: Final = 0x01
MAP_PRIVATE: Final = 0x02
MAP_SHARED_VALIDATE: Final = 0x03
MAP_TYPE: Final = 0x0F
MAP_DROPPABLE: Final = 0x08
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_32BIT: Final = 0x40
MAP_GROWSDOWN: Final = 0x100
MAP_DENYWRITE: Final = 0x800
MAP_EXECUTABLE: Final = 0x1000
MAP_LOCKED: Final = 0x2000
MAP_NORESERVE: Final = 0x4000
MAP_POPULATE: Final = 0x8000
MAP_NONBLOCK: Final = 0x1_0000
MAP_STACK: Final = 0x2_0000
MAP_HUGETLB: Final = 0x4_0000
MAP_SYNC: Final = 0x8_0000
MAP_FIXED_NOREPLACE: Final = 0x10_0000

# What its program said of large pages (large_pages.py): two bits of an area's flags beyond those of mmap
NO_ADVICE: Final = 0
WANTED: Final = 1  # MADV_HUGEPAGE
UNWANTED: Final = 2  # MADV_NOHUGEPAGE
_ADVICE_SHIFT: Final = 32
DROPPABLE: Final = 1 << 34  # kept for MAP_DROPPABLE: private memory that nobody locks, dumps or gives to a child
_ADVICE: Final = 3

WATCHES_WRITES: Final = 2  # of an area's fault modes: writes to protected pages are left to its handler (userfault.py)

_SIGNED_PAGES: Final = 1 << 63 - PAGE_SHIFT  # from here on, a byte offset is negative


@final
class Area:
    """start…end (end exclusive), page-aligned. `first_page` is the page of `source` that lies at `start`: mremap(2) may
    lengthen an area past the longest file, where an offset in bytes would not fit a number.
    """

    source_links: Links["Area"]  # among the areas of the same source (TrackedObject)

    def __init__(
        self, start: int, end: int, prot: int, maximum_prot: int, flags: int, source: MemoryObject | None, page: int
    ) -> None:
        self.start: int = start
        self.end: int = end
        # MAP_SHARED or MAP_PRIVATE, MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE; DROPPABLE, advice
        self.flags: int = flags
        self.source: MemoryObject | None = source
        self.first_page: int = page
        # Single bytes stand together: fields lie in this order, and a program may have 65,530 areas.
        self.prot: u8 = prot
        # what mprotect may ask for: a shared mapping of a read-only file is never writable
        self.maximum_prot: u8 = maximum_prot
        self.dont_fork: bool = False
        self.wipe_on_fork: bool = False
        self.is_promised: bool = False  # its memory counts as promised (commitment.py)
        self.key: u8 = 0  # protection key (pkeys(7))
        self.sealed: bool = False  # mseal(2): neither place nor protection may change
        self.dont_dump: bool = False  # MADV_DONTDUMP; from the beginning where memory is secret
        self.fault_modes: u8 = 0  # which faults `handler` serves
        self.has_own_pages: bool = False  # its program has had private pages there, other than the source's
        self.mergeable: bool = False  # its own pages may be merged with equal ones (MADV_MERGEABLE)
        self.height: u8 = 0  # in the tree of its space (area_tree.py), as the last fields here
        self.through: MappedThrough | None = None  # held while it is attached
        self.label: bytes = b""  # "[heap]", "[stack]", "[vdso]"
        self.given_name: bytes | None = None  # chosen by its program (PR_SET_VMA)
        self.policy: MemoryPolicy | None = None  # where its pages are to come from (mbind(2)); None: the thread's
        self.handler: FaultHandler | None = None  # serves its faults (userfaultfd(2))
        self.huge: HugeUse | None = None if source is None or not source.is_huge() else HugeUse(source.page_shift())
        self.space: AddressSpace | None = None  # the one it lies in, while attached to a source
        self.left: Area | None = None
        self.right: Area | None = None
        self.parent: Area | None = None  # or the next area that has left the space but is not detached yet
        self.gap: int = 0  # free bytes below the area
        self.largest: int = 0  # gap at or below this node

    @property
    def shared(self) -> bool:
        """Whether writes reach the source."""
        return self.flags & MAP_TYPE != MAP_PRIVATE

    @property
    def is_written_through(self) -> int:
        """1 if a program may write to the source through it, now or after mprotect(2), else 0."""
        return 1 if self.shared and self.maximum_prot & PROT_WRITE != 0 else 0

    @property
    def is_huge(self) -> bool:
        """Whether it consists of huge pages (huge_fault.py)."""
        return self.huge is not None

    @property
    def page_bytes(self) -> int:
        """The size of its pages: it begins and ends at multiples of that."""
        use = self.huge
        return PAGE_SIZE if use is None else 1 << use.shift

    def may_merge(self) -> bool:
        """Whether its pages can be merged with equal ones (merging.py): they are private, and neither huge nor the
        kernel's.
        """
        return not self.shared and not self.is_huge and not isinstance(self.source, FixedPages)

    @property
    def kept_bits(self) -> int:
        """What stays of an entry as a mark when its page goes and the area doesn't: as on Linux, memory of an object
        stays watched.
        """
        return WRITE_WATCHED if self.fault_modes & WATCHES_WRITES != 0 and self.source is not None else 0

    @property
    def large_advice(self) -> int:
        """NO_ADVICE, WANTED or UNWANTED."""
        return self.flags >> _ADVICE_SHIFT & _ADVICE

    def advise_large(self, advice: int) -> None:
        """Set that."""
        self.flags = self.flags & ~(_ADVICE << _ADVICE_SHIFT) | advice << _ADVICE_SHIFT

    def index_of(self, address: int) -> int:
        """The page index in `source` of an address inside the area."""
        return self.first_page + (address - self.start >> PAGE_SHIFT)

    def offset_of(self, address: int) -> int:
        """The byte offset in `source` of an address inside the area, modulo 2**64."""
        page = self.index_of(address)
        within = address & PAGE_MASK
        return (page << PAGE_SHIFT if page < _SIGNED_PAGES else page - 2 * _SIGNED_PAGES << PAGE_SHIFT) + within

    def attach(self, space: "AddressSpace") -> None:
        """Attach the area to `space`, and notify its source."""
        source = self.source
        if source is not None:
            through = self.through
            if through is None:
                through = source.through()
                self.through = through
            if through is not None:
                through.acquire()
            self.space = space
            source.attach(self)

    def detach(self) -> None:
        """Detach the area from its space."""
        source = self.source
        if source is not None:
            source.detach(self)
            self.space = None
            through = self.through
            if through is not None:
                through.release()

    def source_name(self) -> bytes:
        """What /proc/PID/maps shows of its source."""
        source = self.source
        through = self.through
        if through is not None:
            return through.name()
        return b"" if source is None else source.name()

    def copy(self, start: int, end: int, space: "AddressSpace") -> "Area":
        """An area of the same kind for start…end, a part of this one, that lies in `space`."""
        part = Area(start, end, self.prot, self.maximum_prot, self.flags, self.source, self.index_of(start))
        part.follow(self)
        part.sealed = self.sealed
        part.is_promised = self.is_promised
        part.attach(space)
        return part

    def follow(self, other: "Area") -> None:
        """Take name, key, advice and policy from another area; this one lies in no space yet."""
        if self.source is other.source:
            self.through = other.through
        self.label = other.label
        self.given_name = other.given_name
        self.key = other.key
        self.dont_fork = other.dont_fork
        self.wipe_on_fork = other.wipe_on_fork
        self.dont_dump = other.dont_dump
        self.has_own_pages = other.has_own_pages
        self.mergeable = other.mergeable
        self.advise_large(other.large_advice)
        if other.policy is not None:
            self.policy = other.policy

    def has_name_of(self, other: "Area") -> bool:
        """Whether both got the same name from their program, or none."""
        name = self.given_name
        given = other.given_name
        if name is None or given is None:
            return name is None and given is None
        return name == given

    def continues(self, other: "Area") -> bool:
        """Whether `other` starts where this area ends and is of the same kind, so that they can be merged."""
        return (
            self.end == other.start
            and not self.is_huge
            and self.prot == other.prot
            and self.maximum_prot == other.maximum_prot
            and self.flags == other.flags
            and self.source is other.source
            and self.through is other.through
            and self.label == other.label
            and self.has_name_of(other)
            and self.dont_fork == other.dont_fork
            and self.wipe_on_fork == other.wipe_on_fork
            and self.sealed == other.sealed
            and self.key == other.key
            and self.is_promised == other.is_promised
            and self.dont_dump == other.dont_dump
            and self.mergeable == other.mergeable
            and self.handler is other.handler
            and self.fault_modes == other.fault_modes
            and (self.source is None or self.index_of(self.end) == other.first_page)
            and same_policy(self.policy, other.policy)
            and (self.source is None or not self.source.is_walked())
        )

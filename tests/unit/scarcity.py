"""Memory that fails at one place after the other, and what the kernel has before and after.

Under CPython nothing runs out of memory. So a trace function looks at each line of the kernel that allocates in the
compiled one (it constructs an object, a list or bytes, takes a frame, or makes a container longer) and raises
MemoryError in front of one of them. Functions that never raise do not count, nor does what they call: the compiler sees
to those.

`check_each` does so with a system call, or several, until one round passes without: after each failure nothing may have
changed, and nothing may be left. What CPython's collector finds in circles would be lost in the kernel, which has none.
"""

from __future__ import annotations

import ast
import functools
import gc
import itertools
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable
from operator import is_, itemgetter
from types import CodeType, FrameType
from typing import Any, TypeGuard, TypeVar

from kernel.lang import EAGAIN, EFAULT, ENOMEM, Array
from tools.paths import ROOT

T = TypeVar("T")

_KERNEL = str(ROOT / "kernel") + "/"
_NOT_COMPILED = _KERNEL + "lang/"
_GROWING = ("append", "appendleft", "insert", "extend", "to_bytes", "copy", "encode")
_MAKING = ("bytes", "bytearray", "list")
_FRAMES = ("allocate_frame", "allocate_stack", "allocate_user_frame", "allocate_zeroed_frame")
_NEVER = 1 << 40
_INTERRUPTS = ("interrupt_in_kernel", "trap")
_UNTOLD = (ENOMEM, EAGAIN, EFAULT)  # of user memory that cannot be had, too


class Lines:
    """The lines of a file that allocate, and the first lines of functions that never raise. A line that may allocate
    has code for what would grow or be copied, or for a dictionary and the key that it may have already.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.allocating: dict[int, list[CodeType | None]] = {}
        self.safe: set[int] = set()
        with open(path) as file:
            tree = ast.parse(file.read())
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef):
                self._look(statement)
            elif isinstance(statement, ast.ClassDef):
                for each in statement.body:
                    if isinstance(each, ast.FunctionDef):
                        self._look(each)

    def _code(self, node: ast.expr) -> CodeType:
        return compile(ast.Expression(ast.fix_missing_locations(node)), self.path, "eval")

    def _code_unless_called(self, node: ast.expr) -> CodeType | None:
        """Code that finds the value again, unless a call made it, which may not be repeated."""
        return None if any(isinstance(each, ast.Call) for each in ast.walk(node)) else self._code(node)

    def _look(self, node: ast.AST) -> None:
        found = self.allocating
        if isinstance(node, ast.FunctionDef):
            if any(isinstance(each, ast.Name) and each.id == "noraise" for each in node.decorator_list):
                self.safe.add(min(each.lineno for each in node.decorator_list))
                return
            for statement in node.body:
                self._look(statement)
            return
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if isinstance(node.func, ast.Attribute) and node.func.attr in _GROWING:
                found.setdefault(node.lineno, []).append(self._code_unless_called(node.func.value))
            elif name[:1].isupper() and not name.isupper():
                found.setdefault(node.lineno, []).append(self._code(node.func))
            elif name in _MAKING or name in _FRAMES:
                found.setdefault(node.lineno, []).append(None)
        elif isinstance(node, ast.List | ast.Dict | ast.ListComp | ast.JoinedStr):
            found.setdefault(node.lineno, []).append(None)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
            if "span" not in ast.unparse(node.value):  # a part of one is none of its own
                found.setdefault(node.lineno, []).append(self._code_unless_called(node.value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            target = node.targets[0]
            if not isinstance(target.slice, ast.Slice):
                pair = ast.Tuple([target.value, target.slice], ast.Load())
                found.setdefault(node.lineno, []).append(self._code(pair))
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._look(node.value)
            return
        for child in ast.iter_child_nodes(node):
            self._look(child)


KNOWN: dict[str, Lines] = {}
"""What `lines_of` has looked at, by path."""


def lines_of(path: str) -> Lines:
    known = KNOWN.get(path)
    if known is None:
        known = KNOWN[path] = Lines(path)
    return known


_PLACES: dict[int, tuple[CodeType, dict[int, list[CodeType | None]]]] = {}
"""What `_places` knows, by the identity of code: to compare code takes long."""


def _places(code: CodeType) -> dict[int, list[CodeType | None]]:
    """Those lines of a function that allocate; none if it is not the compiled kernel's."""
    known = _PLACES.get(id(code))
    if known is None:
        path = code.co_filename
        is_compiled = path.startswith(_KERNEL) and not path.startswith(_NOT_COMPILED)
        found = lines_of(path).allocating if is_compiled else {}
        lines = {line for _, _, line in code.co_lines()}
        known = _PLACES[id(code)] = (code, {line: pairs for line, pairs in found.items() if line in lines})
    return known[1]


class Scarcity:
    """Lets allocation number `nth`, from 1, of what runs inside `with` find no memory; if it lasts, all others too.
    `room` is the part of the kernel that is looked at, such as "net".
    """

    def __init__(self, nth: int, *, room: str = "", lasts: bool = False) -> None:
        self.left = nth
        self.lasts = lasts
        self.prefix = _KERNEL + (room + "/" if room else "")
        self.where = ""  # it failed first

    def __enter__(self) -> Scarcity:
        if self.lasts:
            sys.setprofile(self._resume)
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)

    def _resume(self, frame: FrameType, _event: str, _argument: object) -> None:
        """CPython traces no more once the function has raised: go on, in all frames."""
        if sys.gettrace() is None:
            sys.settrace(self._enter)
            each: FrameType | None = frame
            while each is not None:
                each.f_trace = self._enter(each, "", None)
                each = each.f_back

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        code = frame.f_code
        is_watched = _places(code) and code.co_filename.startswith(self.prefix) and self._is_armed()
        return self._step if is_watched else None

    def _is_armed(self) -> bool:
        return self.left > 0 or self.lasts

    def _step(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        if event == "line" and (self.left > 0 or self.lasts):
            for pair in _PLACES[id(frame.f_code)][1].get(frame.f_lineno, ()):
                if (pair is None or takes_memory(pair, frame)) and not _is_safe(frame):
                    self.left -= 1
                    if self.left <= 0:
                        where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                        self.where = self.where or where
                        raise MemoryError
                    break
        return self._step


def takes_memory(code: CodeType, frame: FrameType) -> bool:
    """Whether an assignment makes a dictionary longer, what grows or is copied is one of Python's own, or what is made
    is an object, not a number or an exception.
    """
    found = eval(code, frame.f_globals, frame.f_locals)
    if isinstance(found, type):
        return not issubclass(found, int | BaseException) and not found.__module__.startswith("kernel.lang")
    if isinstance(found, tuple):
        container, key = found
        return isinstance(container, dict) and key not in container
    return isinstance(found, list | dict | deque | bytearray | bytes | str | int)


_SAFE: dict[int, tuple[CodeType, bool]] = {}
"""Of code, by its identity: whether nothing fails in what it calls."""


def _is_safe(frame: FrameType) -> bool:
    """Whether a function that never raises has called this one, or an interrupt."""
    each: FrameType | None = frame
    while each is not None:
        code = each.f_code
        known = _SAFE.get(id(code))
        if known is None:
            is_safe = code.co_filename.startswith(_KERNEL) and (
                code.co_firstlineno in lines_of(code.co_filename).safe or code.co_name in _INTERRUPTS
            )
            known = _SAFE[id(code)] = (code, is_safe)
        if known[1]:
            return True
        each = each.f_back
    return False


# ---- What there is --------------------------------------------------------------------------------------------------

_MAY_CHANGE = frozenset(
    "next_ino next_position last_number last highest _highest next_number generation switches voluntary_switches "
    "involuntary_switches charged round heap entries deadline is_noted slice position turn value hits misses "
    "allocations links kernel_ticks woken "
    "_files _close_on_exec _next _buffer belongings bearer holdings by_kind by_inode oldest newest calls".split()
)
"""Fields that may only ever grow, count what was tried, say what was looked at last, or hold what is made once."""
_NO_PART = (
    "kernel.lang.", "kernel.lib.user", "kernel.lib.half_sip_hash", "kernel.sched.", "kernel.time.", "kernel.doors.",
    "kernel.cache.", "kernel.mm.slabs", "kernel.lib.pace", "kernel.task.usage", "kernel.net.link.counters",
    "kernel.net.link.loopback", "kernel.net.tcp.header",
)  # fmt: skip


_APART = frozenset((
    "kernel.lib.random.Generator.available",
    "kernel.net.unix.rights.SocketList.serial",
    "kernel.task.groups.ProcessGroup.departures",
    "kernel.task.family.Family.news",
    "kernel.task.parts.Ending.gone",
    "kernel.mm.objects.SharedTotals.objects",  # that were ever made
    "kernel.net.vsock.table.EndpointTable._next_port",
    "kernel.net.internet.routes.Route.uses",
    "kernel.fs.tmpfs.file.TmpfsFile.drops",  # how often it gave back pages
    "kernel.fs.notification.Watches.cookie",  # of the last move
    "kernel.fs.dentry.Dentry.next",  # the order in which the cache looks at its entries
    "kernel.fs.dentry.Dentry.previous",
    "kernel.fs.dentry.DentryCache.head",
    "kernel.fs.dentry.DentryCache.tail",
    "kernel.net.link.network.EndedNetworks.first",  # a thread ends them later
    "kernel.net.link.network.Network.next_identification",  # of the next packet
    "kernel.net.packet.ring.receive.CaptureCounts.packets",  # that were ever seen
    "kernel.ipc.aio.AioContexts.made",  # the number of the last one
))  # fmt: skip


def _is_kernel(value: object) -> bool:
    module = type(value).__module__
    return module.startswith("kernel.") and not module.startswith(_NO_PART)


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def _part(value: object) -> object:
    """What a field or an entry is, as far as a later look can tell a change."""
    if isinstance(value, list | dict | deque | set):
        return (id(value), len(value))
    if isinstance(value, int | str | bytes | None):
        return value
    if _is_links(value):
        linked = tuple(value)
        return None if linked.count(None) == len(linked) else tuple(map(id, linked))  # None: as before its first use
    return bytes(value) if isinstance(value, bytearray) else id(value)


def _is_links(value: object) -> TypeGuard[Iterable[object]]:
    """Whether it is an Array of references, in an object."""
    return isinstance(value, Array) and isinstance(getattr(value, "_buffer", None), list)


def _fields(value: object) -> dict[str, object]:
    """What can be seen of each field of an object that may not change."""
    kind = _name(value)
    return {
        key: _part(each)
        for key, each in vars(value).items()
        if not _may_change(kind, key)
    }


@functools.cache
def _may_change(kind: str, key: str) -> bool:
    return key in _MAY_CHANGE or key.endswith("_ns") or f"{kind}.{key}" in _APART


class Still:
    """An object none of whose fields has changed so far. To see that, nothing needs to be written down anew."""

    def __init__(self, value: object) -> None:
        kind = _name(value)
        self._keys = keys = [key for key in vars(value) if not _may_change(kind, key)]
        self._fields = vars(value)
        self._count = len(self._fields)
        # Of two keys at least, so that it gives a tuple.
        self._get: Callable[[dict[str, Any]], Any] | None = itemgetter(*keys, keys[0]) if keys else None
        self._values: tuple[object, ...] = self._get(self._fields) if self._get is not None else ()
        self._lengths = [(each, len(each)) for each in self._values if isinstance(each, list | dict | deque | set)]
        self.can_be_seen = not any(isinstance(each, bytearray) or _is_links(each) for each in self._values)

    def first(self) -> dict[str, object]:
        """What `_fields` gave when this was made."""
        lengths = {id(each): length for each, length in self._lengths}
        return {
            key: (id(each), lengths[id(each)]) if id(each) in lengths else _part(each)
            for key, each in zip(self._keys, self._values, strict=False)
        }

    def is_still(self) -> bool:
        if len(self._fields) != self._count:
            return False
        try:
            is_same = self._get is None or all(map(is_, self._get(self._fields), self._values))
        except KeyError:
            return False
        return is_same and all(len(each) == length for each, length in self._lengths)


class Holdings:
    """All objects of the kernel: those that there were at first, by their fields, and later ones by their kinds."""

    def __init__(self) -> None:
        gc.collect()
        self.known = [value for value in gc.get_objects() if _is_kernel(value) and hasattr(value, "__dict__")]
        self.containers = [
            (f"{name}.{key}", value)
            for name, module in sorted(sys.modules.items())
            if name.startswith("kernel.") and not name.startswith(_NO_PART)
            for key, value in vars(module).items()
            if isinstance(value, list | dict | deque) and not key.startswith("__")
        ]
        self._lengths = [len(value) for _, value in self.containers]
        still = [Still(value) for value in self.known]
        self._still = {number: each for number, each in enumerate(still) if each.can_be_seen}
        self._seen = {number: _fields(value) for number, value in enumerate(self.known) if number not in self._still}
        gc.freeze()  # what the collector looks at from now on is new

    def changes(self) -> list[str]:
        """What has changed since this was last asked: fields of the first objects, and how long the modules' own tables
        are.
        """
        for number in [number for number, each in self._still.items() if not each.is_still()]:
            self._seen[number] = self._still.pop(number).first()  # from now on it is looked at as a whole
        wrong: list[str] = []
        for number, value in enumerate(self.known):
            if number in self._still:
                continue
            before, after = self._seen[number], _fields(value)
            self._seen[number] = after
            wrong += [
                f"{_name(value)}.{key}: {before.get(key)} is now {after.get(key)}"
                for key in {**before, **after}
                if before.get(key) != after.get(key)
            ]
        lengths = [len(value) for _, value in self.containers]
        for (name, _), before_length, length in zip(self.containers, self._lengths, lengths, strict=True):
            if length != before_length:
                wrong.append(f"{name}.length: {before_length} is now {length}")
        self._lengths = lengths
        return wrong

    def lost(self) -> Counter[str]:
        """The kinds of what nobody holds but itself: the collector finds it, and the kernel has none."""
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = Counter(_name(value) for value in gc.garbage if _is_kernel(value))
        gc.garbage.clear()
        return found

    def later(self) -> Counter[str]:
        """The kinds of objects that came since."""
        return Counter(_name(value) for value in gc.get_objects() if _is_kernel(value))


def each_place(attempt: Callable[[Scarcity], object], fewest: int = 1) -> None:
    """Make an attempt again and again, each time with the next allocation failing of what it does within `with` the
    scarcity that it gets, until none fails. It leaves nothing, whether it succeeds or not; so all must be as before.
    There must be at least `fewest` places.
    """
    attempt(Scarcity(_NEVER))  # what is made once is made now, here and in the kernel
    gc.disable()
    holdings = Holdings()
    attempt(Scarcity(0))
    holdings.changes()
    usual = holdings.later()  # dead threads of the simulated machine, which keeps their stacks
    failures: list[str] = []
    for nth in itertools.count(1):
        count = holdings.later()
        scarcity = Scarcity(nth)
        attempt(scarcity)
        if not scarcity.where:
            assert not failures, "\n".join(failures)
            assert nth > fewest, f"{nth - 1} places"
            return
        wrong = [f"{kind} is lost, {many} times" for kind, many in holdings.lost().items()]
        wrong += [f"{kind} is left, {many} times" for kind, many in (holdings.later() - count - usual).items()]
        wrong += holdings.changes()
        if wrong:
            failures.append(f"{scarcity.where}: " + "; ".join(wrong))


def check_each(call: Callable[[], T], undo: Callable[[T], object] = lambda _: None, fewest: int = 1) -> None:
    """Make a call in that way. `undo` takes back what it has done, where it has in spite of the failure."""

    def attempt(scarcity: Scarcity) -> None:
        try:
            with scarcity:
                result = call()
        except OSError as error:
            assert scarcity.where and error.errno in _UNTOLD, f"{scarcity.where}: {error}"
            return
        undo(result)

    each_place(attempt, fewest)

"""One LLVM module as text: functions, declarations, helper functions, attributes, debug metadata.

Deterministic: everything is printed in the order of lowering, declarations sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from compiler.frames import CALL_SET
from compiler.lower.interfaces import DebugInfo, Options
from compiler.types import BoolType, ClassType, IntType, Type, UnionType

# Functions may be left by a trap (docs/compiler-abi.md, "Traps"): none is nounwind, and all have unwind tables, which
# also say where a function that calls none, and so keeps no frame, was called.
BASE_ATTRIBUTES = '"frame-pointer"="non-leaf" "disable-tail-calls"="true" uwtable(sync) null_pointer_is_valid'
# The last makes LLVM say how large each stack frame is (compiler/stacks.py).
KERNEL_ATTRIBUTES = ' noredzone noimplicitfloat "use-soft-float"="true" "warn-stack-size"="0"'
# Packages whose functions run seldom, once for a request that costs far more: they are made small (`optsize`), so that
# the image ends where UEFI lets it (linker.ld).
SMALL_PACKAGES = frozenset((
    "kernel.drivers.watchdog", "kernel.fs.autofs", "kernel.fs.bpf", "kernel.fs.cgroup", "kernel.fs.configfs",
    "kernel.fs.fuse", "kernel.fs.hugetlbfs", "kernel.fs.plan9", "kernel.fs.sysfs", "kernel.fs.tracefs", "kernel.keys",
    "kernel.net.control", "kernel.net.netlink", "kernel.start",
))  # fmt: skip
# Registers that a call may change; the kernel has no wide ones.
_NOT_KEPT = tuple(f"~{{{name}}}" for name in ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "flags"))
_WIDE = tuple(f"~{{xmm{number}}}" for number in range(16))

INTRINSICS: dict[str, str] = {
    "llvm.memcpy": "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
    "llvm.memmove": "declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)",
    "llvm.memset": "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
}

# Small functions that every module has for itself. The barrier of a counted store (docs/compiler-abi.md): increment the
# new reference first, so that it never seems dead; then store; then decrement the old one.
HELPERS: dict[str, tuple[tuple[str, ...], str]] = {
    "krait.store_reference": (
        ("krait_count_is_zero",),
        """define internal void @krait.store_reference(ptr %place, ptr %new) #0 {
entry:
  %old = load atomic ptr, ptr %place unordered, align 8
  %new_null = icmp eq ptr %new, null
  br i1 %new_null, label %store, label %increment
increment:
  %ignored = atomicrmw add ptr %new, i32 1 monotonic
  br label %store
store:
  store atomic ptr %new, ptr %place unordered, align 8
  %old_null = icmp eq ptr %old, null
  br i1 %old_null, label %done, label %decrement
decrement:
  %before = atomicrmw sub ptr %old, i32 1 monotonic
  %last = icmp eq i32 %before, 1
  br i1 %last, label %zero, label %done
zero:
  call void @krait_count_is_zero(ptr %old)
  br label %done
done:
  ret void
}""",
    ),
    "krait.release_reference": (
        ("krait_count_is_zero",),
        """define internal void @krait.release_reference(ptr %place) #0 {
entry:
  %old = load atomic ptr, ptr %place unordered, align 8
  %old_null = icmp eq ptr %old, null
  br i1 %old_null, label %done, label %decrement
decrement:
  %before = atomicrmw sub ptr %old, i32 1 monotonic
  %last = icmp eq i32 %before, 1
  br i1 %last, label %zero, label %done
zero:
  call void @krait_count_is_zero(ptr %old)
  br label %done
done:
  ret void
}""",
    ),
    "krait.release_given": (
        ("krait.release_reference",),
        """define internal void @krait.release_given(ptr %object, i64 %offset) #0 {
entry:
  %none = icmp eq ptr %object, null
  br i1 %none, label %done, label %release
release:
  %place = getelementptr inbounds i8, ptr %object, i64 %offset
  call void @krait.release_reference(ptr %place)
  store ptr null, ptr %place, align 8
  br label %done
done:
  ret void
}""",
    ),
    "krait.retain": (
        (),
        """define internal void @krait.retain(ptr %new) #0 {
entry:
  %new_null = icmp eq ptr %new, null
  br i1 %new_null, label %done, label %increment
increment:
  %ignored = atomicrmw add ptr %new, i32 1 monotonic
  br label %done
done:
  ret void
}""",
    ),
    "krait.fill_references": (
        ("krait.store_reference",),
        """define internal void @krait.fill_references(ptr %place, i64 %count, ptr %new) #0 {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %done
body:
  %address = getelementptr inbounds ptr, ptr %place, i64 %i
  call void @krait.store_reference(ptr %address, ptr %new)
  %next = add nsw i64 %i, 1
  br label %head
done:
  ret void
}""",
    ),
}

# The same where references are not counted (`Options.without`).
_NOTHING = "define internal void @{name}({parameters}) #0 {{\nentry:\n  ret void\n}}"
_UNCOUNTED: dict[str, tuple[tuple[str, ...], str]] = {
    "krait.store_reference": (
        (),
        """define internal void @krait.store_reference(ptr %place, ptr %new) #0 {
entry:
  store atomic ptr %new, ptr %place unordered, align 8
  ret void
}""",
    ),
    "krait.release_reference": ((), _NOTHING.format(name="krait.release_reference", parameters="ptr %place")),
    "krait.release_given": ((), _NOTHING.format(name="krait.release_given", parameters="ptr %object, i64 %offset")),
    "krait.retain": ((), _NOTHING.format(name="krait.retain", parameters="ptr %new")),
    "krait.fill_references": HELPERS["krait.fill_references"],
}

# What LLVM may know of aliases: a field of an object and an element of a Span, Array or byte string are never the same
# memory. Everything else (structs, which may be views of bytes; raw memory; references in arrays) may be either.
_FIELD: Final = ", !tbaa !900003"
_ELEMENT: Final = ", !tbaa !900004"
LENGTH: Final = ", !range !900005"  # of the length of a bytes, str or RawArray
NATURAL: Final = ", !range !900010"  # of a number that is never negative
# Of a jump back to the head of a loop: that LLVM is to make this many turns one. (Loops may share a mark.)
UNROLLED: Final = {4: ", !llvm.loop !900006", 2: ", !llvm.loop !900007"}
_ALIASES = """!900000 = !{!"krait"}
!900001 = !{!"field", !900000, i64 0}
!900002 = !{!"element", !900000, i64 0}
!900003 = !{!900001, !900001, i64 0}
!900004 = !{!900002, !900002, i64 0}
!900005 = !{i64 0, i64 4611686018427387904}
!900006 = distinct !{!900006, !900008}
!900007 = distinct !{!900007, !900009}
!900008 = !{!"llvm.loop.unroll.count", i32 4}
!900009 = !{!"llvm.loop.unroll.count", i32 2}
!900010 = !{i64 0, i64 -9223372036854775808}"""


def field_alias(owner: Type) -> str:
    """What else may be the same memory as a field: for that of an object, other fields only."""
    return _FIELD if isinstance(owner, ClassType | UnionType) else ""


def element_alias(element: Type) -> str:
    """What else may be the same memory as an element of a Span, Array or RawArray: for plain data, no field."""
    return _ELEMENT if isinstance(element, IntType | BoolType) else ""


ModuleState = tuple[dict[str, str], dict[str, str], dict[str, int], int, dict[str, str], list[str]]


class Module:
    """An IR module under construction."""

    def __init__(self, name: str, options: Options, debug: DebugInfo) -> None:
        self.name = name
        self.options = options
        self.debug = debug
        self.declarations: dict[str, str] = {}
        self.definitions: dict[str, str] = {}  # symbol -> text
        self.attributes: dict[str, int] = {}
        self.attribute_group(self.base_attributes())  # number 0
        self.attribute_group("cold noreturn nomerge")  # number 1: traps
        self.trap_count = 0
        self.helpers: dict[str, str] = {}

    def base_attributes(self) -> str:
        """What every function of ours has."""
        if self.options.target == "kernel":
            small = " optsize" if self.name in SMALL_PACKAGES else ""
            return BASE_ATTRIBUTES + KERNEL_ATTRIBUTES + small
        if "frames" in self.options.without:
            return BASE_ATTRIBUTES.replace('"frame-pointer"="non-leaf"', '"frame-pointer"="none"')
        return BASE_ATTRIBUTES

    def attribute_group(self, text: str) -> str:
        """The number of an attribute group, as `#n`."""
        return f"#{self.attributes.setdefault(text, len(self.attributes))}"

    def declare(self, symbol: str, text: str) -> None:
        """Remember a declaration; dropped at the end if the module defines the symbol."""
        self.declarations.setdefault(symbol, text)

    def intrinsic(self, name: str) -> None:
        """Declare an intrinsic of the table."""
        self.declare(name, INTRINSICS[name])

    def helper(self, name: str) -> str:
        """Make a helper function available; returns its symbol with the @."""
        if name not in self.helpers:
            needs, text = (_UNCOUNTED if "counts" in self.options.without else HELPERS)[name]
            self.helpers[name] = text
            for need in needs:
                if need in HELPERS:
                    self.helper(need)
                else:
                    self.declare(need, f"declare void @{need}(ptr)")
        return f"@{name}"

    def trap(self, kind: int) -> str:
        """The instruction of a trap, which LLVM knows to leave the function by unwinding. The number keeps it apart
        from others of the same kind, which have lines of their own. A clean-up in which it lands finds only those
        registers as they were that calls keep, whether the trap stood in this function or LLVM brought it there.
        """
        self.trap_count += 1
        words = f"ud1l ${{0:c}}(%eax), %eax # {self.trap_count}"
        lost = ",".join(_NOT_KEPT if self.options.target == "kernel" else _NOT_KEPT + _WIDE)
        return f'call void asm sideeffect unwind "{words}", "i,{lost}"(i32 {kind}) #1'

    def call_set(self, key: str) -> str:
        """An attribute of an indirect call: a name for the functions that it may reach (see compiler/stacks.py and
        compiler/escape). (LLVM drops metadata where inlining makes an `invoke` of a call.)
        """
        if self.options.target != "kernel" and not self.options.optimise:
            return ""
        return " " + self.attribute_group(f'"{CALL_SET}"="{key}"')

    def call_sets(self) -> Iterator[tuple[str, int]]:
        """The names of the sets that calls of this module name, and their attributes' numbers."""
        for text, number in self.attributes.items():
            if text.startswith(f'"{CALL_SET}"='):
                yield text.split('"')[3], number

    def state(self) -> ModuleState:
        """All that is in the module, for another process."""
        return (self.declarations, self.definitions, self.attributes, self.trap_count, self.helpers, self.debug.nodes())

    def restore(self, state: ModuleState) -> None:
        """Take what another process has put into this module."""
        self.declarations, self.definitions, self.attributes, self.trap_count, self.helpers, nodes = state
        self.debug.restore(nodes)

    def define(self, symbol: str, text: str) -> None:
        """Add a definition."""
        self.definitions[symbol] = text

    def text(self, with_all: bool = True) -> str:
        """The whole module; perhaps without metadata that only functions had that it has no longer."""
        parts = [f'; module {self.name}\nsource_filename = "{self.name}"']
        parts += [text for symbol, text in sorted(self.declarations.items()) if symbol not in self.definitions]
        parts += [self.helpers[name] for name in sorted(self.helpers)]
        parts += list(self.definitions.values())
        parts += [f"attributes #{number} = {{ {text} }}" for text, number in self.attributes.items()]
        debug = self.debug.text(None if with_all else self.definitions.values())
        if debug:
            parts.append(debug)
        parts.append(_ALIASES)
        return "\n\n".join(parts) + "\n"

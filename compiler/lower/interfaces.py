"""What the lowering asks of its neighbours, and what it offers them: the freezer, the debug information, the run-time
library.

The order of work: discovery runs the lowering of every reached function once for its calls, allocations and objects
(its text is thrown away); the freezer is asked for symbols meanwhile and calls the hooks of `World`. Then the program
is closed, effects are computed, and the second run writes the text that is kept. The freezer writes its data after
that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from compiler.lower.layout import Layouts
from compiler.tree import Diagnostic, Function, Loc, Program
from compiler.types import CONTAINERS, ClassType, FunctionType, StructType, Type

# Of functions with landings. On the host it is libgcc's, which knows clean-up only; the kernel has none.
PERSONALITY = "__gcc_personality_v0"
PERSONALITY_DECLARATION = f"declare dso_local i32 @{PERSONALITY}(...)"


# What tests/twins can leave out of a program of the host, to see what it costs: the checks of sums for overflow, of
# indices, for None, of classes, of other numbers (ranges of storage types, shifts, divisors); the counts of references;
# the frame pointers, by which a trap finds the stack.
PARTS = ("overflow", "index", "none", "class", "number", "counts", "frames")


@dataclass(frozen=True)
class Options:
    """How to lower."""

    target: str = "host"  # "host" or "kernel"
    optimise: bool = True  # the release profile: repeat small functions across modules
    without: frozenset[str] = frozenset()  # some of PARTS: for measurements on the host, and nothing else

    def __post_init__(self) -> None:
        if self.without and self.target != "host":
            raise ValueError("the kernel has all checks")
        if unknown := self.without.difference(PARTS):
            raise ValueError(f"no part of a program: {', '.join(sorted(unknown))}")


class CompileErrors(Exception):
    """The program breaks rules: all diagnostics that were found."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(f"{len(diagnostics)} errors: {diagnostics[0].message}")
        self.diagnostics = diagnostics


class WorldHooks(Protocol):
    """What the freezer may ask while it walks live objects (and afterwards)."""

    layouts: Layouts

    def require_function(self, function: object, t: Type, place: object = None) -> str:
        """The symbol of a live function (or its full name) that is stored where a function of type `t` is expected; for
        `SyscallHandler` fields, its thunk. `place` is `field_place` of the field that holds it, if a field does."""

    def field_place(self, t: ClassType | StructType, name: str) -> object:
        """Which field, for `require_function`."""

    def is_guarded(self, t: ClassType, name: str) -> bool:
        """Whether a spin lock guards a field."""

    def require_class(self, t: Type) -> str:
        """Instances of `t` (a class, str, bytes, RawArray, Weak) exist: the symbol of its descriptor."""


class Freezer(Protocol):
    """compiler.freeze.Freezer."""

    def symbol_for(self, obj: object, t: Type) -> str:
        """The symbol of the frozen copy of a live object of declared type `t`: class instances, containers, str, bytes;
        for a struct, its storage. Literals of str and bytes come here too. Asked again for the same object, it gives
        the same symbol. It calls the hooks for everything that the object reaches, at once."""

    def is_shared(self, identity: int) -> bool:
        """Whether a live container is also referred to by an object, and not only by globals."""

    def shared(self) -> list[Diagnostic]:
        """What is wrong with the containers that spin locks guard."""

    def modules(self) -> dict[str, str]:
        """After lowering: IR text of the data, by module name."""


class DebugInfo(Protocol):
    """Debug metadata of one IR module. Ids are numbers of metadata nodes ("!17" is 17)."""

    def subprogram(self, function: Function, symbol: str) -> int:
        """The DISubprogram of a function definition; written after `define` as `!dbg !n`."""

    def location(self, loc: Loc, scope: int, inlined_at: int | None = None) -> int:
        """A DILocation in a subprogram; `inlined_at` is the location of the call that was inlined."""

    def local(self, name: str, t: Type, loc: Loc, scope: int, argument: int = 0) -> int:
        """A DILocalVariable; `argument` counts parameters from 1."""

    def text(self, users: Iterable[str] | None = None) -> str:
        """All metadata, for the end of the module; or no more than what these texts, and it itself, refer to."""

    def nodes(self) -> list[str]:
        """All nodes, by their numbers."""

    def restore(self, nodes: list[str]) -> None:
        """Take the nodes of a module that another process has completed."""


class NoDebugInfo:
    """Nothing at all; `None`-like ids are never written."""

    def subprogram(self, function: Function, symbol: str) -> int:
        return -1

    def location(self, loc: Loc, scope: int, inlined_at: int | None = None) -> int:
        return -1

    def local(self, name: str, t: Type, loc: Loc, scope: int, argument: int = 0) -> int:
        return -1

    def text(self, users: Iterable[str] | None = None) -> str:
        return ""

    def nodes(self) -> list[str]:
        return []

    def restore(self, nodes: list[str]) -> None:
        pass


class FreezerFactory(Protocol):
    """Makes the Freezer of a program (compiler.freeze.Freezer itself)."""

    def __call__(self, program: Program, hooks: WorldHooks, target: str) -> Freezer: ...


class DebugFactory(Protocol):
    """Makes the DebugInfo of one module (compiler.lower.debug.DebugInfo itself)."""

    def __call__(self, module_name: str, layouts: Layouts) -> DebugInfo: ...


# The run-time library ------------------------------------------------------------------------------------------------

TEXT = "kernel.lang.runtime.text"
BYTE_STRINGS = "kernel.lang.runtime.byte_strings"
LIST = f"{CONTAINERS}List"
DICT = f"{CONTAINERS}Dict"
DEQUE = f"{CONTAINERS}Deque"
BYTE_ARRAY = f"{CONTAINERS}ByteArray"

# An f-string becomes: b = TextBuilder(); b.add_str(s); b.add_int(value, base, width, zero_pad, upper); …; b.finish() ->
# str. Width is negative for left alignment; prefix is "0x" and the like of "#x". add_bytes adds repr-less raw bytes
# (":s" of bytes is not in the language; `{b!r}` adds Python's repr).
TEXT_BUILDER = f"{TEXT}.TextBuilder"
ADD_STR = "add_str"  # (self, text: str, width: int) -> None
ADD_INT = "add_int"  # (self, value: int, base: int, width: int, zero_pad: bool, upper: bool, alternate: bool) -> None
ADD_U64 = "add_u64"  # the same for u64
ADD_BYTES_REPR = "add_bytes_repr"  # (self, data: bytes) -> None: Python's repr
FINISH = "finish"  # (self) -> str

# A builtin with the receiver first is a function of the run-time library: "bytes.find" is
# kernel.lang.runtime.byte_strings.bytes_find, "str.encode" is str_encode, "sorted" is
# kernel.lang.runtime.containers.sorted_ints, "print" is kernel.lang.runtime.text.print_text(s: str). Arguments that the
# source leaves out are filled in from the live function's defaults.


def runtime_function(builtin: str) -> str:
    """The full name of the library function for a builtin."""
    special = {"sorted": f"{CONTAINERS}sorted_ints", "print": f"{TEXT}.print_text"}
    module = BYTE_STRINGS if builtin.startswith("bytes.") and builtin != "bytes.decode" else TEXT
    return special.get(builtin) or f"{module}.{builtin.replace('.', '_')}"


# C symbols that compiled code calls; whoever exports them is compiled in with the program, else they stay external.
ALLOCATE = "krait_allocate"  # ptr (ptr descriptor, i64 size)
NEW_WEAK = "krait_new_weak"  # ptr (ptr descriptor, ptr target)
COUNT_IS_ZERO = "krait_count_is_zero"  # void (ptr object)
PANIC_MESSAGE = "krait_panic_message"  # void (ptr str)

__all__ = [
    "ClassType",
    "DebugFactory",
    "DebugInfo",
    "Freezer",
    "FreezerFactory",
    "FunctionType",
    "NoDebugInfo",
    "Options",
    "WorldHooks",
]

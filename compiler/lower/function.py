"""Lowering of one function: its blocks and registers, its frames of locals, and what happens on the way out of a block.

`FunctionLowerer` is the state that all modules of the lowering share; expressions, statements and so on are functions
over it.

A *frame* is a set of locals: one for the function itself, and one more for each generator, lambda or nested function
that is inlined into it. A *context* is something that a jump passes on its way out: a loop, a `try`, a `finally`, the
border of an inlined call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from compiler.frames import NOT_COUNTED
from compiler.lower.guards import Held, note_need
from compiler.lower.interfaces import PERSONALITY, PERSONALITY_DECLARATION
from compiler.lower.layout import by_address, is_pointer, register_type
from compiler.lower.module import Module
from compiler.lower.values import (
    INT_MIN,
    LENGTH_LIMIT,
    NONE_VALUE,
    U64_MAX,
    Fact,
    Path,
    Value,
    bounds,
    is_integer,
    type_bounds,
    widen,
)
from compiler.lower.world import Edge, Instance, Passed, World
from compiler.tree import Diagnostic, Function, Loc
from compiler.types import (
    INT,
    BoolType,
    ClassType,
    FunctionType,
    IntType,
    NeverType,
    NoneType,
    OptionalType,
    SpanType,
    Type,
    UnionType,
    show,
    substitute,
)

TRAP_OVERFLOW, TRAP_INDEX, TRAP_NONE, TRAP_ZERO, TRAP_ASSERT, TRAP_KEY, TRAP_MATCH = 1, 2, 3, 4, 5, 6, 7
TRAP_RANGE, TRAP_SHIFT, TRAP_PANIC, TRAP_UNREACHABLE, TRAP_ENUM, TRAP_CHANGED, TRAP_UNCAUGHT = 8, 9, 10, 11, 12, 13, 14
TRAP_CLASS = 16

# The checks that a program may be built without (`Options.without`).
TRAPS_OF_PARTS = {
    "overflow": (TRAP_OVERFLOW,),
    "index": (TRAP_INDEX,),
    "none": (TRAP_NONE,),
    "class": (TRAP_CLASS, TRAP_ENUM),
    "number": (TRAP_ZERO, TRAP_RANGE, TRAP_SHIFT),
}

FOR_ALONE = "write the loop there, or return a list"
KEEP_CODE = "an exception is no object: keep its code"
MOST_FOLLOWED = 128  # locals of a function whose ranges are followed
MOST_LINES = 200_000  # of a function, with the generators, lambdas and nested functions that are repeated in it

# Instructions that a trap may leave: all calls but those of LLVM's own functions, and the traps themselves.
_MAY_UNWIND = re.compile(r"(?:%[\w.]+ = )?call (?!.*@llvm\.)(?!.* asm (?!sideeffect unwind))")


class Disbelief(Exception):
    """Emission found a number outside the range that discovery saw."""


@dataclass
class Slot:
    """A local variable: the address of its storage, and its declared type."""

    address: str
    type: Type
    place: object = None  # for function values: see `World.flows`
    path: Path | None = None
    natural: bool = False  # an int that is never negative (naturals.py)
    followed: bool = False  # an int whose range is kept (ranges.py)


@dataclass
class Closure:
    """A lambda or nested function, and the frame whose variables it sees."""

    function: Function
    frame: Frame


@dataclass
class Frame:
    """Locals of a function or of one inlined into it."""

    function: Function
    env: dict[str, Type]
    depth: int  # how many contexts there were when it began
    scope: int = -1  # debug information: its subprogram,
    inlined_at: int | None = None  # and the call that was inlined;
    suffixes: dict[tuple[int, int], str] = field(default_factory=dict)  # what instructions of a line and column end in
    slots: dict[str, Slot] = field(default_factory=dict)
    followed: list[tuple[str, Slot]] = field(default_factory=list)
    closures: dict[str, Closure] = field(default_factory=dict)
    outer: Frame | None = None  # the frame that encloses it in the source, for captured variables
    return_label: str = ""  # for inlined frames
    return_slot: Slot | None = None
    inside: frozenset[int] = frozenset()  # elements (by their nodes) that lie inside without a check (inside.py)
    rows: bool = True  # whether statements with places in a row are lowered together (rows.py)
    on_yield: Callable[[Value], None] | None = None  # for generators: what to do with a value (loops.py)


@dataclass
class LoopContext:
    """`break` and `continue` of a loop that belongs to `frame`."""

    frame: Frame
    break_label: str
    continue_label: str


@dataclass
class TryContext:
    """Handlers around a body: an error word is stored in `slot`, then `label` finds the handler."""

    slot: str
    label: str
    caught: tuple[str, ...]
    used: bool = False


@dataclass
class FinallyContext:
    """A `finally` body (or the end of a `with`), emitted once for every way out."""

    emit: Callable[[], None]  # run in the contexts around
    slot: str
    label: str
    landing: str  # where a trap lands,
    unwinding: str  # and its way on from an inner landing
    used: bool = False
    landed: bool = False
    passed: bool = False


@dataclass
class ColdContext:
    """The building of a panic's message: errors go straight to the trap."""

    label: str
    used: bool = False


@dataclass
class HandlerContext:
    """The inside of an `except`: a bare `raise` raises `error` again."""

    error: str
    exceptions: tuple[str, ...]


@dataclass
class HeldContext:
    """The inside of a `with` that takes a spin lock, or of a function whose callers hold one."""

    held: Held


Ranges = dict[str, tuple[int, int]]

Context = LoopContext | TryContext | FinallyContext | ColdContext | HandlerContext | HeldContext


class FunctionLowerer:
    """The state of one function's lowering, and its most common steps."""

    def __init__(self, world: World, module: Module, instance: Instance) -> None:
        self.world = world
        self.layouts = world.layouts
        self.module = module
        self.instance = instance
        self.discovering = world.discovering
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.tail: list[str] = []
        self.contexts: list[Context] = []
        self.free_parts: set[int] = set()  # fields (by the identity of the node) whose struct is read atomically
        self.counter = 0
        self.block = "entry"
        self.live = True
        self.targets: set[str] = set()
        self.debug_suffix = ""
        self.frame = Frame(instance.function, instance.env, 0)
        self.loc = instance.function.loc
        self.result_address = ""  # of a struct result's storage
        self.raise_used = False
        self.unwind_slot = ""
        self.panic_noted = False
        self.inline_depth = 0
        self.slot_count = 0
        # What is known of the ranges of int locals, by the addresses of their slots: at this place,
        self.ranges: Ranges = {}
        self.steady: Ranges = {}  # everywhere in the loops around it,
        self.written: list[Ranges] = []  # in discovery: what the loops around it write, the innermost last
        self.believed: list[Ranges] = []  # in emission: what these are believed to write or to have found
        self.arrivals: dict[str, list[Ranges] | None] = {}  # and at each jump to a label of `join` (None: it began)
        self.repeating = False  # in a clean-up, which is lowered for each way out
        self.backward: dict[str, list[Ranges]] = {}  # at each jump back to the head of a `while`
        self.writes: dict[str, int] = {}
        self.reads: dict[str, tuple[str, int, int]] = {}  # a register: slot, number of its writes then, what was added
        self.followed_count = 0
        self.implied: dict[str, tuple[list[Fact], list[Fact]]] = {}  # by an i1: if it is true, and if it is false
        self.own_numbers: dict[object, int] = {}  # of int parameters that are never assigned, by their paths' roots
        self.unchecked = {kind for part in world.options.without for kind in TRAPS_OF_PARTS.get(part, ())}
        self.taking = ""  # the class of the spin lock that a `with` takes here,
        self.giving = False  # or that it gives one back here

    # Text -------------------------------------------------------------------------------------------------------------

    def emit(self, text: str) -> None:
        """Append an instruction to the current block; nothing if the place cannot be reached."""
        if not self.live:
            return
        context = self.cleanup() if self.contexts and not self.discovering else None
        if context is not None and _MAY_UNWIND.match(text) is not None:
            self.invoke(text, context)
        else:
            self.lines.append("  " + text + self.debug_suffix)

    def cleanup(self) -> FinallyContext | None:
        """The innermost clean-up around this place."""
        return next((c for c in reversed(self.contexts) if isinstance(c, FinallyContext)), None)

    def invoke(self, text: str, context: FinallyContext) -> None:
        """A call with a clean-up around it: a trap inside it lands there."""
        context.landed = True
        self.targets.add(context.landing)
        end = text.find(", !", text.rindex(")"))
        call, marks = (text, "") if end < 0 else (text[:end], text[end:])
        after = self.join("went")
        call = call.replace("call ", "invoke ", 1)
        self.lines.append(f"  {call} to label %{after} unwind label %{context.landing}{marks}{self.debug_suffix}")
        self.targets.add(after)
        self.arrive(after, self.ranges)
        self.start(after)

    def land(self, context: FinallyContext) -> None:
        """Begin the clean-up for traps of what is around it; `resume` ends it."""
        if context.landed:
            self.start(context.landing)
            pad = self.op("landingpad { ptr, i32 } cleanup")
            self.emit(f"store {{ ptr, i32 }} {pad}, ptr {self.unwinding()}")
            self.branch(context.unwinding)
        self.start(context.unwinding)

    def resume(self) -> None:
        """After a clean-up, the trap continues to the next one outwards."""
        if not self.live:
            return
        outer = self.cleanup()
        if outer is not None:
            outer.passed = True
            self.branch(outer.unwinding)
            return
        self.emit(f"resume {{ ptr, i32 }} {self.op(f'load {{ ptr, i32 }}, ptr {self.unwinding()}')}")
        self.live = False

    def unwinding(self) -> str:
        """Where a trap on its way is kept: the unwinder's business."""
        if not self.unwind_slot:
            self.unwind_slot = self.alloca("{ ptr, i32 }", zero=False)
            self.module.declare(PERSONALITY, PERSONALITY_DECLARATION)
        return self.unwind_slot

    def name(self, prefix: str) -> str:
        """A fresh name, without the %."""
        self.counter += 1
        return f"{prefix}{self.counter}"

    def op(self, text: str) -> str:
        """Append an instruction with a result; returns its register."""
        register = f"%t{self.name('')}"
        self.emit(f"{register} = {text}")
        return register

    def label(self, prefix: str) -> str:
        """A fresh label."""
        return self.name(prefix)

    def join(self, prefix: str) -> str:
        """A fresh label at which what is known of ranges is kept: whoever jumps to it calls `arrive` first, as
        `branch` and `branch_if` do. No jump to it comes after it has begun.
        """
        label = self.name(prefix)
        self.arrivals[label] = []
        return label

    def arrive(self, label: str, ranges: Ranges) -> None:
        """Note what is known where a jump to a label is made."""
        if label in self.arrivals:
            noted = self.arrivals[label]
            if noted is None:
                raise AssertionError(f"a jump back to {label}, at which ranges were kept")
            noted.append(ranges)
        elif label in self.backward:
            self.backward[label].append(ranges)

    def start(self, label: str) -> None:
        """Begin a block. It is live if something reachable jumps to it."""
        self.live = label in self.targets
        noted = self.arrivals.get(label)
        if noted is None:
            self.ranges = self.steady
            self.reads.clear()
            self.implied.clear()
        else:
            self.ranges = joined(noted)
            self.arrivals[label] = None
        if self.live:
            self.block = label
            self.lines.append(f"{label}:")

    def branch(self, label: str, mark: str = "") -> None:
        """Jump; the block is over. `mark`: metadata of the jump."""
        if self.live:
            self.targets.add(label)
            self.arrive(label, self.ranges)
            self.emit(f"br label %{label}{mark}")
            self.live = False

    def branch_if(self, condition: str, then: str, orelse: str) -> None:
        """Jump by an i1; the block is over."""
        if not self.live:
            return
        condition = self.decided(condition)
        if condition in ("true", "false"):
            self.branch(then if condition == "true" else orelse)
            return
        self.targets.add(then)
        self.targets.add(orelse)
        self.arrive(then, self.ranges_if(condition, holds=True))
        self.arrive(orelse, self.ranges_if(condition, holds=False))
        self.emit(f"br i1 {condition}, label %{then}, label %{orelse}")
        self.live = False

    def unreachable(self) -> None:
        """The place is not reached."""
        self.emit("unreachable")
        self.live = False

    def phi(self, kind: str, arms: list[tuple[str, str]]) -> str:
        """Merge operands by the blocks that they come from (all of them jump here)."""
        if not arms:
            return "poison"
        if len(arms) == 1:
            return arms[0][0]
        return self.op(f"phi {kind} " + ", ".join(f"[ {operand}, %{block} ]" for operand, block in arms))

    def alloca(self, kind: str, zero: bool = True, align: int = 0) -> str:
        """Storage in the entry block."""
        register = f"%s{self.name('')}"
        self.entry.append(f"  {register} = alloca {kind}" + (f", align {align}" if align else ""))
        if zero:
            self.entry.append(f"  store {kind} zeroinitializer, ptr {register}")
        return register

    def storage(self, t: Type) -> str:
        """Storage for a struct or Array in this function's frame, not yet cleared."""
        size, align = self.layouts.size_align(t)
        return self.alloca(f"[{max(size, 1)} x i8]", zero=False, align=max(align, 8))

    def set_loc(self, loc: Loc) -> None:
        """What follows comes from this place in the source."""
        self.loc = loc
        if len(self.lines) > MOST_LINES:
            hint = "write several functions, or keep what it works on in a table"
            raise self.error("KP994", f"up to here, this function takes more than {MOST_LINES:,} instructions", hint)
        frame = self.frame
        if self.discovering or frame.scope < 0:
            return
        place = (loc.line, loc.column)
        suffix = frame.suffixes.get(place)  # asked for at each step, and rarely new
        if suffix is None:
            number = self.module.debug.location(loc, frame.scope, frame.inlined_at)
            suffix = frame.suffixes[place] = f", !dbg !{number}" if number >= 0 else ""
        self.debug_suffix = suffix

    @contextmanager
    def at(self, loc: Loc) -> Iterator[None]:
        """`set_loc` for a while."""
        old, old_suffix = self.loc, self.debug_suffix
        self.set_loc(loc)
        yield
        self.loc, self.debug_suffix = old, old_suffix

    @contextmanager
    def in_frame(self, frame: Frame) -> Iterator[None]:
        """Lower in another frame for a while."""
        old, old_loc, old_suffix = self.frame, self.loc, self.debug_suffix
        self.frame = frame
        yield
        self.frame, self.loc, self.debug_suffix = old, old_loc, old_suffix

    @contextmanager
    def in_contexts(self, contexts: list[Context]) -> Iterator[None]:
        """Lower with other contexts for a while."""
        old = self.contexts
        self.contexts = contexts
        yield
        self.contexts = old

    def error(self, code: str, message: str, hint: str = "", loc: Loc | None = None) -> Diagnostic:
        """A diagnostic at the current place."""
        return Diagnostic(code, loc or self.loc, message, hint)

    # Types ------------------------------------------------------------------------------------------------------------

    def type(self, t: Type) -> Type:
        """A type of the tree with the frame's type variables bound."""
        env = self.frame.env
        return substitute(t, env) if env else t

    def types(self, variables: dict[str, Type]) -> dict[str, Type]:
        """What the type variables of a call stand for."""
        bound = {name: self.type(t) for name, t in variables.items()}
        if any(map(self.is_exception, bound.values())):
            raise self.error("KP278", "an exception for a type variable", KEEP_CODE)
        return bound

    def is_exception(self, t: Type) -> bool:
        return self.layouts.is_exception(t)

    def kind(self, t: Type) -> str:
        """LLVM's type of a value of `t` in a register (exceptions are error words)."""
        return "i64" if isinstance(t, ClassType | UnionType) and self.layouts.is_exception(t) else register_type(t)

    def signature(
        self, parameters: tuple[Type, ...], result: Type, raises: bool, view: bool = False
    ) -> tuple[str, list[str]]:
        """LLVM's result type and parameter types of a function. `view`: a struct that lives elsewhere is returned as
        its address.
        """
        kinds: list[str] = []
        if by_address(result) and not view:
            kinds.append("ptr")
            result = NoneType()
        for t in parameters:
            if isinstance(t, NoneType):
                continue
            if isinstance(t, SpanType):
                kinds += ["ptr", "i64"]
            else:
                kinds.append(self.kind(t))
        kind = self.kind(result)
        if raises:
            kind = "i64" if kind == "void" else f"{{ {kind}, i64 }}"
        return kind, kinds

    # Traps and errors -------------------------------------------------------------------------------------------------

    def may_panic(self) -> None:
        """Something here may trap: an effect of the function. One place of each function is enough."""
        if self.discovering and self.live and not self.panic_noted and not self.cold:
            self.panic_noted = True
            self.edge("panic")

    def trap(self, kind: int) -> None:
        """Stop here."""
        self.may_panic()
        self.emit(self.module.trap(kind))
        self.unreachable()

    def trap_if(self, condition: str, kind: int) -> None:
        """Stop if an i1 holds."""
        condition = self.decided(condition)
        if not self.live or condition == "false":
            return
        if condition == "true":
            self.trap(kind)
            return
        self.may_panic()
        if kind in self.unchecked:
            self.ranges = self.ranges_if(condition, holds=False)
            return
        stop, go = self.join("trap"), self.join("go")
        self.targets.add(go)
        self.arrive(go, self.ranges_if(condition, holds=False))
        self.emit(f"br i1 {condition}, label %{stop}, label %{go}")
        lines, self.lines = self.lines, self.tail
        self.targets.add(stop)
        self.start(stop)
        self.emit(self.module.trap(kind))
        self.unreachable()
        self.lines = lines
        self.start(go)

    def caught(self) -> tuple[str, ...]:
        """The exception classes that handlers around this place catch."""
        names: list[str] = []
        for context in self.contexts:
            if isinstance(context, TryContext):
                names += context.caught
        return tuple(names)

    @property
    def cold(self) -> bool:
        return any(isinstance(context, ColdContext) for context in self.contexts)

    def held(self) -> tuple[Held, ...]:
        """The spin locks that are held here."""
        return tuple(context.held for context in self.contexts if isinstance(context, HeldContext))

    def edge(self, kind: str, **facts: Any) -> None:  # noqa: ANN401  (the other fields of an Edge)
        """Record an effect of the function."""
        if self.discovering and self.live:
            edge = Edge(kind, self.loc, self.caught(), cold=self.cold, held=self.held(), **facts)
            edge.takes, edge.gives = self.taking, self.giving
            edge.in_loop = any(isinstance(context, LoopContext) for context in self.contexts)
            self.instance.edges.append(edge)

    def propagate(self, error: str) -> None:
        """An error word leaves this place: jump to the nearest handler, `finally` or to the function's end."""
        if not self.live:
            return
        for context in reversed(self.contexts):
            if isinstance(context, TryContext | FinallyContext):
                context.used = True
                self.emit(f"store i64 {error}, ptr {context.slot}")
                self.branch(context.label)
                return
            if isinstance(context, ColdContext):
                context.used = True
                self.branch(context.label)
                return
        if not self.instance.raises_word:
            self.trap(TRAP_UNCAUGHT)
            return
        self.return_error(error)

    def return_error(self, error: str) -> None:
        """Return from the function with an error word."""
        kind, _ = self.signature((), self.instance.result, raises=True, view=self.instance.view)
        if kind == "i64":
            self.emit(f"ret i64 {error}")
        else:
            pair = self.op(f"insertvalue {kind} zeroinitializer, i64 {error}, 1")
            self.emit(f"ret {kind} {pair}")
        self.live = False

    def check_error(self, error: str) -> None:
        """Go on if an error word is 0, else propagate it."""
        if not self.live:
            return
        failed = self.op(f"icmp ne i64 {error}, 0")
        fail, go = self.join("raised"), self.join("go")
        self.branch_if(failed, fail, go)
        self.start(fail)
        self.propagate(error)
        self.start(go)

    def raise_constant(self, exception: str, code: int = 0) -> None:
        """Raise a known exception here."""
        self.edge("raise", exception=exception)
        number = self.world.exception_interval(exception, self.loc)[0]
        self.propagate(str(number << 32 | (code & 0xFFFFFFFF)))

    # Calls ------------------------------------------------------------------------------------------------------------

    def call(
        self,
        callee: str,
        parameters: tuple[Type, ...],
        result: Type,
        raises: bool,
        args: list[Value],
        view: bool = False,
        call_set: str = "",
    ) -> Value:
        """Emit a call; the arguments have the parameters' types already. Its error, if any, is propagated. An indirect
        call names the set of its targets: see `World.call_sets`.
        """
        kind, kinds = self.signature(parameters, result, raises, view)
        operands: list[str] = []
        storage = ""
        if by_address(result) and not view:
            storage = self.storage(result)
            self.clear_bytes(storage, self.layouts.size_align(result)[0])
            operands.append(storage)
        for arg in args:
            if isinstance(arg.type, NoneType):
                continue
            if isinstance(arg.type, SpanType):
                operands += list(self.span_parts(arg))
            else:
                operands.append(arg.operand)
        listed = ", ".join(f"{k} {o}" for k, o in zip(kinds, operands, strict=True))
        metadata = self.call_marks(call_set)
        if not raises:
            if kind == "void":
                self.emit(f"call void {callee}({listed}){metadata}")
                value = storage or "null"
            else:
                value = self.op(f"call {kind} {callee}({listed}){metadata}")
        else:
            returned = self.op(f"call {kind} {callee}({listed}){metadata}")
            if kind == "i64":
                self.check_error(returned)
                value = storage or "null"
            else:
                self.check_error(self.op(f"extractvalue {kind} {returned}, 1"))
                value = self.op(f"extractvalue {kind} {returned}, 0")
        if isinstance(result, NeverType):
            self.trap(TRAP_UNREACHABLE)
        return Value(value, result)

    def call_marks(self, call_set: str = "") -> str:
        """What stands after a call: on the way to a panic it is cold, and its stack is not counted."""
        if self.cold:
            return " " + self.module.attribute_group(f'cold noinline "{NOT_COUNTED}"')
        return self.module.call_set(call_set) if call_set else ""

    def call_instance(self, target: Instance, args: list[Value]) -> Value:
        """Call a known function; the arguments have the parameters' types already."""
        for number, arg in enumerate(args):
            if holds_function(arg.type):
                self.flow(arg, arg.type, ("parameter", target.symbol, number))
        self.edge("call", instance=target, arguments=tuple(arg.path for arg in args))
        if target.extern:
            return self.call_extern(target, args)
        parameters, result = target.parameters, target.result
        self.mention(target, parameters, result)
        if self.discovering and self.live:
            self.note_arguments(self.world.passed.setdefault(target, Passed()), args)
        self.confirm_arguments(target, args)
        value = self.call(f'@"{target.symbol}"', parameters, result, target.raises_word, args, target.view)
        return self.known_result(value, [target])

    @property
    def believes(self) -> bool:
        """Whether this is emission that takes ranges from discovery."""
        return self.world.options.optimise and self.world.is_believed

    def note_arguments(self, passed: Passed, args: list[Value]) -> None:
        """In discovery: remember the ranges of the ints that are passed to a function. What a function was given itself
        and passes along is known when all calls of it are.
        """
        for number, arg in enumerate(args):
            if isinstance(arg.type, BoolType):  # where the function found takes an int
                widen(passed.ranges, number, (0, 1))
            if not is_integer(arg.type):
                continue
            own = self.own_numbers.get(arg.path.root) if arg.path is not None and not arg.path.fields else None
            if own is None:
                widen(passed.ranges, number, bounds(arg))
            else:
                widen(passed.along, (number, self.instance, own), bounds(arg))

    def confirm_arguments(self, target: Instance, args: list[Value]) -> None:
        """In emission: what a function takes includes what is passed to it here."""
        if self.discovering or not self.live:
            return
        own = self.world.taken.get(self.instance, {})
        for number, known in self.world.taken.get(target, {}).items():
            arg = args[number]
            low, high = (0, 1) if isinstance(arg.type, BoolType) else bounds(arg)
            if arg.path is not None and not arg.path.fields and arg.path.root in self.own_numbers:
                least, greatest = own.get(self.own_numbers[arg.path.root], (low, high))
                low, high = max(low, least), min(high, greatest)
            self.confirm((low, high), known, f"argument {number} of {target.symbol}")

    def confirm(self, found: tuple[int, int], known: tuple[int, int], what: str) -> None:
        """In emission, which knows at least as much as discovery did: what was made of discovery's ranges holds at each
        place. (Emission may follow other locals where there are too many.)
        """
        if self.followed_count < MOST_FOLLOWED and found[0] <= found[1]:
            if found[0] < known[0] or found[1] > known[1]:
                place = f"{self.loc.path}:{self.loc.line}"
                raise Disbelief(f"{place}: {what} may be {found}, and discovery saw {known}")

    def known_result(self, value: Value, targets: list[Instance]) -> Value:
        """What functions return, with what discovery saw of its range."""
        if self.discovering or not self.believes or not isinstance(value.type, IntType):
            return value
        found: dict[str, tuple[int, int]] = {}
        for target in targets:
            if target in self.world.returned:  # else it never returns
                widen(found, "", self.world.returned[target])
        low, high = found.get("", (INT_MIN, U64_MAX))
        least, greatest = type_bounds(value.type)
        return replace(value, low=low, high=high) if least <= low and high <= greatest else value

    def mention(self, target: Instance, parameters: tuple[Type, ...], result: Type) -> None:
        """Declare a function that another module may define."""
        if self.discovering:
            return
        kind, kinds = self.signature(parameters, result, target.raises_word, target.view)
        self.module.declare(target.symbol, f'declare dso_local {kind} @"{target.symbol}"({", ".join(kinds)}) #0')
        if target.package != self.module.name:
            self.world.external.add(target.symbol)

    def call_extern(self, target: Instance, args: list[Value]) -> Value:
        """Call a C function: bools are i64, and there are no errors."""
        for arg in args:
            self.world.expose(arg.type)
        kinds, operands = [], []
        for arg in args:
            kind = self.kind(arg.type)
            operand = arg.operand
            if kind == "i1":
                kind, operand = "i64", self.op(f"zext i1 {operand} to i64")
            if kind not in ("i64", "ptr"):
                raise self.error("KP920", f"{show(arg.type)} cannot be passed to an @extern function")
            kinds.append(kind)
            operands.append(operand)
        result = target.result
        kind = self.kind(result)
        c_kind = "i64" if kind == "i1" else kind
        symbol = target.symbol
        # While it runs, a fault may be handled, and that may trap.
        attributes = "" if "interrupted_by" in target.function.decorators else " nounwind"
        self.module.declare(symbol, f'declare dso_local {c_kind} @"{symbol}"({", ".join(kinds)}){attributes}')
        listed = ", ".join(f"{k} {o}" for k, o in zip(kinds, operands, strict=True))
        if kind == "void":
            self.emit(f'call void @"{symbol}"({listed})')
            if isinstance(result, NeverType):
                self.trap(TRAP_UNREACHABLE)
            return NONE_VALUE
        value = self.op(f'call {c_kind} @"{symbol}"({listed})')
        if kind == "i1":
            value = self.op(f"icmp ne i64 {value}, 0")
        return Value(value, result)

    def raises_through(self, signature: FunctionType) -> bool:
        """Whether calls through function values of a type return an error word."""
        if self.discovering:
            return True
        targets = self.world.function_values.get(self.world.group_of(signature), {})
        return any(target.raises_word for target in targets)

    def call_value(self, callee: Value, args: list[Value]) -> Value:
        """Call through a function value."""
        t = callee.type.inner if isinstance(callee.type, OptionalType) else callee.type
        assert isinstance(t, FunctionType)
        self.edge("value", signature=t, origin=callee.origin)
        call_set = "" if self.discovering else self.world.value_call_set(t, callee.origin)
        return self.call(callee.operand, t.params, t.result, self.raises_through(t), args, call_set=call_set)

    def flow(self, value: Value, t: Type, place: object) -> None:
        """A function value is stored in a place."""
        inner = t.inner if isinstance(t, OptionalType) else t
        if self.discovering and value.operand != "null":
            self.world.flow(inner if value.origin is None else value.origin, place)

    # Memory -----------------------------------------------------------------------------------------------------------

    def offset(self, address: str, offset: int | str) -> str:
        """An address some bytes on."""
        return address if offset == 0 else self.op(f"getelementptr inbounds i8, ptr {address}, i64 {offset}")

    def span_parts(self, span: Value) -> tuple[str, str]:
        """Pointer and length of a span."""
        return (
            self.op(f"extractvalue {{ ptr, i64 }} {span.operand}, 0"),
            self.op(f"extractvalue {{ ptr, i64 }} {span.operand}, 1"),
        )

    def make_span(self, pointer: str, length: str, t: Type) -> Value:
        """A span of a pointer and a length."""
        half = self.op(f"insertvalue {{ ptr, i64 }} poison, ptr {pointer}, 0")
        return Value(self.op(f"insertvalue {{ ptr, i64 }} {half}, i64 {length}, 1"), t)

    def clear_bytes(self, address: str, size: int) -> None:
        """Fill storage with zeros."""
        if size:
            self.module.intrinsic("llvm.memset")
            self.emit(f"call void @llvm.memset.p0.i64(ptr {address}, i8 0, i64 {size}, i1 false)")

    def copy_bytes(self, to: str, source: str, size: int | str) -> None:
        """Copy storage that does not overlap (or is the same)."""
        self.module.intrinsic("llvm.memmove")
        self.emit(f"call void @llvm.memmove.p0.p0.i64(ptr {to}, ptr {source}, i64 {size}, i1 false)")

    def load_at(self, address: str, t: Type, aligned: bool = True, alias: str = "", atomic: bool = False) -> Value:
        """Read a field or element: storage types widen, structs and Arrays give their address. `alias`: see module.py.
        A number that is `atomic` is read once, and whole.
        """
        if atomic and not is_pointer(t):
            return self.atomic_load(address, t, alias)
        if by_address(t):
            return Value(address, t)
        align = "" if aligned else ", align 1"
        if is_pointer(t):
            if not aligned:
                return Value(self.op(f"load ptr, ptr {address}, align 1{alias}"), t)
            return Value(self.op(f"load atomic ptr, ptr {address} unordered, align 8{alias}"), t)
        if isinstance(t, IntType):
            value = self.op(f"load i{t.bits}, ptr {address}{align}{alias}")
            if t.big_endian:
                value = self.byte_swap(value, t.bits)
            if t.bits < 64:
                value = self.op(f"{'sext' if t.signed else 'zext'} i{t.bits} {value} to i64")
            return Value(value, t)
        kind = self.kind(t)
        if kind == "i1":
            byte = self.op(f"load i8, ptr {address}{alias}")
            return Value(self.op(f"icmp ne i8 {byte}, 0"), t)
        return Value(self.op(f"load {kind}, ptr {address}{align}{alias}"), t)

    def atomic_load(self, address: str, t: Type, alias: str) -> Value:
        """Read a number while others may store it."""
        bits, kind = self.storage_bits(t), self.kind(t)
        value = self.op(f"load atomic i{bits}, ptr {address} unordered, align {bits // 8}{alias}")
        if kind == "i1":
            return Value(self.op(f"icmp ne i{bits} {value}, 0"), t)
        if bits < 64:
            signed = isinstance(t, IntType) and t.signed
            value = self.op(f"{'sext' if signed else 'zext'} i{bits} {value} to i64")
        return Value(value, t)

    def atomic_store(self, address: str, value: Value, t: Type, alias: str) -> None:
        """Write a number while others may read it."""
        bits, kind, operand = self.storage_bits(t), self.kind(t), value.operand
        if kind == "i1":
            operand = self.op(f"zext i1 {operand} to i{bits}")
        elif bits < 64:
            operand = self.op(f"trunc i64 {operand} to i{bits}")
        self.emit(f"store atomic i{bits} {operand}, ptr {address} unordered, align {bits // 8}{alias}")

    def storage_bits(self, t: Type) -> int:
        """How wide a number lies in memory."""
        return 8 * self.layouts.size_align(t)[0]

    def byte_swap(self, value: str, bits: int) -> str:
        self.module.declare(f"llvm.bswap.i{bits}", f"declare i{bits} @llvm.bswap.i{bits}(i{bits})")
        return self.op(f"call i{bits} @llvm.bswap.i{bits}(i{bits} {value})")

    def store_at(
        self,
        address: str,
        value: Value,
        t: Type,
        aligned: bool = True,
        counted: bool = True,
        alias: str = "",
        atomic: bool = False,
    ) -> None:
        """Write a field or element of type `t`, which the value has already. References in the heap are counted."""
        if atomic and not is_pointer(t):
            self.atomic_store(address, value, t, alias)
            return
        if atomic:
            self.emit("fence release")  # whoever finds the object also finds what was stored to it before
        if by_address(t):
            self.copy_bytes(address, value.operand, self.layouts.size_align(t)[0])
            return
        align = "" if aligned else ", align 1"
        if isinstance(t, FunctionType) or (isinstance(t, OptionalType) and isinstance(t.inner, FunctionType)):
            self.emit(f"store ptr {value.operand}, ptr {address}{align}{alias}")
            return
        if is_pointer(t):
            if counted:
                note_need(self, "stores a reference, which is counted")
                self.may_panic()  # the old reference may be the last one, and that is the run-time library's business
                self.emit(
                    f"call void {self.module.helper('krait.store_reference')}(ptr {address}, ptr {value.operand})"
                )
            else:
                self.emit(f"store atomic ptr {value.operand}, ptr {address} unordered, align 8")
            return
        if isinstance(t, IntType):
            operand = value.operand
            if t.bits < 64:
                operand = self.op(f"trunc i64 {operand} to i{t.bits}")
            if t.big_endian:
                operand = self.byte_swap(operand, t.bits)
            self.emit(f"store i{t.bits} {operand}, ptr {address}{align}{alias}")
            return
        kind = self.kind(t)
        if kind == "i1":
            byte = self.op(f"zext i1 {value.operand} to i8")
            self.emit(f"store i8 {byte}, ptr {address}{alias}")
            return
        self.emit(f"store {kind} {value.operand}, ptr {address}{align}{alias}")

    def fill_empty(self, address: str, value: Value) -> None:
        """Store a reference to a field that is null."""
        if value.operand != "null":
            self.emit(f"call void {self.module.helper('krait.retain')}(ptr {value.operand})")
            self.emit(f"store atomic ptr {value.operand}, ptr {address} unordered, align 8")

    # Locals -----------------------------------------------------------------------------------------------------------

    def slot(self, name: str, t: Type | None = None) -> Slot:
        """The storage of a local of the current frame, made when it is first mentioned."""
        slot = self.frame.slots.get(name)
        if slot is None:
            declared = self.frame.function.locals.get(name, t)
            if declared is None:
                raise self.error("KP921", f"{name} is not a local variable")
            slot = self.new_slot(name, self.type(declared))
        return slot

    def new_slot(self, name: str, t: Type, argument: int = 0) -> Slot:
        """Storage for a local, known to the debugger."""
        if isinstance(t, NoneType | NeverType):
            slot = Slot("", NoneType())
        else:
            # A parameter is stored at once; zeros before that would be its value for the debugger in optimised code.
            slot = Slot(self.alloca(self.kind(t), zero=argument == 0), t)
            slot.natural = t == INT and argument == 0 and name in self.world.natural_locals(self.frame.function)
            if isinstance(t, IntType) and self.followed_count < MOST_FOLLOWED:
                self.followed_count += 1
                slot.followed = True
                self.frame.followed.append((name, slot))
            if holds_function(t):
                outermost = self.frame.outer is None and not self.frame.return_label and argument > 0
                slot.place = (
                    ("parameter", self.instance.symbol, argument - 1)
                    if outermost
                    else ("local", self.instance.symbol, name)
                )
            if not self.discovering and self.frame.scope >= 0:
                loc = self.loc
                variable = self.module.debug.local(name, t, loc, self.frame.scope, argument)
                place = self.module.debug.location(loc, self.frame.scope, self.frame.inlined_at)
                if variable >= 0:
                    self.entry.append(f"    #dbg_declare(ptr {slot.address}, !{variable}, !DIExpression(), !{place})")
            self.slot_count += 1
            slot.path = Path(self.slot_count, (), name)
        self.frame.slots[name] = slot
        return slot

    def read(self, slot: Slot) -> Value:
        """The value of a local."""
        if slot.address == "":
            return NONE_VALUE
        operand = self.op(f"load {self.kind(slot.type)}, ptr {slot.address}")
        if slot.followed:
            self.reads[operand] = (slot.address, self.writes.get(slot.address, 0), 0)
        if slot.followed or slot.natural:
            low, high = self.ranges.get(slot.address, (0 if slot.natural else None, None))
            return Value(operand, slot.type, low, high, path=slot.path)
        return Value(operand, slot.type, origin=slot.place, path=slot.path)

    def write(self, slot: Slot, value: Value) -> None:
        """Assign a local; the value has its type."""
        if slot.address:
            self.keep_owner(slot)
            if slot.place is not None and slot.place != value.origin:
                self.flow(value, slot.type, slot.place)
            self.emit(f"store {self.kind(slot.type)} {value.operand}, ptr {slot.address}")
            if slot.followed:
                known = bounds(value) if isinstance(value.type, IntType) else type_bounds(slot.type)
                self.writes[slot.address] = self.writes.get(slot.address, 0) + 1
                self.know(slot.address, known, slot.type)
                if self.written and self.live:
                    widen(self.written[-1], slot.address, known)
                for believed in self.believed if self.live else []:
                    if slot.address in believed:
                        self.confirm(known, believed[slot.address], f"a local of {self.instance.symbol}")

    def know(self, address: str, range_of_it: tuple[int, int], t: Type) -> None:
        """From here on, this is the range of a slot."""
        known = range_of_it if range_of_it != type_bounds(t) else None
        if known == self.ranges.get(address):
            return
        ranges = dict(self.ranges)  # others may have noted the one that was
        if known is None:
            del ranges[address]
        else:
            ranges[address] = known
        self.ranges = ranges

    def decided(self, condition: str) -> str:
        """A condition, or "true" or "false" where what is known of locals leaves nothing else. Discovery leaves nothing
        out for that: it knows less, and where it follows a constant, this must leave out as much.
        """
        facts = None if self.discovering else self.implied.get(condition)
        if facts is not None:
            for said, other in ((facts[0], "false"), (facts[1], "true")):
                if any(map(self.is_against, said)):
                    return other
        return condition

    def is_against(self, fact: Fact) -> bool:
        """Whether a fact about a local cannot be, by what is known here."""
        low, high = self.ranges.get(fact.address, (fact.low, fact.high))
        return self.writes.get(fact.address, 0) == fact.writes and max(low, fact.low) > min(high, fact.high)

    def ranges_if(self, condition: str, *, holds: bool) -> Ranges:
        """What is known where a condition turned out so."""
        facts = self.implied.get(condition)
        if facts is None:
            return self.ranges
        ranges = dict(self.ranges)
        for fact in facts[0 if holds else 1]:
            if self.writes.get(fact.address, 0) == fact.writes:
                low, high = ranges.get(fact.address, (fact.low, fact.high))
                low, high = max(low, fact.low), min(high, fact.high)
                if low <= high:
                    ranges[fact.address] = (low, high)
        return ranges

    def keep_owner(self, slot: Slot) -> None:
        """The variable through which a held lock was named keeps its value as long as the lock is held."""
        for held in self.held():
            if slot.path is not None and held.path is not None and held.path.root == slot.path.root:
                name = slot.path.text
                hint = "use another variable: this one says which object is guarded"
                raise self.error("KP738", f"{name} gets another value while {held.path.text} is held", hint)

    # Leaving ----------------------------------------------------------------------------------------------------------

    def unwind_to(self, depth: int) -> None:
        """Run the `finally` bodies between here and the first `depth` contexts, innermost first."""
        saved = self.contexts
        for index in range(len(saved) - 1, depth - 1, -1):
            context = saved[index]
            if isinstance(context, FinallyContext):
                self.contexts = saved[:index]
                context.emit()
        self.contexts = saved

    def return_value(self, value: Value) -> None:
        """`return`: the value has the frame's result type."""
        frame = self.frame
        if frame.return_label:
            if frame.return_slot is not None:
                self.write(frame.return_slot, value)
            self.unwind_to(frame.depth)
            self.branch(frame.return_label)
            return
        self.unwind_to(0)
        self.emit_return(value)

    def emit_return(self, value: Value) -> None:
        """Leave the function."""
        if not self.live:
            return
        result = self.instance.result
        raises = self.instance.raises_word
        if self.discovering and is_integer(result):
            widen(self.world.returned, self.instance, bounds(value))
        elif isinstance(result, IntType) and self.believes:
            if self.instance not in self.world.returned:
                raise Disbelief(f"{self.instance.symbol} returns, and discovery saw no end of it")
            self.confirm(bounds(value), self.world.returned[self.instance], f"the result of {self.instance.symbol}")
        if by_address(result) and not self.instance.view:
            self.copy_bytes(self.result_address, value.operand, self.layouts.size_align(result)[0])
            result = NoneType()
        kind, _ = self.signature((), result, raises, self.instance.view)
        if isinstance(result, NoneType | NeverType):
            self.emit("ret i64 0" if raises else "ret void")
        elif raises:
            inner = self.kind(result)
            pair = self.op(f"insertvalue {kind} zeroinitializer, {inner} {value.operand}, 0")
            self.emit(f"ret {kind} {pair}")
        else:
            self.emit(f"ret {kind} {value.operand}")
        self.live = False

    # Parameters -------------------------------------------------------------------------------------------------------

    def parameters(self) -> list[str]:
        """Store the parameters in their slots; returns their declarations."""
        self.block = "begin"
        names: list[str] = []
        if by_address(self.instance.result) and not self.instance.view:
            self.result_address = "%result"
            names.append("ptr %result")
        from_outside = "export" in self.instance.function.decorators
        taken = {} if self.discovering else self.world.taken.get(self.instance, {})
        for number, (param, t) in enumerate(
            zip(self.instance.function.params, self.instance.parameters, strict=True), 1
        ):
            slot = self.new_slot(param.name, t, number)
            if isinstance(t, NoneType):
                continue
            if isinstance(t, IntType) and slot.path is not None:
                if param.name not in self.world.assigned_names(self.instance.function):
                    self.own_numbers[slot.path.root] = number - 1
            if isinstance(t, SpanType):
                names += [f"ptr %p{number}", f"i64 range(i64 0, {LENGTH_LIMIT + 1}) %p{number}.length"]
                value = self.make_span(f"%p{number}", f"%p{number}.length", t)
            else:
                kind = self.kind(t)
                value = Value(f"%p{number}", t, origin=slot.place)
                if isinstance(t, IntType) and not from_outside:
                    low, high = taken.get(number - 1, type_bounds(t))
                    value = replace(value, low=low, high=high)
                    kind += range_attribute(*bounds(value), t.bits == 64)
                names.append(f"{kind} %p{number}")
            self.write(slot, value)
        return names


def joined(all_ranges: list[Ranges]) -> Ranges:
    """What holds wherever a block was entered from."""
    if not all_ranges:
        return {}
    first = all_ranges[0]
    for other in all_ranges[1:]:
        if other is not first:
            first = {
                place: (min(low, other[place][0]), max(high, other[place][1]))
                for place, (low, high) in first.items()
                if place in other
            }
    return first


def range_attribute(low: int, high: int, is_wide: bool) -> str:
    """What LLVM may know of a parameter's range; nothing of one that may be any number of 64 bits."""
    if is_wide and high - low == (1 << 64) - 1:
        return ""
    return f" range(i64 {as_signed(low)}, {as_signed(high + 1)})"


def as_signed(number: int) -> int:
    """How LLVM writes a number of 64 bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def holds_function(t: Type) -> bool:
    """Whether a value of `t` is a function, or None."""
    return isinstance(t, FunctionType) or (isinstance(t, OptionalType) and isinstance(t.inner, FunctionType))

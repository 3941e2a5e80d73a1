"""The whole of lowering: discovery, effects, and the text of all modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import compiler.lower.all  # noqa: F401  (it fills the tables of dispatch.py)
from compiler.apart import meanwhile
from compiler.escape.check import check_places
from compiler.escape.program import place_objects
from compiler.escape.text import Body
from compiler.freeze import Freezer as RealFreezer
from compiler.live import LiveComparison
from compiler.lower.definition import lower_function
from compiler.lower.effects import Effects
from compiler.lower.function import TRAP_UNCAUGHT, Disbelief, FunctionLowerer
from compiler.lower.halves import emit_in_two
from compiler.lower.interfaces import (
    CompileErrors,
    DebugFactory,
    DebugInfo,
    Freezer,
    FreezerFactory,
    NoDebugInfo,
    Options,
)
from compiler.lower.large import leave_long_ones
from compiler.lower.layout import (
    NOWHERE,
    descriptor_symbol,
    is_pointer,
    module_of,
    number_of,
    register_type,
)
from compiler.lower.module import Module
from compiler.lower.sharing import share_bodies
from compiler.lower.unlocked import TABLE, door_table, unlocked_thunks
from compiler.lower.world import Instance, World
from compiler.stacks import StackFacts
from compiler.tree import Diagnostic, Function, Loc, Program
from compiler.types import (
    BoolType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NoneType,
    OptionalType,
    RawArrayType,
    Type,
    show,
)

TYPES_MODULE = "krait.types"
GLOBALS_MODULE = "krait.globals"
THUNKS_MODULE = "krait.thunks"
ENOMEM = 12
SMALL_LINES = 60  # of IR before optimisation
FEW_FUNCTIONS = 3000  # are lowered faster in one process
COPY_DEPTH = 3  # how far copies of functions that copies call go


@dataclass
class Lowered:
    """A lowered program: IR by module name, and what its stacks' depths will depend on."""

    modules: dict[str, str]
    stacks: StackFacts


def lower_program(
    program: Program,
    entry_points: list[str],
    options: Options,
    freezer_factory: FreezerFactory | None = None,
    debug_factory: DebugFactory | None = None,
) -> Lowered:
    """LLVM IR of everything that the entry points (full names) reach; frozen data included. Raises CompileErrors."""
    lowering = Lowering(program, options, freezer_factory, debug_factory)
    return Lowered(dict(sorted(lowering.run(entry_points))), lowering.stack_facts())


class Lowering:
    """One program's way through discovery and emission."""

    def __init__(
        self,
        program: Program,
        options: Options,
        freezer_factory: FreezerFactory | None = None,
        debug_factory: DebugFactory | None = None,
    ) -> None:
        self.program = program
        self.options = options
        self.world = World(program, options)
        self.live = LiveComparison(program)
        if freezer_factory is None:
            freezer_factory = RealFreezer
        self.freezer: Freezer = freezer_factory(program, self.world, options.target)
        self.world.freezer = self.freezer
        self.debug_factory = debug_factory
        self.modules: dict[str, Module] = {}
        self.errors: list[Diagnostic] = []
        self.effects: Effects | None = None
        self.is_discovered = False
        self.asked: list[Function] = []  # the functions that discovery asked the rules of the subset about
        self.written: dict[str, int] = {}  # by package: how much text discovery made
        self.lowers_once = False  # nobody wants the program's trees once all is text: they make room for what follows

    def run(self, entry_points: list[str]) -> Iterator[tuple[str, str]]:
        """IR by module name, of one module after the other, in any order: whoever puts each away before the next never
        has all of them at once. See `lower_program`; all errors are raised before the first.
        """
        self.analyse(entry_points)
        self.emit()
        self.fail_on_errors()
        yield from self.texts(entry_points)

    def check(self, entry_points: list[str], paths: set[str]) -> None:
        """Find errors, and make no text: all that the first pass and the effects show, and of functions in these files
        what the second pass does. Raises CompileErrors.
        """
        self.analyse(entry_points)
        self.emit(paths)
        self.emit_thunks()
        self.fail_on_errors()

    def analyse(self, entry_points: list[str]) -> Effects:
        """Find everything that the entry points reach, and its effects."""
        if not self.is_discovered:
            self.discover(entry_points)
        self.fail_on_errors()
        self.world.close()
        self.effects = Effects(self.world)
        self.errors += self.freezer.shared() + self.effects.check_locks() + self.effects.check_promises()
        self.errors += self.effects.check_inlining() + self.effects.check_cleanups()
        self.fail_on_errors()
        self.effects.settle_signatures()
        raises = self.effects.raises
        self.world.leaving = {exception for instance in self.world.entered for exception in raises[instance]}
        if self.options.optimise:
            self.world.settle_arguments()
        return self.effects

    def stack_facts(self) -> StackFacts:
        """What the decorators of all functions say of stacks."""
        facts = StackFacts(call_sets=self.world.call_sets)
        for instance in self.world.instances.values():
            decorators = instance.function.decorators
            facts.places[instance.symbol] = instance.function.loc
            if "on_stack" in decorators:
                facts.entries[instance.symbol] = int(decorators["on_stack"])
            if "recursion" in decorators:
                facts.bounds[instance.symbol] = int(decorators["recursion"])
            if "interrupted_by" in decorators:
                facts.interrupted_by[instance.symbol] = decorators["interrupted_by"]
            if "gives_up" in decorators:
                facts.gives_up.add(instance.symbol)
            if "last_resort" in decorators:
                facts.last_resort.add(instance.symbol)
            if "with_room" in decorators:
                facts.rooms[instance.symbol] = int(decorators["with_room"])
        facts.handlers = {thunk: instance.symbol for instance, thunk in self.world.thunks.items()}
        facts.unlocked = unlocked_thunks(self.effects) if self.effects is not None else set()
        return facts

    def fail_on_errors(self) -> None:
        if self.errors:
            raise CompileErrors(sorted(self.errors, key=lambda d: (d.loc.path, d.loc.line)))

    # Discovery --------------------------------------------------------------------------------------------------------

    def discovers_well(self, entry_points: list[str]) -> bool:
        """Discover before the program is judged; whether that came to its end without errors."""
        before, self.program.judge = self.program.judge, self.asked.append
        try:
            self.discover(entry_points)
        except Exception:  # it met what the rules forbid
            return False
        finally:
            self.program.judge = before
        self.is_discovered = True
        return not self.errors

    def reaches_broken(self) -> bool:
        """Whether discovery would have found errors, now that the program is judged."""
        reached = self.reached_classes()
        return any(function.errors for function in self.asked) or any(
            decl.errors for name, decl in self.program.classes.items() if name in reached
        )

    def discover(self, entry_points: list[str]) -> None:
        """Lower everything once, until nothing new is asked for."""
        world = self.world
        scratch = Module("discovery", self.options, NoDebugInfo())
        for name in entry_points:
            self.guard(partial(self.enter, name))
        done_cells = 0
        exports = {f.decorators["export"]: f for f in self.program.functions.values() if "export" in f.decorators}
        while world.queue or done_cells < len(world.cells):
            while world.queue:
                instance = world.queue.popleft()
                self.guard(partial(self.discover_one, scratch, instance))
            # C symbols that compiled code calls (the allocator's, say) and that imported modules export.
            for symbol in sorted(exports.keys() & scratch.declarations.keys()):
                function = exports.pop(symbol)
                if module_of(self.program, function.name) in sys.modules:
                    self.guard(partial(world.instance, function, {}))
            for symbol in list(world.cells)[done_cells:]:
                done_cells += 1
                self.guard(partial(self.cell_text, symbol))
            for thunk_target in list(world.thunks):
                world.external.add(thunk_target.symbol)
        self.errors += self.class_errors()
        self.live.forget()

    def reached_classes(self) -> set[str]:
        """The names of all classes that matter."""
        owners = (owner for t in self.world.instantiated for owner in self.world.ancestors(t))
        return {owner.name for owner in owners if isinstance(owner, ClassType)} | self.world.layouts.mentioned()

    def class_errors(self) -> list[Diagnostic]:
        """Broken rules of the declarations of all classes that were reached."""
        reached = self.reached_classes()
        found: list[Diagnostic] = []
        for name, decl in self.program.classes.items():
            if name in reached or decl.kind == "enum":  # members are numbers: nothing reaches their class
                different = self.live.cls(decl)
                found += decl.errors + ([different] if different is not None else [])
        return found

    def enter(self, name: str) -> None:
        """An entry point: a symbol that the outside knows."""
        instance = self.world.instance(self.world.function(name, NOWHERE), {})
        self.world.external.add(instance.symbol)
        self.world.entered.add(instance)

    def discover_one(self, scratch: Module, instance: Instance) -> None:
        self.program.judge(instance.function)
        if instance.function.errors:
            self.errors += instance.function.errors
            return
        if not instance.extern and (different := self.live.function(instance.function)) is not None:
            self.errors.append(different)
            return
        size = len(self.lower(scratch, instance))
        self.written[instance.package] = self.written.get(instance.package, 0) + size

    def lower(self, module: Module, instance: Instance) -> str:
        """The text of a function. A diagnostic about a type has no place of its own: it gets the place of its use."""
        fn = FunctionLowerer(self.world, module, instance)
        try:
            return lower_function(fn)
        except Diagnostic as error:
            if error.loc is NOWHERE:
                error.loc = fn.loc
            raise

    def guard(self, step: Callable[[], object]) -> None:
        """Run a step; collect its diagnostic."""
        try:
            step()
        except Diagnostic as error:
            self.errors.append(error)

    # Emission ---------------------------------------------------------------------------------------------------------

    def module(self, name: str) -> Module:
        """The module of a package."""
        if name not in self.modules:
            debug: DebugInfo = NoDebugInfo()
            if self.debug_factory is not None:
                debug = self.debug_factory(name, self.world.layouts)
            self.modules[name] = Module(name, self.options, debug)
        return self.modules[name]

    def emit(self, paths: set[str] | None = None) -> None:
        """Lower everything again, for good; or only what stands in some files. Where emission finds a number that
        discovery's ranges leave out (it follows ranges by the same rules, but from other beginnings), it does without
        them.
        """
        world = self.world
        before = set(world.external), set(world.tested), dict(world.call_sets)
        try:
            self.emit_all(paths)
        except Disbelief:
            world.external, world.tested, world.call_sets = before  # how far it came differs from run to run
            world.forget_ranges()
            self.modules.clear()
            self.errors.clear()
            self.emit_all(paths)

    def emit_all(self, paths: set[str] | None) -> None:
        """Lower everything again, as `emit` says."""
        instances = [i for i in self.world.instances.values() if not i.extern]
        if paths is not None:
            instances = [i for i in instances if i.function.loc.path in paths]
        elif self.lowers_once and len(instances) > FEW_FUNCTIONS and emit_in_two(self, instances):
            return
        self.emit_these(instances)
        if self.options.optimise and not self.errors:
            self.repeat_small_functions(self.modules.values(), self.small_functions(instances))

    def emit_these(self, instances: list[Instance]) -> None:
        """Lower functions, each into the module of its package."""
        for instance in instances:
            self.guard(partial(self.emit_one, instance))

    def emit_one(self, instance: Instance) -> None:
        module = self.module(instance.package)
        module.define(instance.symbol, self.lower(module, instance))
        if "export" in instance.function.decorators:
            self.emit_export(module, instance)

    def small_functions(self, instances: list[Instance]) -> dict[str, Instance]:
        """Those of some functions, lowered already, that other modules may have copies of."""
        small: dict[str, Instance] = {}
        for instance in instances:
            if "noinline" not in instance.function.decorators:
                text = self.modules[instance.package].definitions[instance.symbol]
                if "inline" in instance.function.decorators or text.count("\n") <= SMALL_LINES:
                    small[instance.symbol] = instance
        return small

    def repeat_small_functions(self, modules: Iterable[Module], small: dict[str, Instance]) -> None:
        """Give each module copies of the small functions of others that it calls, for LLVM to inline; the linker never
        sees them.
        """
        for module in list(modules):
            done: set[str] = set()
            for _ in range(COPY_DEPTH):
                wanted = sorted((module.declarations.keys() & small.keys()) - module.definitions.keys() - done)
                for symbol in wanted:
                    done.add(symbol)
                    text = self.lower(module, small[symbol])
                    module.define(symbol, text.replace("define LINKAGE", "define available_externally hidden", 1))

    def emit_export(self, module: Module, instance: Instance) -> None:
        """The C symbol of an exported function: an alias, or a thunk where C's types are others (bool) or an error word
        is there.
        """
        symbol = instance.function.decorators["export"]
        fn = FunctionLowerer(self.world, module, instance)
        kind, kinds = fn.signature(instance.parameters, instance.result, instance.raises_word, instance.view)
        if "i1" not in [kind, *kinds] and not instance.raises_word:
            module.define(
                symbol, f'@"{symbol}" = dso_local alias {kind} ({", ".join(kinds)}), ptr @"{instance.symbol}"'
            )
            self.world.external.add(instance.symbol)
            return
        plain, _ = fn.signature(instance.parameters, instance.result, raises=False, view=instance.view)
        c_kind = "i64" if plain == "i1" else plain
        lines = []
        operands = []
        for number, k in enumerate(kinds):
            if k == "i1":
                lines.append(f"  %b{number} = icmp ne i64 %p{number}, 0")
                operands.append(f"i1 %b{number}")
            else:
                operands.append(f"{k} %p{number}")
        names = ", ".join(f"{'i64' if k == 'i1' else k} %p{number}" for number, k in enumerate(kinds))
        call = f'call {kind} @"{instance.symbol}"({", ".join(operands)})'
        if kind == "void":
            lines += [f"  {call}", "  ret void"]
        else:
            lines.append(f"  %r = {call}")
            value = "%r"
            if instance.raises_word and kind != "i64":
                lines.append(f"  %v = extractvalue {kind} %r, 0")
                value = "%v"
            if plain == "void":
                lines.append("  ret void")
            elif plain == "i1":
                lines += [f"  %z = zext i1 {value} to i64", "  ret i64 %z"]
            else:
                lines.append(f"  ret {plain} {value}")
        module.define(symbol, f'define dso_local {c_kind} @"{symbol}"({names}) #0 {{\n' + "\n".join(lines) + "\n}")

    def texts(self, entry_points: list[str]) -> Iterator[tuple[str, str]]:
        """All modules' text, linkage settled. Nothing is left of a module that was given."""
        self.emit_types()
        self.emit_thunks()
        self.fail_on_errors()
        if self.lowers_once:
            for function in self.program.functions.values():
                function.body.clear()
        with ExitStack() as ending:
            checks: list[Callable[[], None]] = []
            if self.options.optimise:
                place_objects(self.world, self.modules, entry_points, partial(self.check_later, ending, checks))
                leave_long_ones(list(self.modules.values()))
            self.emit_globals()
            yield from self.own_texts()
            yield from self.freezer.modules().items()
            for check in checks:
                check()

    def check_later(
        self, ending: ExitStack, checks: list[Callable[[], None]], bodies: dict[str, Body], changed: set[str]
    ) -> None:
        """Let a child check the places of objects while the texts are written, if there is room for one."""
        work = partial(are_placed_well, bodies, changed)
        result = ending.enter_context(meanwhile(work)) if self.lowers_once else None
        if result is None:
            check_places(bodies, changed)
        else:
            checks.append(lambda: None if result() else check_places(bodies, changed))

    def own_texts(self) -> Iterator[tuple[str, str]]:
        """The text of the modules with code, linkage settled."""
        apart, alike = self.kept_apart(), self.types_alike()
        while self.modules:
            name, module = self.modules.popitem()
            shared = share_bodies(module, self.world.external, apart, alike) if self.options.optimise else 0
            for symbol, text in module.definitions.items():
                if text.startswith("define LINKAGE"):
                    linkage = "dso_local hidden" if symbol in self.world.external else "internal"
                    module.definitions[symbol] = text.replace("LINKAGE", linkage, 1)
            text = module.text(with_all=shared == 0)
            del module
            yield name, text

    def kept_apart(self) -> set[str]:
        """Symbols of functions that must not share a body with others: what is said of their stacks is theirs alone."""
        found = {
            instance.symbol
            for instance in self.world.instances.values()
            if not {"export", "interrupted_by", "last_resort", "on_stack", "recursion", "with_room"}.isdisjoint(
                instance.function.decorators
            )
        }
        return found.union({instance.symbol for instance in self.world.thunks}, *self.world.call_sets.values())

    def types_alike(self) -> dict[str, str]:
        """For descriptors of generic types a text that those have in common that differ in their names only, and in
        class numbers that nothing asks for: an object of such a type may carry the descriptor of another.
        """
        world = self.world
        found: dict[str, str] = {}
        for t in world.instantiated:
            if isinstance(t, RawArrayType) or (isinstance(t, ClassType) and t.args and not self.is_tested(t)):
                origin = t.name if isinstance(t, ClassType) else ""
                table = [None if target is None else target.symbol for target in self.table(t)]
                found[descriptor_symbol(t)] = repr((origin, world.layouts.descriptor(t), table))
        return found

    def is_tested(self, t: Type) -> bool:
        """Whether some code compares the class of an object with a class that `t` is or descends from."""
        number, _ = self.world.class_numbers(t) or (0, 0)
        return any(low <= number <= high for low, high in self.world.tested)

    def table(self, t: Type) -> list[Instance | None]:
        """The virtual table of an instantiated type."""
        return self.world.virtual_table(t) if isinstance(t, ClassType) else []

    # Type descriptors -------------------------------------------------------------------------------------------------

    def emit_types(self) -> None:
        """A descriptor for every class of which instances exist."""
        world = self.world
        module = Module(TYPES_MODULE, self.options, NoDebugInfo())
        for number, t in enumerate(world.instantiated):
            facts = world.layouts.descriptor(t)
            symbol = descriptor_symbol(t)
            low, high = world.class_numbers(t) or (0, 0)
            table = self.table(t)
            name = show(t).encode() + b"\0"
            parts = [f'@krait.name.{number} = private unnamed_addr constant [{len(name)} x i8] c"{escaped(name)}"']
            pointers = "null"
            if facts.pointers:
                offsets = ", ".join(f"i32 {o}" for o in facts.pointers)
                array = f"[{len(facts.pointers)} x i32] [{offsets}]"
                parts.append(f"@krait.pointers.{number} = private unnamed_addr constant {array}")
                pointers = f"@krait.pointers.{number}"
            entries = []
            for target in table:
                if target is None:
                    entries.append("ptr null")
                    continue
                world.external.add(target.symbol)
                fn = FunctionLowerer(world, module, target)
                fn.discovering = False
                fn.mention(target, target.parameters, target.result)
                entries.append(f'ptr @"{target.symbol}"')
            words = [facts.kind, facts.size, facts.element_size, len(facts.pointers), low, high]
            types = ", ".join(["i32"] * 6 + ["ptr"] * (2 + len(entries)))
            values = ", ".join([f"i32 {w}" for w in words] + [f"ptr @krait.name.{number}", f"ptr {pointers}", *entries])
            parts.append(f'@"{symbol}" = dso_local constant <{{ {types} }}> <{{ {values} }}>, align 8')
            module.define(symbol, "\n".join(parts))
        self.modules[TYPES_MODULE] = module

    # System calls -----------------------------------------------------------------------------------------------------

    def emit_thunks(self) -> None:
        """A function of six registers for every system call handler."""
        if not self.world.thunks:
            return
        module = Module(THUNKS_MODULE, self.options, NoDebugInfo())
        for instance, symbol in self.world.thunks.items():
            self.guard(partial(self.emit_thunk, module, instance, symbol))
        assert self.effects is not None
        table = door_table(self.effects)
        if table is not None:
            module.define(TABLE, table)
        self.modules[THUNKS_MODULE] = module

    def emit_thunk(self, module: Module, instance: Instance, symbol: str) -> None:
        """Decode the registers by the handler's annotations; an error becomes a negative number."""
        fn = FunctionLowerer(self.world, module, instance)
        fn.mention(instance, instance.parameters, instance.result)
        self.world.external.add(instance.symbol)
        operands = []
        if len(instance.parameters) > 6:
            raise Diagnostic("KP710", instance.function.loc, "a system call has at most six arguments")
        for number, t in enumerate(instance.parameters):
            register = f"%r{number}"
            if isinstance(t, BoolType):
                operands.append("i1 " + fn.op(f"icmp ne i64 {register}, 0"))
            elif isinstance(t, IntType) and t.bits < 64:
                narrow = fn.op(f"trunc i64 {register} to i{t.bits}")
                operands.append("i64 " + fn.op(f"{'sext' if t.signed else 'zext'} i{t.bits} {narrow} to i64"))
            elif isinstance(t, IntType):
                operands.append(f"i64 {register}")
            else:
                raise Diagnostic(
                    "KP711", instance.function.loc, f"{show(t)} is no parameter of a system call", "take ints"
                )
        if not isinstance(instance.result, IntType | NoneType):
            raise Diagnostic("KP712", instance.function.loc, "a system call returns an int")
        kind, _ = fn.signature(instance.parameters, instance.result, instance.raises_word, instance.view)
        call = f'call {kind} @"{instance.symbol}"({", ".join(operands)})'
        value = "0"
        if kind == "void":
            fn.emit(call)
        else:
            answer = fn.op(call)
            error = answer
            if not isinstance(instance.result, NoneType):
                value = answer
                if instance.raises_word:
                    value = fn.op(f"extractvalue {kind} {answer}, 0")
                    error = fn.op(f"extractvalue {kind} {answer}, 1")
            if instance.raises_word:
                self.return_errno(fn, error)
        fn.emit(f"ret i64 {value}")
        registers = ", ".join(f"i64 %r{n}" for n in range(6))
        body = "\n".join(["entry:", *fn.lines, *fn.tail])
        module.define(symbol, f'define dso_local i64 @"{symbol}"({registers}) #0 {{\n{body}\n}}')

    def return_errno(self, fn: FunctionLowerer, error: str) -> None:
        """Return a negative errno if there is an error; other exceptions than Errno and MemoryError have no number."""
        failed, fine = fn.label("failed"), fn.label("fine")
        fn.branch_if(fn.op(f"icmp ne i64 {error}, 0"), failed, fine)
        fn.start(failed)
        number = fn.op(f"lshr i64 {error}, 32")
        memory = self.world.exception_numbers["builtins.MemoryError"][0]
        errno_name = next((n for n in self.world.exception_numbers if n.endswith(".Errno")), None)
        is_memory = fn.op(f"icmp eq i64 {number}, {memory}")
        if errno_name is not None:
            low, high = self.world.exception_numbers[errno_name]
            relative = fn.op(f"sub i64 {number}, {low}")
            is_errno = fn.op(f"icmp ule i64 {relative}, {high - low}")
            known = fn.op(f"or i1 {is_memory}, {is_errno}")
            fn.trap_if(fn.op(f"xor i1 {known}, true"), TRAP_UNCAUGHT)
        code = fn.op(f"trunc i64 {error} to i32")
        wide = fn.op(f"sext i32 {code} to i64")
        negative = fn.op(f"sub i64 0, {wide}")
        chosen = fn.op(f"select i1 {is_memory}, i64 {-ENOMEM}, i64 {negative}")
        fn.emit(f"ret i64 {chosen}")
        fn.live = False
        fn.start(fine)

    # Globals ----------------------------------------------------------------------------------------------------------

    def emit_globals(self) -> None:
        """The storage of globals that code rebinds, with the live values."""
        if not self.world.cells:
            return
        module = Module(GLOBALS_MODULE, self.options, NoDebugInfo())
        for symbol in self.world.cells:
            kind, text, references = self.cell_text(symbol)
            for reference in references:
                module.declare(reference, f'@"{reference}" = external dso_local global i8')
            module.define(symbol, f'@"{symbol}" = dso_local global {kind} {text}, align 8')
        self.modules[GLOBALS_MODULE] = module

    def declared_at(self, module: str, name: str) -> Loc:
        """The line of a module that declares a global, for messages."""
        path = self.world.program.modules.get(module)
        if path is None:
            return NOWHERE
        for number, line in enumerate(self.world.program.sources.get(path, ()), 1):
            if re.match(rf"{re.escape(name)}\s*:", line):
                return Loc(path, number, 0, number, len(name))
        return Loc(path, 1)

    def cell_text(self, symbol: str) -> tuple[str, str, list[str]]:
        """LLVM type and initial value of a global's storage, and the symbols that it mentions."""
        module, name, t = self.world.cells[symbol]
        live = self.world.global_object(module, name, self.declared_at(module, name))
        references: list[str] = []
        text = self.constant_text(live, t, references, ("global", symbol))
        # Stored as in a field: a bool is a byte there, a storage type its bits.
        kind = "i8" if isinstance(t, BoolType) else f"i{t.bits}" if isinstance(t, IntType) else register_type(t)
        return kind, text, references

    def constant_text(self, live: object, t: Type, references: list[str], place: object = None) -> str:
        if isinstance(t, OptionalType):
            if live is None:
                return "null" if is_pointer(t) else "zeroinitializer"
            if not is_pointer(t):
                inner = self.constant_text(live, t.inner, references)
                if isinstance(t.inner, BoolType):
                    inner = "true" if live else "false"
                return f"{{ {register_type(t.inner)} {inner}, i1 true }}"
            return self.constant_text(live, t.inner, references, place)
        match t:
            case BoolType():
                return str(int(bool(live)))
            case IntType() | EnumType():
                return str(number_of(live))
            case FunctionType():
                symbol = self.world.require_function(live, t, place)
                references.append(symbol)
                return f'@"{symbol}"'
            case _:
                symbol = self.freezer.symbol_for(live, t)
                references.append(symbol)
                return f'@"{symbol}"'


def are_placed_well(bodies: dict[str, Body], changed: set[str]) -> bool:
    """Raises Misplaced if they are not."""
    check_places(bodies, changed)
    return True


def escaped(data: bytes) -> str:
    """The inside of an LLVM string constant."""
    return "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02X}" for b in data)

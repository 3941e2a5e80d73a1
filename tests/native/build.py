"""Compiling the modules of `subjects.py` to an image that lies below 2 GiB in the process that maps it.

The code is what the release profile makes of the same sources for the kernel, but for the target: LLVM's code model and
its use of vector registers differ. Everything that the listed modules reach is compiled with them, the heap and its
reclaimer too. To each function belongs glue (in LLVM's language) that takes its arguments from an array of words and
puts its results in another, so that whoever calls need not know how the compiler passes structs, spans and errors.
"""

from __future__ import annotations

import fcntl
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from compiler.backend import HOST, compile_modules, write_whole
from compiler.driver import (
    HOST_MODULE,
    Manifest,
    Timings,
    hashes_of,
    import_live,
    is_concrete,
    kernel_inputs,
    load,
    manifest_of,
    manifest_path,
    possible_inputs,
)
from compiler.freeze import Freezer
from compiler.front.build_time import build_time_functions
from compiler.front.rules import walk
from compiler.lower.debug import DebugInfo
from compiler.lower.function import FunctionLowerer
from compiler.lower.interfaces import NoDebugInfo, Options
from compiler.lower.layout import NOWHERE, Layout, descriptor_symbol
from compiler.lower.module import Module
from compiler.lower.program import Lowering
from compiler.lower.values import type_bounds
from compiler.lower.world import Instance, number_exceptions
from compiler.tree import (
    CallBuiltin,
    CallFunction,
    ClassDecl,
    Expr,
    ExprStmt,
    Function,
    Global,
    IntLit,
    Loc,
    Local,
    New,
    Param,
    Program,
    Raise,
    Stmt,
)
from compiler.types import (
    BYTES,
    INT,
    NEVER,
    NONE,
    STR,
    ArrayType,
    ClassType,
    IntType,
    OptionalType,
    RawArrayType,
    SpanType,
    StructType,
    TupleType,
    Type,
    UnionType,
    WeakType,
    has_variable,
    is_reference,
)
from tests.native.modules import MODULES
from tests.native.subjects import DERIVED, module_file
from tools.paths import BUILD

FOLDER = BUILD / "native"
HERE = Path(__file__).resolve().parent
BASE = 0x4000_0000  # where nothing else of a process of Linux lies
GLUE = "krait.native"
PYTHON = "Python"  # what is appended to the name of a class for the one from which classes of Python derive
CONTAINERS = "kernel.lang.runtime.containers."
LIST, DICT, DEQUE, BYTE_ARRAY = (f"{CONTAINERS}{name}" for name in ("List", "Dict", "Deque", "ByteArray"))
METHODS = {
    LIST: ("__getitem__", "__setitem__", "__delitem__", "append", "insert", "pop_last", "clear", "__contains__"),
    DICT: ("__getitem__", "__setitem__", "__delitem__", "clear", "key_list"),
    DEQUE: ("__getitem__", "append", "popleft", "clear"),
}


def compares_containers(t: Type) -> bool:
    """Whether a comparison of such values is refused because Python would compare what they contain."""
    if isinstance(t, TupleType | UnionType):
        return any(compares_containers(item) for item in t.items)
    inner = t.inner if isinstance(t, OptionalType) else t
    return isinstance(inner, ClassType) and inner.name.startswith(CONTAINERS)


@dataclass
class Code:
    """A compiled function as its glue takes it."""

    glue: str
    parameters: tuple[Type, ...]
    result: Type
    raises: bool
    view: bool


@dataclass
class Upcall:
    """A method that classes of Python may override, as compiled code calls it."""

    name: str
    symbol: str
    parameters: tuple[Type, ...]  # with the receiver
    result: Type
    raises: bool = False


@dataclass
class Interface:
    """What is to be known of an image to use it."""

    codes: dict[str, Code] = field(default_factory=dict)  # by full names; methods of generic classes: with types
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ClassDecl] = field(default_factory=dict)
    layouts: dict[Type, Layout] = field(default_factory=dict)
    descriptors: dict[Type, str] = field(default_factory=dict)
    globals: dict[tuple[str, str], tuple[str, Type]] = field(default_factory=dict)  # objects that modules name
    cells: dict[tuple[str, str], tuple[str, Type]] = field(default_factory=dict)  # names that code binds anew
    upcalls: list[Upcall] = field(default_factory=list)
    exceptions: dict[int, str] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)  # addresses


class NativeLowering(Lowering):
    """Lowering that takes whole modules: their functions are called, and their classes used, from outside."""

    def __init__(self, program: Program, roots: list[str]) -> None:
        super().__init__(program, Options("host", True), Freezer, DebugInfo)
        self.roots = roots
        self.interface = Interface()
        self.called: dict[str, Instance] = {}
        self.used: dict[Type, None] = {}

    def discover(self, entry_points: list[str]) -> None:
        world = self.world
        self.use(BYTES)
        self.use(STR)
        for name in DERIVED:
            self.guard(partial(self.derive, name))
        for name, decl in self.program.classes.items():
            if self.is_ours(name) and decl.kind in ("class", "struct") and not decl.type_params:
                self.use(ClassType(name) if decl.kind == "class" else StructType(name))
        for name in entry_points:
            self.guard(partial(self.call, name))
        for module in self.roots:
            for name, value in vars(sys.modules[module]).items():
                if getattr(type(value), "__module__", "") in self.roots and self.is_class(type(value)):
                    self.guard(partial(self.offer, module, name, value))
        for (module, name), t in self.generic_globals().items():
            self.guard(partial(self.offer, module, name, vars(sys.modules[module])[name], t))
        self.guard(partial(self.require, "krait_allocate"))
        self.guard(partial(self.require, "krait_count_is_zero"))
        super().discover([])
        assert not world.queue

    def derive(self, name: str) -> None:
        """A class from which those of Python derive: each method calls Python."""
        program = self.program
        t, place = ClassType(name + PYTHON), Loc("<python>", 1)
        twin = ClassDecl(t.name, place, "class", ClassType(name), [], [], [])
        program.classes[t.name] = twin
        module, _, short_name = name.rpartition(".")
        live = vars(sys.modules[module])[short_name]
        setattr(sys.modules[module], short_name + PYTHON, type(short_name + PYTHON, (live,), {"__module__": module}))
        seen: set[str] = set()
        owner: Type | None = ClassType(name)
        while isinstance(owner, ClassType) and owner.name in program.classes:
            for full in program.classes[owner.name].methods:
                function = program.functions[full]
                short = full.rpartition(".")[2]
                fixed = function.is_property or function.cls is None or "final" in function.decorators
                if short not in (*seen, "__init__", "setter") and not fixed:
                    seen.add(short)
                    self.override(twin, short, function)
            owner = program.classes[owner.name].base
        self.use(t)

    def override(self, twin: ClassDecl, short: str, function: Function) -> None:
        """A method whose body `run` replaces by a call of Python. Until then it shows what such a call may do: keep its
        arguments, and raise."""
        place, name = twin.loc, f"{twin.name}.{short}"
        params = [Param("self", ClassType(twin.name)), *function.params[1:]]
        kept = [p for p in params if is_reference(p.type)]
        escape = Function(
            f"{name}.kept", place, kept, NONE, [], {}, decorators={"extern": f"krait_native_kept.{name}"}
        )
        call = CallFunction(place, NONE, escape.name, [Local(place, p.type, p.name) for p in kept])
        end: Stmt = ExprStmt(place, CallBuiltin(place, NEVER, "unreachable", []))
        exception = DERIVED[twin.name.removesuffix(PYTHON)].get(short)
        if exception is not None:
            code: list[Expr] = [IntLit(place, INT, 5)] if exception.endswith(".Errno") else []
            end = Raise(place, New(place, ClassType(exception), code))
        self.program.functions[escape.name] = escape
        body: list[Stmt] = [ExprStmt(place, call), end]
        decorators = {"noinline": "", **{k: v for k, v in function.decorators.items() if k in ("noraise", "nosleep")}}
        self.program.functions[name] = Function(
            name, place, params, function.result, body, {}, cls=twin.name, decorators=decorators
        )
        twin.methods.append(name)
        self.interface.upcalls.append(Upcall(short, name, tuple(p.type for p in params), function.result))

    def is_ours(self, name: str) -> bool:
        return any(name.rpartition(".")[0] == module for module in self.roots)

    def generic_globals(self) -> dict[tuple[str, str], ClassType]:
        """The objects of generic classes that modules name, lists and dictionaries among them: what they are of stands
        where a function names them.
        """
        found: dict[tuple[str, str], ClassType] = {}
        for function in self.program.functions.values():
            for node in (n for statement in function.body for n in walk(statement)):
                if isinstance(node, Global) and isinstance(node.type, ClassType) and node.type.args:
                    if node.module in self.roots and not has_variable(node.type):
                        found[node.module, node.name] = node.type
        return found

    def is_class(self, kind: type) -> bool:
        decl = self.program.classes.get(f"{kind.__module__}.{kind.__qualname__}")
        return decl is not None and decl.kind == "class" and not decl.type_params

    def require(self, symbol: str) -> None:
        """An exported function."""
        found = [f for f in self.program.functions.values() if f.decorators.get("export") == symbol]
        self.world.external.add(self.world.instance(found[0], {}).symbol)

    def call(self, name: str, env: dict[str, Type] | None = None) -> None:
        """A function is called from outside."""
        instance = self.world.instance(self.world.function(name, NOWHERE), env or {})
        self.world.external.add(instance.symbol)
        self.world.entered.add(instance)
        self.called[instance.symbol] = instance
        for t in (*instance.parameters, instance.result):
            self.use(t)

    def offer(self, module: str, name: str, value: object, t: ClassType | None = None) -> None:
        """A module's object is used from outside."""
        t = t or ClassType(f"{type(value).__module__}.{type(value).__qualname__}")
        self.use(t)
        self.interface.globals[module, name] = self.freezer.symbol_for(value, t), t

    def use(self, t: Type) -> None:
        """Values of a type go in or out."""
        if t in self.used or has_variable(t):
            return
        self.used[t] = None
        match t:
            case OptionalType(inner) | SpanType(inner) | WeakType(inner) | RawArrayType(inner) | ArrayType(inner, _):
                self.use(inner)
            case TupleType(items) | UnionType(items):
                for item in items:
                    self.use(item)
            case ClassType(name, args) | StructType(name, args):
                decl = self.program.classes.get(name)
                if decl is None or decl.kind not in ("class", "struct"):
                    return
                for argument in args:
                    self.use(argument)
                if isinstance(t, ClassType):
                    self.world.require_class(t)
                    self.world.expose(t)
                if name in (*METHODS, BYTE_ARRAY):
                    binding = self.world.layouts.binding(t)
                    short = METHODS.get(name, ("append", "clear", "__setitem__", "extend_bytes"))
                    if args and compares_containers(args[0]):
                        short = tuple(method for method in short if method != "__contains__")  # is refused for them
                    for method in ("__init__", "__len__", *short):
                        self.guard(partial(self.call, f"{name}.{method}", binding))
                else:
                    for _, of_field in self.world.layouts.instance(t).fields.values():
                        self.use(of_field)
            case _:
                if t in (BYTES, STR):
                    self.world.require_class(t)

    def native_modules(self, entry_points: list[str]) -> dict[str, str]:
        self.analyse(entry_points)
        for instance in (self.world.instances.get((upcall.symbol, ())) for upcall in self.interface.upcalls):
            if instance is not None and isinstance(instance.result, IntType):
                self.world.returned[instance] = type_bounds(instance.result)  # Python may return any of them
        self.emit()
        self.fail_on_errors()
        modules = dict(sorted(self.texts(list(self.called))))
        modules[GLUE] = self.glue()
        for number, upcall in enumerate(self.interface.upcalls):
            self.call_python(modules, number, upcall)
        return modules

    def call_python(self, modules: dict[str, str], number: int, upcall: Upcall) -> None:
        """Give a method of `derive` its body, if anything calls it."""
        instance = self.world.instances.get((upcall.symbol, ()))
        if instance is None:
            return
        upcall.raises = instance.raises_word
        fn = FunctionLowerer(self.world, Module(GLUE, self.options, NoDebugInfo()), instance)
        kind, kinds = fn.signature(instance.parameters, instance.result, instance.raises_word, instance.view)
        text = modules[instance.package]
        pattern = re.compile(rf'^(define [^\n]*?@"{re.escape(upcall.symbol)}"\()([^\n]*?)(\) #[^\n]*\{{)\n.*?^\}}$',
                             re.MULTILINE | re.DOTALL)  # fmt: skip
        found = pattern.search(text)
        assert found is not None, upcall.symbol
        names = [part.rpartition("%")[2] for part in parts_of("{" + found[2] + "}")]
        body = upcall_body(number, kind, kinds, names, raises=instance.raises_word)
        definition = f"{found[1]}{found[2]}{found[3]}\n{body}\n}}"
        modules[instance.package] = text[: found.start()] + definition + text[found.end() :]
        head = "declare dso_local i64 @krait_native_python(i64, i64, ptr, ptr)\n"
        if "@krait_native_python(i64, i64, ptr, ptr)\n" not in modules[instance.package]:
            modules[instance.package] = modules[instance.package] + "\n" + head

    def glue(self) -> str:
        """IR of all glue; fills the interface in."""
        world, made = self.world, self.interface
        scratch = Module(GLUE, self.options, NoDebugInfo())
        texts = ['attributes #0 = { uwtable "frame-pointer"="all" }']
        for symbol, instance in self.called.items():
            fn = FunctionLowerer(world, scratch, instance)
            kind, kinds = fn.signature(instance.parameters, instance.result, instance.raises_word, instance.view)
            texts.append(glue_of(symbol, kind, kinds))
            made.codes[symbol] = Code(
                f"native.{symbol}", instance.parameters, instance.result, instance.raises_word, instance.view
            )
        made.functions = {f.name: slim(f) for f in self.program.functions.values()}
        made.classes = dict(self.program.classes)
        for t in world.instantiated:
            made.descriptors[t] = descriptor_symbol(t)
        for t in [*self.used, *world.instantiated]:
            if isinstance(t, ClassType | StructType) and t.name in self.program.classes:
                made.layouts[t] = world.layouts.instance(t)
        for symbol, (module, name, t) in world.cells.items():
            made.cells[module, name] = symbol, t
        made.exceptions = {low: name for name, (low, _) in number_exceptions(self.program).items()}
        return "\n".join(texts) + "\n"


def slim(f: Function) -> Function:
    """A declaration without its body."""
    return Function(f.name, f.loc, f.params, f.result, [], {}, cls=f.cls, is_property=f.is_property)


class Words:
    """Writes code that moves values between LLVM's registers and arrays of words."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def fresh(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def take(self, kind: str, array: str, at: int) -> tuple[str, int]:
        """A value from the words of an array from `at` on; the next word's number."""
        if kind.startswith("{"):
            value = "undef"
            for index, part in enumerate(parts_of(kind)):
                item, at = self.take(part, array, at)
                value = self.fresh(f"insertvalue {kind} {value}, {part} {item}, {index}")
            return value, at
        address = self.fresh(f"getelementptr i64, ptr {array}, i64 {at}")
        word = self.fresh(f"load i64, ptr {address}")
        if kind == "ptr":
            return self.fresh(f"inttoptr i64 {word} to ptr"), at + 1
        if kind == "i1":
            return self.fresh(f"icmp ne i64 {word}, 0"), at + 1
        assert kind == "i64", kind
        return word, at + 1

    def give(self, kind: str, value: str, array: str, at: int) -> int:
        """Store a value as words from `at` on; the next word's number."""
        if kind.startswith("{"):
            for index, part in enumerate(parts_of(kind)):
                at = self.give(part, self.fresh(f"extractvalue {kind} {value}, {index}"), array, at)
            return at
        if kind == "ptr":
            value = self.fresh(f"ptrtoint ptr {value} to i64")
        elif kind != "i64":
            value = self.fresh(f"zext {kind} {value} to i64")
        address = self.fresh(f"getelementptr i64, ptr {array}, i64 {at}")
        self.lines.append(f"  store i64 {value}, ptr {address}")
        return at + 1


def upcall_body(number: int, kind: str, kinds: list[str], names: list[str], *, raises: bool) -> str:
    """The body of a method that calls Python: arguments and results travel in the frame."""
    words = Words()
    words.lines += ["entry:", "  %in = alloca [64 x i64]", "  %out = alloca [64 x i64]"]
    at = 0
    for each, name in list(zip(kinds, names, strict=True))[1:]:
        at = words.give(each, f"%{name}", "%in", at)
    receiver = words.fresh(f"ptrtoint ptr %{names[0]} to i64")
    word = words.fresh(f"call i64 @krait_native_python(i64 {receiver}, i64 {number}, ptr %in, ptr %out)")
    if kind == "void":
        words.lines.append("  ret void")
    elif raises and kind == "i64":
        words.lines.append(f"  ret i64 {word}")
    elif raises:
        value, _ = words.take(parts_of(kind)[0], "%out", 0)
        half = words.fresh(f"insertvalue {kind} undef, {parts_of(kind)[0]} {value}, 0")
        words.lines.append(f"  ret {kind} " + words.fresh(f"insertvalue {kind} {half}, i64 {word}, 1"))
    else:
        words.lines.append(f"  ret {kind} {words.take(kind, '%out', 0)[0]}")
    return "\n".join(words.lines)


def glue_of(symbol: str, kind: str, kinds: list[str]) -> str:
    """`native.SYMBOL(in, out)`."""
    words = Words()
    arguments, at = [], 0
    for each in kinds:
        value, at = words.take(each, "%in", at)
        arguments.append(f"{each} {value}")
    call = f'call {kind} @"{symbol}"({", ".join(arguments)})'
    if kind == "void":
        words.lines.append(f"  {call}")
    else:
        words.give(kind, words.fresh(call), "%out", 0)
    head = f'declare dso_local {kind} @"{symbol}"({", ".join(kinds)}) #0\n'
    body = "\n".join([*words.lines, "  ret void", "}"])
    return head + f'define dso_local void @"native.{symbol}"(ptr %in, ptr %out) #0 {{\n{body}'


def parts_of(kind: str) -> list[str]:
    """The members of LLVM's type of a struct, or of what is written like one."""
    found, depth, start = [], 0, 1
    for at, letter in enumerate(kind):
        depth += (letter in "{(") - (letter in "})")
        if (letter == "," and depth == 1) or (letter == "}" and depth == 0):
            found.append(kind[start:at].strip())
            start = at + 1
    return found


# From sources to an image ---------------------------------------------------------------------------------------------

Change = Callable[[dict[str, str]], None]


def build(timings: Timings | None = None) -> Path:
    """The image, compiled if it is not there or a source has changed. Its interface lies beside it."""
    timings = timings or Timings()
    output = FOLDER / "modules"
    manifest_file = manifest_path("native", str(output))
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if Manifest.read(manifest_file) is not None:
            return output
        before = hashes_of([*possible_inputs(), *HERE.glob("*.*")])
        program, modules, interface = lowered(timings)
        write_whole(output.with_suffix(".ir"), pickle.dumps(modules))
        compile_and_link(modules, interface, output, timings)
        inputs = [*kernel_inputs(program), *map(module_file, MODULES), *HERE.glob("*.*")]
        manifest_of(output, [path for path in inputs if path.is_file()], before, {}).write(manifest_file)
    return output


def build_changed(change: Change, output: Path) -> Path:
    """The same image with an instruction changed."""
    image = build()
    modules = pickle.loads(image.with_suffix(".ir").read_bytes())
    change(modules)
    interface = pickle.loads(image.with_suffix(".interface").read_bytes())
    compile_and_link(modules, interface, output, Timings())
    return output


def lowered(timings: Timings) -> tuple[Program, dict[str, str], Interface]:
    """The modules' IR, and their interface without addresses."""
    files = [module_file(name) for name in MODULES]
    with timings.phase("front end"):
        program = load([HOST_MODULE], files)
        import_live([HOST_MODULE], files)
    paths = {str(file) for file in files}
    build_time = {name for path in paths for name in build_time_functions(program, path)}
    entries = sorted(
        f.name for f in program.functions.values()
        if f.loc.path in paths and f.name not in build_time and is_concrete(program, f) and not f.errors
    )  # fmt: skip
    lowering = NativeLowering(program, list(MODULES))
    with timings.phase("lowering"):
        modules = lowering.native_modules([*entries, "kernel.mm.host.start", "kernel.mm.host.objects_in_use"])
    return program, modules, lowering.interface


def compile_and_link(modules: dict[str, str], interface: Interface, output: Path, timings: Timings) -> None:
    with timings.phase("LLVM"):
        compiled = compile_modules(modules, HOST, "release")
    with timings.phase("link"):
        link(list(compiled.objects.values()), output)
    interface.symbols = symbols_of(output)
    write_whole(output.with_suffix(".interface"), pickle.dumps(interface))


def link(objects: list[Path], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    stubs, end = output.with_suffix(".stubs.o"), output.with_suffix(".end.o")
    run("gcc", "-c", "-m64", str(HERE / "stubs.S"), "-o", str(stubs))
    run("gcc", "-c", "-m64", str(HERE / "end.S"), "-o", str(end))
    run("ld", "-m", "elf_x86_64", "-static", f"-Ttext-segment={BASE:#x}", "--build-id=none", "-z", "noexecstack",
        "--no-warn-rwx-segments", "--unresolved-symbols=ignore-all", "-e", "0", "-o", str(output),
        str(stubs), *map(str, objects), str(end))  # fmt: skip


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")


def symbols_of(image: Path) -> dict[str, int]:
    with image.open("rb") as file:
        elf = ELFFile(file)
        table, frames = elf.get_section_by_name(".symtab"), elf.get_section_by_name(".eh_frame")
        assert isinstance(table, SymbolTableSection) and frames is not None
        symbols = {symbol.name: int(symbol["st_value"]) for symbol in table.iter_symbols() if symbol.name}
        symbols[".eh_frame"] = int(frames["sh_addr"])
    return symbols

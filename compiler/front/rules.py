"""Rules of the subset that are judged on the typed tree: what mypy accepts, and Kernel Python does not.

`check_function` adds to `Function.errors`. Rules about declarations are in declarations.py; what the tree cannot even
express is refused where the tree is built.
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from compiler.diagnostics import internal_error
from compiler.formats import format_fault
from compiler.front.assignment import check_assigned
from compiler.front.convert_types import BYTE_ARRAY, DEQUE, DICT, KERNEL_ERROR, LIST, MEMORY_ERROR
from compiler.front.endings import EndingRules
from compiler.front.flows import check_flows
from compiler.front.handlers import check_handlers
from compiler.front.views import check_views
from compiler.nodes import children, walk
from compiler.tree import (
    Assign,
    AugAssign,
    Binary,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Captured,
    CapturePattern,
    Chain,
    Compare,
    Comprehension,
    Diagnostic,
    Expr,
    FieldTarget,
    For,
    FormatPart,
    Function,
    Handler,
    Lambda,
    Loc,
    Local,
    LocalTarget,
    NestedFunction,
    New,
    Program,
    Raise,
    Return,
    Try,
    TupleTarget,
    Unary,
    Walrus,
    With,
    Yield,
)
from compiler.types import (
    BOOL,
    CONTAINERS,
    ArrayType,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NoneType,
    OptionalType,
    RawArrayType,
    SpanType,
    StrType,
    StructType,
    TupleType,
    Type,
    TypeVariable,
    a_type,
    is_reference,
    show,
)

_TEXT_MODULES = ("kernel.lang.runtime.text", "kernel.lang.runtime.byte_strings")
_TEXT_HINTS = {
    "str": "encode it: bytes have more methods; or build it with an f-string",
    "bytes": "docs/language.md lists the methods of bytes",
}
_INSTRUCTIONS = "arch.x86_64.instructions."
_CONTAINERS = (LIST, DICT, DEQUE, BYTE_ARRAY)
_OBJECT = "builtins.object"
_FREE_PARAMETERS = (".__exit__", ".__eq__")  # their parameters have types that Python prescribes
_FOREIGN_HINTS = {
    "builtins.memoryview": "use a Span",
    "typing.Sequence": "use list[T]",
    "typing.Mapping": "use dict[K, V]",
    "typing.Iterable": "use list[T]",
    "builtins.range": "use it directly in for",
    "_collections_abc.dict_items": "use it directly in for",
    "_collections_abc.dict_keys": "use it directly in for, or list(d)",
    "_collections_abc.dict_values": "use it directly in for, or list(d.values())",
    "typing.Iterator": "run over it with for, where it is called",
    "typing.Generator": "run over it with for, where it is called",
}


class ProgramRules:
    """Judges functions, each once, by what is known of the whole program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.turns = check_views(program)
        self.endings: EndingRules | None = None
        self.judged: set[int] = set()

    def check(self, functions: Iterable[Function]) -> None:
        """Judge these, if they were not yet (`Function.errors`)."""
        new = [function for function in functions if id(function) not in self.judged]
        self.judged.update(map(id, new))
        for function in new:
            try:
                check_function(self.program, function, self.turns.get(function.name, {}))
            except Exception as error:
                function.errors.append(internal_error(error, function.loc))
        if self.endings is None:
            self.endings = EndingRules(self.program)  # of functions without errors
        for function in new:
            self.endings.check_function(function)

    def check_reached(self, function: Function) -> None:
        """Judge a function that code reaches. What is inside another is judged with that one."""
        if self.program.functions.get(function.name) is function:
            self.check([function])


def check_program(program: Program, paths: set[str] | None = None) -> None:
    """Judge all functions; or only those of some files now, and others when `program.judge` is called with them."""
    rules = ProgramRules(program)
    program.judge = rules.check_reached
    rules.check(f for f in program.functions.values() if paths is None or f.loc.path in paths)


def check_function(program: Program, function: Function, turns: dict[int, set[str]]) -> None:
    """Judge one function."""
    rules = FunctionRules(program, function)
    for param in function.params:
        rules.check_type(param.type, function.loc)
    if not function.name.endswith(_FREE_PARAMETERS):
        for param in function.params:
            rules.check_known(param.type, function.loc)
    rules.check_type(function.result, function.loc)
    if not function.is_generator:
        rules.check_known(function.result, function.loc)
    rules.check_nested(function)
    for statement in function.body:
        rules.visit(statement)
    check_flows(program, function, rules.errors)
    if not function.errors:  # else the body may be partial
        rules.errors.extend(check_assigned(function, turns))
    if not rules.errors:  # else the expressions reported it already, with a better place
        for name, t in function.locals.items():
            rules.check_type(t, function.loc)
            rules.check_known(t, function.loc, name)
    function.errors.extend(rules.errors)


class FunctionRules:
    """The rules, one method a kind of node; `allowed` are expressions that stand where such a thing may stand."""

    def __init__(self, program: Program, function: Function) -> None:
        self.program = program
        self.function = function
        self.errors: list[Diagnostic] = []
        self.allowed: set[int] = set()
        self.nested: dict[str, Function] = {}
        self.protected = 0  # enclosing try and with statements

    def fail(self, code: str, loc: Loc, message: str, hint: str = "") -> None:
        self.errors.append(Diagnostic(code, loc, message, hint))

    def visit(self, node: Any) -> None:
        """Judge a node, then what is below."""
        handler = getattr(self, f"on_{type(node).__name__.lower()}", None)
        if handler is not None:
            handler(node)
        protects = isinstance(node, Try | With)
        self.protected += protects
        for child in children(node):
            self.visit(child)
        self.protected -= protects

    # Types ------------------------------------------------------------------------------------------------------------

    def check_known(self, t: Type, loc: Loc, name: str = "") -> None:
        """Refuse classes of Python's own library."""
        t = _bare(t)
        if isinstance(t, ClassType) and t.name not in self.program.classes and not self._is_builtin(t.name):
            where = f" (the local {name})" if name else ""
            short = t.name.removeprefix("builtins.")
            self.fail("KP112", loc, f"Kernel Python has no {short}{where}", _FOREIGN_HINTS.get(t.name, ""))

    def _is_builtin(self, name: str) -> bool:
        return name in ("builtins.object", MEMORY_ERROR) or name.startswith("kernel.lang.runtime.")

    def check_type(self, t: Type, loc: Loc) -> None:
        """Refuse containers of what may not lie in the heap."""
        for message, code, hint in container_faults(t):
            self.fail(code, loc, message, hint)
        bare = _bare(t)
        key = bare.args[0] if isinstance(bare, ClassType) and bare.name == DICT and bare.args else None
        if isinstance(key, ClassType) and f"{key.name}.__eq__" in self.program.functions:
            hint = "use a number, bytes or an enum that stands for it"
            self.fail("KP227", loc, f"a dict with keys of type {show(key)}, which has its own __eq__", hint)

    def on_listlit(self, node: Expr) -> None:
        self.check_type(node.type, node.loc)

    def on_dictlit(self, node: Expr) -> None:
        self.check_type(node.type, node.loc)

    def on_comprehension(self, node: Comprehension) -> None:
        if node.kind == "list":
            self.check_type(node.type, node.loc)
        for clause in node.clauses:
            self.allowed.add(id(clause.iterable))

    # Generators and closures ------------------------------------------------------------------------------------------

    def on_for(self, node: For) -> None:
        self.allowed.add(id(node.iterable))

    def on_callfunction(self, node: CallFunction) -> None:
        if node.function.startswith(_INSTRUCTIONS):
            self._check_unsafe(node.function.removeprefix(_INSTRUCTIONS), node.loc)
        target = self.program.functions.get(node.function)
        if target is not None and target.is_generator and id(node) not in self.allowed:
            self.fail("KP171", node.loc, "a generator as a value", "run over it with for, where it is called")
        for i, arg in enumerate(node.args):
            if self._is_closure(arg):
                self.allowed.add(id(arg))
                if (
                    target is not None
                    and i < len(target.params)
                    and self._escapes(target, target.params[i].name, set())
                ):
                    message = f"{target.name.rsplit('.', 1)[-1]} keeps its argument, and a closure must not be kept"
                    self.fail(
                        "KP220", arg.loc, message, "pass a function of the module, and what it needs in an object"
                    )

    def on_callmethod(self, node: CallMethod) -> None:
        name = f"{node.owner}.{node.method}"
        target = self.program.functions.get(name)
        if target is not None and target.is_generator and id(node) not in self.allowed:
            self.fail("KP171", node.loc, "a generator as a value", "run over it with for, where it is called")
        for i, arg in enumerate(node.args):
            if self._is_closure(arg):
                self.allowed.add(id(arg))
                if target is None or self._escapes(target, target.params[i + 1].name, set()):
                    hint = "pass a function of the module, and what it needs in an object"
                    self.fail(
                        "KP220", arg.loc, f"{node.method} keeps its argument, and a closure must not be kept", hint
                    )
        if node.owner.startswith(CONTAINERS) and target is None:
            kind = {LIST: "list", DICT: "dict", DEQUE: "deque"}.get(node.owner, "bytearray")
            if not (node.owner == DICT and node.method in ("keys", "values", "items") and id(node) in self.allowed):
                hint = (
                    "run over it with for, or make a list of it" if node.method in ("keys", "values", "items") else ""
                )
                method = node.method.strip("_")
                self.fail("KP212", node.loc, f"{kind} has no {method} in Kernel Python", hint)
        elif node.owner.startswith(CONTAINERS) and target is not None:
            wanted = len(target.params) - 1
            if len(node.args) != wanted:
                message = f"{node.method} takes {wanted} argument{'s' * (wanted != 1)} here"
                self.fail("KP206", node.loc, message, "write a loop, or give the arguments that it takes")
            receiver = node.receiver.type
            item = _bare(receiver.args[0]) if isinstance(receiver, ClassType) and _compares_items(node) else None
            if isinstance(item, ClassType) and item.name in (*_CONTAINERS, _OBJECT):
                hint = "write a loop that compares what is meant, or that asks with `is`"
                self.fail("KP931", node.loc, f"{show(item)} is compared by what it contains in Python", hint)

    def on_callvalue(self, node: CallValue) -> None:
        self.allowed.add(id(node.callee))
        if not isinstance(node.callee.type, FunctionType):
            self.fail("KP240", node.loc, f"{a_type(node.callee.type)} can't be called", "give it a named method")
        for arg in node.args:
            if self._is_closure(arg):
                self.fail("KP220", arg.loc, "a closure passed through a function value", "call a function by its name")
                self.allowed.add(id(arg))

    def check_nested(self, function: Function) -> None:
        """A nested function is the same wherever it is named: it is inlined there."""
        seen: set[str] = set()
        for statement in function.body:
            for node in walk(statement) if not isinstance(statement, NestedFunction) else [statement]:
                if isinstance(node, NestedFunction):
                    name = node.function.name.rpartition(".")[2]
                    if node is not statement or name in seen:
                        hint = "define it once, outside of other statements, and give others another name"
                        self.fail("KP218", node.loc, f"which {name} is meant is known only at run time", hint)
                    seen.add(name)

    def on_nestedfunction(self, node: NestedFunction) -> None:
        self.check_nested(node.function)
        self.nested[node.function.name.rsplit(".", 1)[-1]] = node.function

    def on_lambda(self, node: Lambda) -> None:
        if id(node) not in self.allowed:
            self._escaping(node)

    def on_local(self, node: Local) -> None:
        if self._is_closure(node) and id(node) not in self.allowed:
            self._escaping(node)

    def on_captured(self, node: Captured) -> None:
        if self._is_closure(node) and id(node) not in self.allowed:
            self._escaping(node)

    def _escaping(self, node: Expr) -> None:
        hint = "use it only as an argument of a function that calls it; otherwise write a function of the module"
        self.fail("KP220", node.loc, "a closure that escapes", hint)

    def _is_closure(self, node: object) -> bool:
        return isinstance(node, Lambda) or (isinstance(node, Local | Captured) and node.name in self.nested)

    def _escapes(self, target: Function, name: str, seen: set[tuple[str, str]]) -> bool:
        """Whether a function does more with a parameter than to call it, or to pass it on to one that only calls it."""
        if (target.name, name) in seen:
            return False
        seen.add((target.name, name))
        calls: set[int] = set()
        for node in (n for s in target.body for n in walk(s)):
            if isinstance(node, CallValue):
                calls.add(id(node.callee))
            elif isinstance(node, CallFunction):
                inner = self.program.functions.get(node.function)
                for i, arg in enumerate(node.args):
                    if isinstance(arg, Local) and arg.name == name and inner is not None:
                        if i < len(inner.params) and not self._escapes(inner, inner.params[i].name, seen):
                            calls.add(id(arg))
            elif isinstance(node, Local | Captured) and node.name == name and id(node) not in calls:
                return True
            elif isinstance(node, LocalTarget | Walrus | CapturePattern | Handler) and node.name == name:
                return True  # what is called is another function then
        return False

    def on_yield(self, node: Yield) -> None:
        if self.protected:
            self.fail(
                "KP228",
                node.loc,
                "yield inside try or with",
                "take the values first, or write the loop where they are used",
            )

    def on_return(self, node: Return) -> None:
        if self.function.is_generator and node.value is not None:
            self.fail("KP229", node.loc, "a generator returns no value", "yield it")

    # Exceptions -------------------------------------------------------------------------------------------------------

    def on_raise(self, node: Raise) -> None:
        if isinstance(node.exception, New) and isinstance(node.exception.type, ClassType):
            name = node.exception.type.name
            if not self._is_error(name):
                short = name.rsplit(".", 1)[-1]
                hint = "raise Errno(…) or a class derived from KernelError; for a bug, panic(…)"
                self.fail("KP221", node.loc, f"{short} can't be raised", hint)

    def on_try(self, node: Try) -> None:
        self.errors.extend(check_handlers(self.program, node, self.function))

    def on_handler(self, node: Handler) -> None:
        for name in node.exceptions:
            if not self._is_error(name):
                short = name.rsplit(".", 1)[-1]
                hint = (
                    "catch Errno, MemoryError or a class derived from KernelError; test for the rest before it happens"
                )
                self.fail("KP222", node.loc, f"{short} can't be caught: bugs stop the task", hint)

    def _is_error(self, name: str) -> bool:
        """Whether a class is an exception of the language."""
        seen = 0
        while name not in (KERNEL_ERROR, MEMORY_ERROR):
            decl = self.program.classes.get(name)
            if decl is None or not isinstance(decl.base, ClassType) or seen > 50:
                return False
            name = decl.base.name
            seen += 1
        return True

    # Operators --------------------------------------------------------------------------------------------------------

    def on_compare(self, node: Compare) -> None:
        if node.op in ("in", "not in") and isinstance(node.right, CallBuiltin) and node.right.name == "range":
            self.allowed.add(id(node.right))
        self._comparison(node.op, node.left, node.right, node.loc)

    def on_chain(self, node: Chain) -> None:
        for i, op in enumerate(node.ops):
            self._comparison(op, node.operands[i], node.operands[i + 1], node.loc)

    def _comparison(self, op: str, left: Expr, right: Expr, loc: Loc) -> None:
        sides = (_bare(left.type), _bare(right.type))
        if op in ("is", "is not"):
            if self.function.name.startswith("kernel.lang.runtime."):
                return
            if any(
                isinstance(t, IntType | StrType | BytesType | TupleType | SpanType | StructType | ArrayType)
                for t in sides
            ):
                if not any(isinstance(t, NoneType) for t in (left.type, right.type)):
                    self.fail("KP223", loc, f"`{op}` compares objects, and these are values", "use == or !=")
            return
        if any(isinstance(t, BoolType) for t in sides) and any(isinstance(t, IntType) for t in sides):
            self.fail("KP184", loc, "a bool compared with an int", "write int(b), or test the bool itself")
        if any(isinstance(t, StructType | ArrayType | SpanType) for t in sides):
            which = next(t for t in sides if isinstance(t, StructType | ArrayType | SpanType))
            self.fail(
                "KP243", loc, f"{show(which)} values are not compared", "compare the fields or elements that matter"
            )

    def on_unary(self, node: Unary) -> None:
        if node.op in ("-", "~", "+") and node.operand.type == BOOL:
            self.fail("KP184", node.loc, "arithmetic on a bool", "write int(b), or use and/or/not")
        if node.op == "~" and isinstance(node.operand.type, EnumType) and id(node) not in self.allowed:
            self.fail("KP234", node.loc, "the complement of flags", "use it directly under &: flags & ~Flags.X")

    def on_binary(self, node: Binary) -> None:
        if node.op == "&":
            self.allowed.update((id(node.left), id(node.right)))

    def on_augassign(self, node: AugAssign) -> None:
        if node.op == "&":
            self.allowed.add(id(node.value))
        if node.op == "/":
            self.fail("KP180", node.loc, "/ makes a float", "use // (it rounds down)")
        elif node.op in ("**", "@"):
            self.fail("KP182", node.loc, f"{node.op}= is out", "multiply, or shift")
        elif BOOL in (node.target.type, node.value.type) and node.op not in ("&", "|", "^"):
            self.fail("KP184", node.loc, "arithmetic on a bool", "write int(b), or use and/or/not")

    def on_assign(self, node: Assign) -> None:
        for target in node.targets:
            if isinstance(target, TupleTarget) and not isinstance(node.value.type, TupleType):
                message = f"{a_type(node.value.type)} can't be unpacked"
                self.fail("KP239", node.loc, message, "only tuples are; index it")

    # Texts and methods of built-in values -----------------------------------------------------------------------------

    def on_formatpart(self, node: FormatPart) -> None:
        t = node.value.type
        if not isinstance(t, IntType | BoolType | StrType | BytesType | EnumType | TypeVariable):
            self.fail(
                "KP241",
                node.value.loc,
                f"{a_type(t)} in a text",
                "show its fields, or give it a method that makes a str",
            )
        elif fault := format_fault(t, node.spec, node.conversion):
            shown = (f"!{node.conversion}" if node.conversion else "") + (f":{node.spec}" if node.spec else "")
            self.fail("KP242", node.value.loc, f"the format {shown!r} of {a_type(t)}", fault)

    def _check_unsafe(self, name: str, loc: Loc) -> None:
        """An unsafe primitive is judged where it is used, whatever name it was reached by."""
        if self.function.loc.path not in self.program.trusted:
            hint = "use what a safe module offers, or add the module to compiler/unsafe_modules.txt with a reason"
            self.fail("KP251", loc, f"{name} is unsafe, and this module is not on the list of unsafe modules", hint)

    def on_new(self, node: New) -> None:
        if isinstance(node.type, RawArrayType):
            self._check_unsafe("RawArray", node.loc)

    def on_callbuiltin(self, node: CallBuiltin) -> None:
        if node.name.startswith(("unsafe.", "raw.", "RawArray.")):
            self._check_unsafe(node.name.rpartition(".")[2], node.loc)
        if node.name in ("enumerate", "zip", "reversed", "range") and id(node) not in self.allowed:
            self.fail("KP244", node.loc, f"{node.name}() as a value", "use it directly in for")
        if node.name in ("enumerate", "zip", "reversed"):
            self.allowed.update(id(a) for a in node.args)
        kind, _, method = node.name.partition(".")
        if kind == "str" and method in ("slice", "__getitem__"):
            self.fail("KP212", node.loc, "a str has no index and no slices in Kernel Python", "encode it")
        if kind in ("str", "bytes") and method and not method.startswith("__") and method != "slice":
            library = "bytes" if method in ("startswith", "endswith") else kind  # the same on the UTF-8 form
            found = [self.program.functions.get(f"{module}.{library}_{method}") for module in _TEXT_MODULES]
            target = next((function for function in found if function is not None), None)
            if target is None:
                self.fail("KP212", node.loc, f"{kind} has no {method} in Kernel Python", _TEXT_HINTS[kind])
            elif len(node.args) > len(target.params):
                message = f"{method} takes no more than {len(target.params) - 1} arguments here"
                self.fail("KP206", node.loc, message, "take the part first, with a slice")


def _compares_items(node: CallMethod) -> bool:
    """Whether a method of a container compares its elements with a value."""
    if node.owner not in (LIST, DEQUE) or not isinstance(node.receiver.type, ClassType):
        return False
    return node.method in ("__contains__", "index", "count", "remove") and bool(node.receiver.type.args)


def _bare(t: Type) -> Type:
    return t.inner if isinstance(t, OptionalType) else t


def container_faults(t: Type) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the elements of a container type: message, code, hint."""
    if isinstance(t, OptionalType):
        yield from container_faults(t.inner)
        return
    if isinstance(t, TupleType):
        for item in t.items:
            yield from container_faults(item)
        return
    if not isinstance(t, ClassType) or t.name not in (LIST, DICT, DEQUE):
        return
    kind = {LIST: "list", DICT: "dict", DEQUE: "deque"}[t.name]
    if t.name == DICT and t.args:
        key = t.args[0]
        contained = isinstance(key, ClassType) and key.name in _CONTAINERS
        if contained or not isinstance(key, IntType | StrType | BytesType | EnumType | ClassType | TypeVariable):
            yield f"a dict with keys of type {show(key)}", "KP227", "keys are int, str, bytes, enums or objects"
    for item in t.args[-1:]:
        fault = heap_fault(item)
        if fault is None and isinstance(item, StructType | ArrayType):
            fault = a_type(item), "KP225", "use an Array[T, Literal[n]], or a class"
        if fault is not None:
            message, code, hint = fault
            yield f"{message} in a {kind}", code, hint
        yield from container_faults(item)


def heap_fault(t: Type) -> tuple[str, str, str] | None:
    """Why a type can't be that of a heap field or element: message, code, hint."""
    if isinstance(t, SpanType):
        return a_type(t), "KP224", "a span lives in locals only; keep the bytearray or Array that it shows"
    if isinstance(t, TupleType):
        return a_type(t), "KP225", "write a class with named fields"
    if (
        isinstance(t, OptionalType)
        and not is_reference(t.inner)
        and not isinstance(t.inner, TypeVariable | FunctionType)
    ):
        return a_type(t), "KP226", "use a value that means none, such as -1"
    return None


__all__ = ["FieldTarget", "check_function", "check_program", "children", "container_faults", "heap_fault", "walk"]

"""The typed tree: what the front end hands to the back end.

One node class a construct, names resolved, every expression with its type. The tree of a generic function mentions type
variables; the back end substitutes. Nothing here knows mypy. Nodes have slots: the kernel's tree has a million of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from compiler.types import Type


@dataclass(unsafe_hash=True, slots=True)
class Loc:
    """A place in a source file: 1-based line, 0-based columns. Nobody changes one; it is not `frozen`, because those
    take three times as long to make, and a check makes a hundred thousand.
    """

    path: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0


# Expressions --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Expr:
    """Base of expressions; `type` is the narrowed type at this place."""

    loc: Loc
    type: Type


@dataclass(slots=True)
class IntLit(Expr):
    value: int


@dataclass(slots=True)
class BoolLit(Expr):
    value: bool


@dataclass(slots=True)
class StrLit(Expr):
    value: str


@dataclass(slots=True)
class BytesLit(Expr):
    value: bytes


@dataclass(slots=True)
class NoneLit(Expr):
    pass


@dataclass(slots=True)
class Local(Expr):
    """A local variable or parameter of the enclosing function. Its declared type is in `Function.locals`; `type` may be
    narrower.
    """

    name: str


@dataclass(slots=True)
class Captured(Expr):
    """A variable of an enclosing function, used in a lambda or nested function."""

    name: str


@dataclass(slots=True)
class Global(Expr):
    """A module-level name: `module` is where it is defined ("kernel.fs.vfs"). The back end looks at the live object.

    `final` says that it is `Final` (or a function, class or module), so that its value may be folded.
    """

    module: str
    name: str
    final: bool


@dataclass(slots=True)
class ClassConstant(Expr):
    """`C.X` or `self.X` where X is a class-level constant: looked up on the live class `owner`."""

    owner: str
    name: str


@dataclass(slots=True)
class EnumMember(Expr):
    """`Color.RED`."""

    enum: str
    name: str


@dataclass(slots=True)
class Field(Expr):
    """`value.name`: a data field of a class or struct. `owner` is the class that declares it."""

    value: Expr
    owner: str
    name: str


@dataclass(slots=True)
class Unary(Expr):
    op: str  # "-" "~" "not" "+"
    operand: Expr


@dataclass(slots=True)
class Binary(Expr):
    """Arithmetic on numbers, and `+`/`*` on str, bytes, lists. Operator methods of classes are Calls."""

    op: str  # + - * // % << >> & | ^ (and "/" "**" never reach the back end unless constant-folded)
    left: Expr
    right: Expr


@dataclass(slots=True)
class Compare(Expr):
    """One comparison. Chains become Chain."""

    op: str  # == != < <= > >= is "is not" in "not in"
    left: Expr
    right: Expr


@dataclass(slots=True)
class Chain(Expr):
    """`a < b <= c`: operands one more than ops; each operand is evaluated once."""

    operands: list[Expr]
    ops: list[str]


@dataclass(slots=True)
class BoolOp(Expr):
    op: str  # "and" "or"
    left: Expr
    right: Expr


@dataclass(slots=True)
class Conditional(Expr):
    test: Expr
    then: Expr
    orelse: Expr


@dataclass(slots=True)
class Walrus(Expr):
    name: str
    value: Expr


@dataclass(slots=True)
class CallFunction(Expr):
    """A call of a known function, static method or (non-virtual, by class) method: `Base.f(self)`, `super().f()`.

    `function` is its full name; `type_args` bind its type variables (and, for methods, its class's), by name. Arguments
    are in the order of parameters; defaults are filled in (as expressions of the default's constant value or Global
    references).
    """

    function: str
    args: list[Expr]
    type_args: dict[str, Type] = field(default_factory=dict)


@dataclass(slots=True)
class CallMethod(Expr):
    """`receiver.method(args)` on a class, struct or bounded type variable: dispatch by the receiver's type; virtual
    where overridden.

    `owner` is the full name of the class where mypy found the method (of the bound, for a type variable: look it up
    again after substitution). Also property reads (`is_property`) and operator methods (`__getitem__`, `__len__`,
    `__contains__`, `__enter__` …) of classes, run-time containers included. Arguments without the receiver.
    """

    receiver: Expr
    owner: str
    method: str
    args: list[Expr]
    is_property: bool = False
    type_args: dict[str, Type] = field(default_factory=dict)


@dataclass(slots=True)
class CallBuiltin(Expr):
    """A builtin or an intrinsic of the prelude, by name: "len" "abs" "min" "max" "ord" "chr" "bool" "hash" "isinstance"
    "print" "panic" "sizeof" "offsetof" "bytes" "span_of" "bytes_of" "struct_at" "weak" "divmod" "any" "all" "sum"
    "sorted" …, intrinsics as "unsafe.load_u8", "cpu.outb", methods of builtin value types as "bytes.find",
    "str.encode", "Span.copy_from", "Span.__getitem__" (index), "Span.slice", "bytes.slice", "Array.__getitem__",
    "Array.span", "Weak.get", "Enum.value", "Enum.name" …: the receiver is args[0]. `type_operands` are classes given as
    arguments (sizeof(S), object_at(C, a), isinstance), in order, and are not in args.
    """

    name: str
    args: list[Expr]
    type_operands: list[Type] = field(default_factory=list)
    text_operand: str = ""  # offsetof's field name, symbol_address's symbol


@dataclass(slots=True)
class CallValue(Expr):
    """A call through a function value (a `Callable` field, parameter, element) or of a lambda parameter that is
    inlined.
    """

    callee: Expr
    args: list[Expr]


@dataclass(slots=True)
class Cast(Expr):
    """`u32(x)`, `int(x)`, `u64(x)`, `bool(x)`; `wrapping` when an explicit cast to a fixed-width type wraps. The front
    end leaves storing conversions (a checked narrowing into a u8 field) implicit: the back end does them where the
    target's type differs.
    """

    value: Expr
    wrapping: bool


@dataclass(slots=True)
class New(Expr):
    """Construct a class or struct: `type` says which, with its type arguments. For classes, args are `__init__`'s
    (defaults filled in); for structs `fields` are the keyword arguments."""

    args: list[Expr]
    fields: dict[str, Expr] = field(default_factory=dict)


@dataclass(slots=True)
class EnumFromInt(Expr):
    value: Expr


@dataclass(slots=True)
class ListLit(Expr):
    items: list[Expr]


@dataclass(slots=True)
class DictLit(Expr):
    items: list[tuple[Expr, Expr]]


@dataclass(slots=True)
class TupleLit(Expr):
    items: list[Expr]


@dataclass(slots=True)
class TupleIndex(Expr):
    value: Expr
    index: int


@dataclass(slots=True)
class Comprehension(Expr):
    """`[element for target in iterable if cond …]`: a list (`type`), or with `kind` "any"/"all"/"sum" the reduction of
    a generator expression.
    """

    element: Expr
    clauses: list[ForClause]
    kind: str = "list"


@dataclass(slots=True)
class ForClause:
    target: Target
    iterable: Expr
    conditions: list[Expr]


@dataclass(slots=True)
class FString(Expr):
    parts: list[Expr | FormatPart]  # StrLit or FormatPart


@dataclass(slots=True)
class FormatPart:
    value: Expr
    spec: str  # what stands after the colon: "", "x", "08x", ">5", "d"
    conversion: str = ""  # "r" or ""


@dataclass(slots=True)
class Lambda(Expr):
    function: Function


# Targets ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Target:
    """What can stand left of `=`."""

    loc: Loc
    type: Type  # declared type of the place


@dataclass(slots=True)
class LocalTarget(Target):
    name: str


@dataclass(slots=True)
class GlobalTarget(Target):
    module: str
    name: str


@dataclass(slots=True)
class FieldTarget(Target):
    value: Expr
    owner: str
    name: str


@dataclass(slots=True)
class IndexTarget(Target):
    """`container[index] = …`: of Span, Array (value types). For classes (list, dict, bytearray) the front end makes a
    CallMethod of `__setitem__`.
    """

    container: Expr
    index: Expr


@dataclass(slots=True)
class SetItemTarget(Target):
    """`container[index] = …` where container is a class with `__setitem__` (run-time containers included)."""

    container: Expr
    owner: str
    index: Expr


@dataclass(slots=True)
class PropertyTarget(Target):
    """`value.name = …` where name is a property with a setter."""

    value: Expr
    owner: str
    name: str


@dataclass(slots=True)
class TupleTarget(Target):
    items: list[Target]


# Statements ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stmt:
    loc: Loc


@dataclass(slots=True)
class ExprStmt(Stmt):
    value: Expr


@dataclass(slots=True)
class Assign(Stmt):
    """`a = b = value`: targets left to right."""

    targets: list[Target]
    value: Expr


@dataclass(slots=True)
class AugAssign(Stmt):
    """`target op= value`; `target_type` reads the old value. The container and index are evaluated once."""

    target: Target
    op: str
    value: Expr
    result_type: Type


@dataclass(slots=True)
class If(Stmt):
    test: Expr
    then: list[Stmt]
    orelse: list[Stmt]


@dataclass(slots=True)
class While(Stmt):
    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]


@dataclass(slots=True)
class For(Stmt):
    """`for target in iterable`: the back end dispatches on the iterable: CallBuiltin
    "range"/"enumerate"/"zip"/"reversed", a call of a generator function, or a value by its type (run-time containers:
    by their `__len__` and an index, or the entries of Dict).
    """

    target: Target
    iterable: Expr
    body: list[Stmt]
    orelse: list[Stmt]


@dataclass(slots=True)
class Break(Stmt):
    pass


@dataclass(slots=True)
class Continue(Stmt):
    pass


@dataclass(slots=True)
class Pass(Stmt):
    pass


@dataclass(slots=True)
class Return(Stmt):
    value: Expr | None


@dataclass(slots=True)
class Yield(Stmt):
    value: Expr


@dataclass(slots=True)
class Raise(Stmt):
    """`raise E(code)`, or a bare raise (`exception` None)."""

    exception: Expr | None


@dataclass(slots=True)
class Handler:
    loc: Loc
    exceptions: list[str]  # full names of exception classes
    name: str | None
    body: list[Stmt]


@dataclass(slots=True)
class Try(Stmt):
    body: list[Stmt]
    handlers: list[Handler]
    orelse: list[Stmt]
    final: list[Stmt]


@dataclass(slots=True)
class WithItem:
    context: Expr
    target: Target | None


@dataclass(slots=True)
class With(Stmt):
    items: list[WithItem]
    body: list[Stmt]


@dataclass(slots=True)
class Assert(Stmt):
    test: Expr
    message: Expr | None


@dataclass(slots=True)
class Delete(Stmt):
    """`del c[i]` (a CallMethod of `__delitem__` in `value`) or `del name` (None, and the name)."""

    value: Expr | None
    name: str = ""


@dataclass(slots=True)
class NestedFunction(Stmt):
    """`def f…` inside a function: usable only as a non-escaping argument or called directly."""

    function: Function


@dataclass(slots=True)
class Pattern:
    loc: Loc


@dataclass(slots=True)
class ValuePattern(Pattern):
    value: Expr


@dataclass(slots=True)
class ClassPattern(Pattern):
    """`case C():` or `case C() as x` (with `capture`); keyword sub-patterns by field."""

    cls: Type
    fields: dict[str, Pattern] = field(default_factory=dict)


@dataclass(slots=True)
class OrPattern(Pattern):
    items: list[Pattern]


@dataclass(slots=True)
class CapturePattern(Pattern):
    """`name`, `pattern as name`, or `_` (both None)."""

    pattern: Pattern | None
    name: str | None
    type: Type | None = None


@dataclass(slots=True)
class MatchCase:
    pattern: Pattern
    guard: Expr | None
    body: list[Stmt]


@dataclass(slots=True)
class Match(Stmt):
    subject: Expr
    cases: list[MatchCase]


# Declarations -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Param:
    name: str
    type: Type


@dataclass(slots=True)
class Function:
    """A function or method. `name` is the full name: "kernel.fs.vfs.walk", "kernel.fs.inode.Inode.lookup"."""

    name: str
    loc: Loc
    params: list[Param]
    result: Type
    body: list[Stmt]
    locals: dict[str, Type]  # declared types of locals, without parameters
    type_params: list[str] = field(default_factory=list)  # names of its own TypeVariables (not the class's)
    cls: str | None = None  # the class it is a method of (None for static methods too)
    decorators: dict[str, str] = field(default_factory=dict)  # "irq" -> "", "export" -> "krait_main", "inline" -> ""
    is_property: bool = False
    is_generator: bool = False
    is_lambda: bool = False
    # the result is a struct or Array that lives elsewhere (`return struct_at_address(…)`, a parameter, a field): its
    # address is returned, nothing is copied
    returns_view: bool = False
    defaults: dict[str, object] = field(default_factory=dict)  # of parameters: equal keys for what is surely the same
    # broken rules of the subset: reported only if the function is reached; the body may be partial
    errors: list[Diagnostic] = field(default_factory=list)


@dataclass(slots=True)
class ClassDecl:
    """A class, struct or enum."""

    name: str
    loc: Loc
    kind: str  # "class" "struct" "enum" "exception" "protocol"
    base: Type | None  # with its type arguments
    type_params: list[str]
    fields: list[Param]  # data fields in order, its own only
    methods: list[str]  # full names of its own methods and properties
    final: bool = False
    packed: bool = False
    base_names: list[str] = field(default_factory=list)  # protocols it names
    # broken rules of the declaration: reported if the class is reached
    errors: list[Diagnostic] = field(default_factory=list)


@dataclass
class Program:
    """Everything mypy saw of our packages, by full name. The back end takes what is reached."""

    functions: dict[str, Function]
    classes: dict[str, ClassDecl]
    modules: dict[str, str]  # module name -> path
    sources: dict[str, list[str]]  # path -> lines
    trusted: set[str] = field(default_factory=set)  # the paths of the modules that may do unsafe things
    # Enters broken rules in `Function.errors`; of each function once.
    judge: Callable[[Function], None] = field(default=lambda function: None, repr=False)


@dataclass
class Diagnostic(Exception):
    """An error in the source: printed as `path:line:col: error KP012: message`, the line, a caret, and a hint."""

    code: str
    loc: Loc
    message: str
    hint: str = ""
    notes: list[tuple[Loc | None, str]] = field(default_factory=list)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.code, self.loc, self.message, self.hint, self.notes))


def caught(diagnostic: Diagnostic) -> Diagnostic:
    """A diagnostic that is kept, without the way that it came: the frames there hold all that anybody worked with."""
    diagnostic.__traceback__ = diagnostic.__context__ = diagnostic.__cause__ = None
    return diagnostic

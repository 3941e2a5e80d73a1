"""Expressions. Calls are in calls.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mypy.types as mt
from mypy.nodes import (
    LDEF,
    ArgKind,
    AssignmentExpr,
    BytesExpr,
    CallExpr,
    CastExpr,
    ComparisonExpr,
    ConditionalExpr,
    Decorator,
    DictExpr,
    DictionaryComprehension,
    Expression,
    FloatExpr,
    FuncBase,
    FuncDef,
    FuncItem,
    GeneratorExpr,
    IndexExpr,
    IntExpr,
    LambdaExpr,
    ListComprehension,
    ListExpr,
    MemberExpr,
    MypyFile,
    NameExpr,
    Node,
    OpExpr,
    OverloadedFuncDef,
    RefExpr,
    SetExpr,
    SliceExpr,
    StrExpr,
    SuperExpr,
    TupleExpr,
    TypeInfo,
    UnaryExpr,
    Var,
)

from compiler.front.basics import Unreachable, find_attribute, fold, refuse_protocol_field
from compiler.front.calls import CallConverter, refuse_left_out_receiver, refuse_overloaded, stored_alike
from compiler.front.convert_types import BYTE_ARRAY, DEQUE, DICT, LIST, type_info
from compiler.front.narrowing import answer, declared_at, is_narrowed, left_out, narrowed_in
from compiler.front.order import acts, matters
from compiler.tree import (
    Binary,
    BoolLit,
    BoolOp,
    BytesLit,
    CallBuiltin,
    CallFunction,
    CallMethod,
    Captured,
    Chain,
    ClassConstant,
    Compare,
    Conditional,
    Diagnostic,
    DictLit,
    EnumMember,
    Expr,
    Field,
    FormatPart,
    FString,
    Function,
    Global,
    IntLit,
    ListLit,
    Loc,
    Local,
    NoneLit,
    StrLit,
    TupleIndex,
    TupleLit,
    Unary,
    Walrus,
)
from compiler.types import (
    BOOL,
    INT,
    NEVER,
    NONE,
    U64,
    ArrayType,
    BytesType,
    ClassType,
    EnumType,
    IntType,
    ModuleType,
    OptionalType,
    RawArrayType,
    SpanType,
    StrType,
    StructType,
    TupleType,
    Type,
    TypeObject,
    TypeVariable,
)

if TYPE_CHECKING:
    from compiler.front.functions import Converter

PATTERNS = ("{:{}}", "{!r:{}}", "{!s:{}}", "{!a:{}}")  # what mypy makes of the parts of an f-string
LAST = (1 << 63) - 1  # the stop of a slice that has none
BYTE_STRINGS = "kernel.lang.runtime.byte_strings"
_METHOD_OF_OPERATOR = {
    "+": "__add__",
    "-": "__sub__",
    "*": "__mul__",
    "//": "__floordiv__",
    "%": "__mod__",
    "&": "__and__",
    "|": "__or__",
    "^": "__xor__",
    "<<": "__lshift__",
    ">>": "__rshift__",
    "==": "__eq__",
    "<": "__lt__",
    "<=": "__le__",
    ">": "__gt__",
    ">=": "__ge__",
}


# Expressions that the language has not, by mypy's names.
_OUT: dict[str, tuple[str, str, str]] = {
    "SetComprehension": ("KP114", "Kernel Python has no sets", "use dict[K, bool]"),
    "StarExpr": ("KP133", "* is out here", "write the items out, or append them in a loop"),
    "YieldExpr": ("KP171", "yield has no value", "write it as a statement"),
    "YieldFromExpr": ("KP171", "yield from is out", "yield the values in a for"),
    "AwaitExpr": ("KP131", "async is out", "sleep on a WaitQueue instead"),
    "ComplexExpr": ("KP113", "the kernel has no complex numbers", "keep two ints"),
    "EllipsisExpr": ("KP199", "... is no value", "write the value, or pass"),
    "SliceExpr": ("KP199", "a slice is only an index", "write it in brackets after a sequence"),
}


class ExpressionConverter(CallConverter):
    """Converts the expressions of one function. What lies in them with targets of its own is StatementConverter's."""

    if TYPE_CHECKING:

        def lambda_function(self, node: LambdaExpr, loc: Loc) -> Expr: ...

    def __init__(
        self, shared: Converter, tree: MypyFile, function: Function, outer: ExpressionConverter | None
    ) -> None:
        self.shared = shared
        self.types = shared.types
        self.tree = tree
        self.function = function
        self.outer = outer
        self.errors: list[Diagnostic] = []
        self.in_comprehension = 0  # how many comprehensions are around what is converted
        self.names: dict[Var, str] = {}
        self.taken: set[str] = set()  # the values of `names`,
        self.counts: dict[str, int] = {}  # and which number the next variable of a name gets
        self.nested: dict[FuncItem, Function] = {}

    # Places and types -------------------------------------------------------------------------------------------------

    def loc(self, node: Node) -> Loc:
        """Where a node stands."""
        return Loc(self.tree.path, node.line, max(node.column, 0), node.end_line or node.line, node.end_column or 0)

    def type_of(self, node: Expression) -> mt.Type:
        """mypy's type of an expression."""
        t = self.shared.type_map.get(node)
        if t is None:
            raise Unreachable
        return mt.get_proper_type(t)

    def convert_type(self, node: Expression) -> Type:
        """Our type of an expression."""
        return self.types.convert(self.type_of(node), self.loc(node))

    # Variables --------------------------------------------------------------------------------------------------------

    def declare_parameters(self, node: FuncItem) -> None:
        """Enter the parameters' names."""
        for argument in node.arguments:
            self.names[argument.variable] = argument.variable.name
            self.taken.add(argument.variable.name)

    def parameter_type(self, name: str) -> Type:
        """The declared type of a parameter."""
        for param in self.function.params:
            if param.name == name:
                return param.type
        return INT

    def local_name(self, var: Var, loc: Loc, declared: Type | None = None) -> str:
        """The name of a local, entered at its first use. Two variables of one name (comprehensions) are kept apart."""
        name = self.names.get(var)
        if name is not None:
            return name
        name, count = var.name, self.counts.get(var.name, 2)
        while name in self.taken or name in self.function.locals or any(p.name == name for p in self.function.params):
            name = f"{var.name}.{count}"
            count += 1
        self.counts[var.name] = count
        self.names[var] = name
        self.taken.add(name)
        if declared is not None:
            self.function.locals[name] = declared
        elif var.type is not None:
            t = self.types.convert(var.type, loc)
            # A read widens: only an annotation makes a local of a storage type.
            self.function.locals[name] = widened(t) if var.is_inferred else t
        return name

    def declared_type(self, name: str) -> Type | None:
        """The declared type of a local or parameter of this function."""
        found = self.function.locals.get(name)
        if found is None:
            found = next((p.type for p in self.function.params if p.name == name), None)
        return found

    def is_outer(self, var: Var) -> bool:
        """Whether the variable belongs to an enclosing function."""
        outer = self.outer
        while outer is not None:
            if var in outer.names:
                return var not in self.names
            outer = outer.outer
        return False

    # Expressions ------------------------------------------------------------------------------------------------------

    def expression(self, node: Expression) -> Expr:
        """Convert an expression."""
        loc = self.loc(node)
        match node:
            case IntExpr():
                return IntLit(loc, INT, node.value)
            case StrExpr():
                return StrLit(loc, StrType(), node.value)
            case BytesExpr():
                return BytesLit(loc, BytesType(), self.bytes_value(node.value, loc))
            case FloatExpr():
                raise Diagnostic(
                    "KP113", loc, "the kernel has no floats", "use an int in a smaller unit (ns, bytes, 1/1000)"
                )
            case NameExpr():
                return self._name(node, loc)
            case MemberExpr():
                return self.member(node, loc)
            case CallExpr():
                if node.analyzed is not None and isinstance(node.analyzed, CastExpr):
                    return self._cast(node.analyzed, loc)
                return self.call(node, loc)
            case CastExpr():
                return self._cast(node, loc)
            case OpExpr():
                return self._operator(node, loc)
            case ComparisonExpr():
                return self._comparison(node, loc)
            case UnaryExpr():
                return self._unary(node, loc)
            case IndexExpr():
                return self._index(node, loc)
            case ConditionalExpr():
                test = self.test(node.cond)
                self.refuse_left_out(node.cond)
                then, orelse = self.expression(node.if_expr), self.expression(node.else_expr)
                return Conditional(loc, common(self.convert_type(node), then, orelse), test, then, orelse)
            case ListExpr():
                elements = [self.expression(i) for i in node.items]
                return ListLit(loc, list_type(self.convert_type(node), elements), elements)
            case TupleExpr():
                items = [self.expression(i) for i in node.items]
                if node not in self.shared.type_map:  # mypy looks at the parts of `a, b = c, d` one by one
                    return TupleLit(loc, TupleType(tuple(i.type for i in items)), items)
                whole = self.convert_type(node)
                if isinstance(whole, TupleType) and len(whole.items) == len(items):
                    whole = TupleType(tuple(common(t, i) for t, i in zip(whole.items, items, strict=True)))
                return TupleLit(loc, whole, items)
            case DictExpr():
                pairs = []
                for key, value in node.items:
                    if key is None:
                        raise Diagnostic("KP170", loc, "** in a dict is out", "add the entries in a loop")
                    pairs.append((self.expression(key), self.expression(value)))
                return DictLit(loc, self.convert_type(node), pairs)
            case ListComprehension():
                return self.comprehension(node.generator, "list", self.convert_type(node), loc)
            case AssignmentExpr():
                assigned = self.expression(node.value)
                assert isinstance(node.target.node, Var)
                name = self.local_name(node.target.node, loc)
                return Walrus(loc, common(self.convert_type(node), assigned), name, assigned)
            case LambdaExpr():
                return self.lambda_function(node, loc)
            case SetExpr():
                raise Diagnostic("KP114", loc, "Kernel Python has no sets", "use dict[K, bool]")
            case GeneratorExpr():
                raise Diagnostic(
                    "KP171", loc, "a generator as a value", "use a list comprehension, or any/all/sum around it"
                )
            case DictionaryComprehension():
                raise Diagnostic("KP172", loc, "dict comprehensions are not supported", "fill the dict in a loop")
            case SuperExpr():
                raise Diagnostic("KP173", loc, "super() is only for calling a method", "read properties in a method")
            case _:
                code, message, hint = _OUT.get(type(node).__name__, ("KP199", f"{type(node).__name__} is out", ""))
                raise Diagnostic(code, loc, message, hint)

    def test(self, node: Expression) -> Expr:
        """An expression that is asked for its truth alone."""
        if isinstance(node, OpExpr) and node.op in ("and", "or"):
            return self._operator(node, self.loc(node), is_test=True)
        value = self.expression(node)
        declared = self._declared_place(node)
        if isinstance(declared, OptionalType) and value.type in (NONE, declared.inner):
            value.type = declared
        return value

    def asked(self, node: Expression) -> Expr:
        """An expression that is asked what it is: a place that others can change, whatever it was before."""
        value = self.expression(node)
        value.type = self._declared_place(node) or value.type
        return value

    def _declared_place(self, node: Expression) -> Type | None:
        """The declared type of a place of which mypy believes more, though others can change it."""
        if not is_narrowed(node, self.shared.type_map):
            return None
        return self.types.convert(declared_at(node, self.shared.type_map), self.loc(node))

    def refuse_left_out(self, test: Expression, *, answered: bool | None = None) -> None:
        """Refuse a test with this answer, or with any, as far as mypy knows, if it knows that of what may have
        changed.
        """
        known = answer(test, self.shared.type_map)
        if known is not None and answered in (None, known):
            place = narrowed_in(test, self.shared.type_map)
            assert place is not None
            raise left_out(place, self.loc(place))

    def bytes_value(self, text: str, loc: Loc) -> bytes:
        """mypy keeps a bytes literal as the inside of its repr."""
        import ast

        for quote in ("'", '"'):
            try:
                value = ast.literal_eval(f"b{quote}{text}{quote}")
            except (SyntaxError, ValueError):
                continue
            if isinstance(value, bytes):
                return value
        raise Diagnostic("KP174", loc, "this bytes literal cannot be read")

    def _cast(self, node: CastExpr, loc: Loc) -> Expr:
        hint = "assert isinstance(value, Class): the compiler relies on types"
        raise Diagnostic("KP252", loc, "cast is out", hint)

    def _name(self, node: NameExpr, loc: Loc) -> Expr:
        if node.name in ("True", "False") and node.fullname.startswith("builtins."):
            return BoolLit(loc, BOOL, node.name == "True")
        if node.name == "None" and node.fullname == "builtins.None":
            return NoneLit(loc, NONE)
        target = node.node
        if isinstance(target, Var) and node.kind == LDEF:
            t = self.convert_type(node)
            if self.is_outer(target):
                outer = self.outer
                while outer is not None and target not in outer.names:
                    outer = outer.outer
                if outer is None:
                    return Captured(loc, t, node.name)
                name = outer.names[target]
                declared = outer.declared_type(name)
                return Captured(loc, declared if isinstance(declared, IntType) else t, name)
            name = self.local_name(target, loc)
            declared = self.declared_type(name)
            return Local(loc, declared if isinstance(declared, IntType) else t, name)
        if isinstance(target, FuncDef) and node.kind == LDEF:
            return Local(loc, self.convert_type(node), node.name)
        return self.global_reference(node, loc)

    def global_reference(self, node: RefExpr, loc: Loc) -> Expr:
        """A module-level name, by where it is defined."""
        target = node.node
        if isinstance(target, MypyFile):
            return Global(loc, ModuleType(target.fullname), target.fullname, "", final=True)
        if isinstance(target, TypeInfo):
            module, name = target.fullname.rsplit(".", 1)
            t: Type = TypeObject(
                self.types.convert(mt.Instance(target, [mt.AnyType(mt.TypeOfAny.special_form)] * 0), loc)
            )
            return Global(loc, t, module, name, final=True)
        refuse_overloaded(target, loc)
        if isinstance(target, Var | FuncDef | Decorator):
            module, name = target.fullname.rsplit(".", 1)
            final = not isinstance(target, Var) or target.is_final
            t = self.convert_type(node)
            if isinstance(target, Var) and target.type is not None and not target.is_final:
                declared = self.types.convert(target.type, loc)
                t = t if declared != t else declared
            return Global(loc, t, module, name, final)
        raise Diagnostic("KP175", loc, f"{getattr(node, 'name', 'this')} cannot be used here")

    def member(self, node: MemberExpr, loc: Loc) -> Expr:
        """`value.name` that is not called."""
        if isinstance(node.expr, RefExpr) and isinstance(node.expr.node, MypyFile):
            return self.global_reference(node, loc)
        if isinstance(node.expr, RefExpr) and isinstance(node.expr.node, TypeInfo):
            return self._class_member(node, node.expr.node, loc)
        receiver = self.expression(node.expr)
        return self.attribute(receiver, type_info(self.type_of(node.expr)), node, loc)

    def _class_member(self, node: MemberExpr, info: TypeInfo, loc: Loc) -> Expr:
        owner, symbol = find_attribute(info, node.name)
        if info.is_enum and isinstance(symbol, Var) and owner == info.fullname:
            return EnumMember(loc, EnumType(info.fullname), info.fullname, node.name)
        if isinstance(symbol, Var) and not owner.startswith("builtins."):
            return ClassConstant(loc, self.convert_type(node), owner, node.name)
        if isinstance(symbol, Decorator) and symbol.func.is_static:
            return Global(loc, self.convert_type(node), owner, node.name, final=True)
        raise Diagnostic(
            "KP176", loc, f"{info.name}.{node.name} as a value", "only static methods can be function values"
        )

    def attribute(self, receiver: Expr, info: TypeInfo | None, node: MemberExpr, loc: Loc) -> Expr:
        """A field, property or constant of an instance."""
        t = receiver.type
        name = node.name
        if isinstance(t, EnumType) and name in ("value", "name"):
            if name == "value" and not isinstance(self.convert_type(node), IntType):
                raise Diagnostic(
                    "KP193",
                    loc,
                    "an enum whose values are not ints",
                    "keep what belongs to the members in a list, by value",
                )
            return CallBuiltin(loc, INT if name == "value" else StrType(), f"Enum.{name}", [receiver])
        if info is None:
            raise Diagnostic("KP177", loc, f"no field {name} here")
        owner, symbol = find_attribute(info, name)
        match symbol:
            case Var():
                if symbol.is_classvar or (
                    symbol.is_final and symbol.final_value is not None and not symbol.final_set_in_init
                ):
                    return self._instance_constant(receiver, owner, name, self.convert_type(node), loc)
                if symbol.is_property:
                    return CallMethod(loc, self.convert_type(node), receiver, owner, name, [], is_property=True)
                if isinstance(t, RawArrayType | SpanType | ArrayType):
                    return CallBuiltin(
                        loc, self.convert_type(node), f"{type(t).__name__.removesuffix('Type')}.{name}", [receiver]
                    )
                refuse_protocol_field(symbol, loc)
                return Field(loc, self.convert_type(node), receiver, owner, name)
            case Decorator() if symbol.func.is_property:
                if isinstance(t, RawArrayType | SpanType | ArrayType):
                    return CallBuiltin(
                        loc, self.convert_type(node), f"{type(t).__name__.removesuffix('Type')}.{name}", [receiver]
                    )
                return CallMethod(loc, self.convert_type(node), receiver, owner, name, [], is_property=True)
            case OverloadedFuncDef() if symbol.is_property:
                return CallMethod(loc, self.convert_type(node), receiver, owner, name, [], is_property=True)
            case Decorator() | FuncBase():
                raise Diagnostic("KP178", loc, f"the method {name} as a value", "call it, or use a plain function")
            case _:
                raise Diagnostic("KP177", loc, f"{info.name} has no field {name}")

    def _instance_constant(self, receiver: Expr, owner: str, name: str, t: Type, loc: Loc) -> Expr:
        """A class constant read through an instance, which may be of a subclass that gives it another value."""
        value: Expr = ClassConstant(loc, t, owner, name)
        below = self.shared.overriding(owner, name)
        if below and not isinstance(receiver, Local | Captured):
            message = f"{name} has another value in {below[0].name}, and which one is meant is known only at run time"
            raise Diagnostic(
                "KP249", loc, message, "name the object first, or make it a method that the subclass overrides"
            )
        refuse_left_out_receiver(receiver, name, owner, loc)
        for info in reversed(below):
            cls = self.types.convert(mt.Instance(info, list(info.defn.type_vars)), loc)
            test = CallBuiltin(loc, BOOL, "isinstance", [receiver], [cls])
            value = Conditional(loc, t, test, ClassConstant(loc, t, info.fullname, name), value)
        return value

    # Operators --------------------------------------------------------------------------------------------------------

    def _operator(self, node: OpExpr, loc: Loc, is_test: bool = False) -> Expr:
        if node.op in ("and", "or"):
            left = self.test(node.left) if is_test else self.expression(node.left)
            self.refuse_left_out(node.left, answered=node.op == "or")
            try:
                right = self.test(node.right) if is_test else self.expression(node.right)
            except Unreachable:  # as far as mypy knows
                right = CallBuiltin(loc, NEVER, "unreachable", [])
                return BoolOp(loc, left.type, node.op, left, right)
            return BoolOp(loc, common(self.convert_type(node), left, right), node.op, left, right)
        if node.op == "/":
            raise Diagnostic("KP180", loc, "/ makes a float", "use // (it rounds down)")
        if node.op == "@":
            raise Diagnostic("KP181", loc, "@ is out", "call a method")
        left = self.expression(node.left)
        right = self.expression(node.right)
        t = self.convert_type(node)
        if node.op == "**":
            if isinstance(left, IntLit) and isinstance(right, IntLit) and 0 <= right.value < 64:
                return IntLit(loc, INT, left.value**right.value)
            raise Diagnostic("KP182", loc, "** is only for constants", "multiply, or shift")
        if isinstance(left.type, ClassType | StructType):
            return self._operator_method(node, left, right, t, loc)
        if isinstance(left.type, StrType) and node.op == "%":
            raise Diagnostic("KP183", loc, "% formatting is out", "use an f-string")
        if left.type == BOOL or right.type == BOOL:
            if node.op not in ("&", "|", "^"):
                raise Diagnostic("KP184", loc, "arithmetic on a bool", "write int(b), or use and/or/not")
        if isinstance(left, IntLit) and isinstance(right, IntLit):
            folded = fold(node.op, left.value, right.value)
            if folded is not None:
                return IntLit(loc, INT, folded)
        return Binary(loc, t, node.op, left, right)

    def _operator_method(self, node: OpExpr, left: Expr, right: Expr, t: Type, loc: Loc) -> Expr:
        assert isinstance(left.type, ClassType | StructType)
        owner = left.type.name
        if owner in (LIST, BYTE_ARRAY) and node.op in ("+", "*"):
            name = "concat" if node.op == "+" else "repeat"
            return CallMethod(loc, stored_alike(t, left.type), left, owner, name, [right])
        info = type_info(self.type_of(node.left))
        method = _METHOD_OF_OPERATOR.get(node.op, "")
        if info is not None and info.get(method) is not None:
            return CallMethod(loc, t, left, find_attribute(info, method)[0], method, [right])
        short = owner.rsplit(".", 1)[-1]
        raise Diagnostic("KP185", loc, f"no operator {node.op} for {short}", "call a method, or write a loop")

    def _unary(self, node: UnaryExpr, loc: Loc) -> Expr:
        operand = self.test(node.expr) if node.op == "not" else self.expression(node.expr)
        if node.op == "-" and isinstance(operand, IntLit):
            return IntLit(loc, INT, -operand.value)
        if node.op == "~" and isinstance(operand, IntLit):
            return IntLit(loc, INT, ~operand.value)
        return Unary(loc, self.convert_type(node), node.op, operand)

    def _comparison(self, node: ComparisonExpr, loc: Loc) -> Expr:
        if len(node.operators) == 1:
            return self._compare(node.operators[0], node.operands[0], node.operands[1], loc)
        operands = [self.expression(o) for o in node.operands]
        if any(op in ("in", "not in") for op in node.operators) or any(isinstance(o.type, ClassType) for o in operands):
            raise Diagnostic(
                "KP186", loc, "a chain of comparisons is for numbers and strings", "join the comparisons with and"
            )
        return Chain(loc, BOOL, operands, list(node.operators))

    def _compare(self, op: str, left_node: Expression, right_node: Expression, loc: Loc) -> Expr:
        identity = op in ("is", "is not") or self.convert_type(left_node) == NONE
        left = self.asked(left_node) if identity else self.expression(left_node)
        right = self.asked(right_node) if identity else self.expression(right_node)
        if op in ("in", "not in"):
            found = self._contains(left, right, right_node, loc)
            return Unary(loc, BOOL, "not", found) if op == "not in" else found
        if isinstance(left.type, ClassType | StructType) and op in _METHOD_OF_OPERATOR | {"!=": ""}:
            info = type_info(self.type_of(left_node))
            method = "__eq__" if op == "!=" else _METHOD_OF_OPERATOR[op]
            owner, symbol = find_attribute(info, method) if info is not None else ("", None)
            built_in = left.type.name in (LIST, BYTE_ARRAY, DEQUE, DICT)
            if built_in:
                owner = left.type.name
            if (built_in or symbol is not None) and not owner.startswith("builtins."):
                called = CallMethod(loc, BOOL, left, owner, method, [right])
                return Unary(loc, BOOL, "not", called) if op == "!=" else called
        return Compare(loc, BOOL, op, left, right)

    def _contains(self, left: Expr, right: Expr, right_node: Expression, loc: Loc) -> Expr:
        t = right.type
        if matters(left, right):  # a call would compute the right side first
            if isinstance(t, ClassType) and t.name not in (LIST, DICT, DEQUE, BYTE_ARRAY):
                hint = "compute the left side before"
                raise Diagnostic("KP215", loc, "the right side of this `in` would be computed first", hint)
            return Compare(loc, BOOL, "in", left, right)
        if isinstance(t, BytesType):
            return CallBuiltin(loc, BOOL, "bytes.__contains__", [right, left])
        if isinstance(t, StrType):
            return CallBuiltin(loc, BOOL, "str.__contains__", [right, left])
        if isinstance(t, SpanType | ArrayType):
            return CallBuiltin(loc, BOOL, f"{type(t).__name__.removesuffix('Type')}.__contains__", [right, left])
        if isinstance(t, ClassType):
            owner = t.name
            info = type_info(self.type_of(right_node))
            if owner not in (LIST, DICT, DEQUE, BYTE_ARRAY) and info is not None:
                owner = find_attribute(info, "__contains__")[0]
            return CallMethod(loc, BOOL, right, owner, "__contains__", [left])
        return Compare(loc, BOOL, "in", left, right)

    # Index, slice -----------------------------------------------------------------------------------------------------

    def slice_bounds(self, node: SliceExpr, loc: Loc) -> tuple[Expr, Expr]:
        """Start and stop of a slice, with 0 and LAST for what is left out."""
        if node.stride is not None:
            raise Diagnostic("KP187", loc, "slices have no step", "write a loop")
        start = self.expression(node.begin_index) if node.begin_index is not None else IntLit(loc, INT, 0)
        stop = self.expression(node.end_index) if node.end_index is not None else IntLit(loc, INT, LAST)
        return start, stop

    def _index(self, node: IndexExpr, loc: Loc) -> Expr:
        base = self.expression(node.base)
        t = base.type
        if isinstance(node.index, SliceExpr):
            start, stop = self.slice_bounds(node.index, loc)
            result = self.convert_type(node)
            if isinstance(t, ClassType):
                return CallMethod(loc, stored_alike(result, t), base, t.name, "slice", [start, stop])
            return CallBuiltin(loc, result, f"{value_type_name(t, loc)}.slice", [base, start, stop])
        index = self.expression(node.index)
        if isinstance(t, TupleType):
            if not isinstance(index, IntLit) or not -len(t.items) <= index.value < len(t.items):
                raise Diagnostic("KP188", loc, "a tuple is indexed by a literal", "unpack it")
            return TupleIndex(loc, self.convert_type(node), base, index.value % len(t.items))
        result = self.convert_type(node)
        if isinstance(t, ClassType):
            owner = t.name
            if owner in (LIST, DEQUE, BYTE_ARRAY) and isinstance(index, IntLit) and index.value < 0:
                return CallMethod(loc, result, base, owner, "from_end", [IntLit(loc, INT, -index.value)])
            info = type_info(self.type_of(node.base))
            if owner not in (LIST, DICT, DEQUE, BYTE_ARRAY) and info is not None:
                owner = find_attribute(info, "__getitem__")[0]
            return CallMethod(loc, result, base, owner, "__getitem__", [index])
        name = value_type_name(t, loc)
        if isinstance(index, IntLit) and index.value < 0:
            if name == "bytes":
                return CallFunction(loc, INT, f"{BYTE_STRINGS}.bytes_from_end", [base, IntLit(loc, INT, -index.value)])
            if not isinstance(base, Local | Captured | Field | Global) or acts(base):
                raise Diagnostic("KP196", loc, "an index from the end of what is computed", "name it first")
            length = CallBuiltin(loc, INT, "len", [base])
            index = Binary(loc, INT, "-", length, IntLit(loc, INT, -index.value))
        return CallBuiltin(loc, result, f"{name}.__getitem__", [base, index])

    # f-strings --------------------------------------------------------------------------------------------------------

    def format_string(self, node: CallExpr, loc: Loc) -> Expr | None:
        """mypy turns f"a{b:x}" into "".join(["a", "{:{}}".format(b, "x")]): recognise it and turn it back."""
        part = self._format_part(node)
        if part is not None:
            return FString(loc, StrType(), [part])
        callee = node.callee
        if not (
            isinstance(callee, MemberExpr)
            and callee.name == "join"
            and isinstance(callee.expr, StrExpr)
            and callee.expr.value == ""
        ):
            return None
        if len(node.args) != 1 or not isinstance(node.args[0], ListExpr):
            return None
        parts: list[Expr | FormatPart] = []
        for item in node.args[0].items:
            if isinstance(item, StrExpr):
                parts.append(StrLit(loc, StrType(), item.value))
                continue
            found = self._format_part(item) if isinstance(item, CallExpr) else None
            if found is None:
                return None
            parts.append(found)
        return FString(loc, StrType(), parts)

    def _format_part(self, node: CallExpr) -> FormatPart | None:
        callee = node.callee
        if not (isinstance(callee, MemberExpr) and callee.name == "format" and isinstance(callee.expr, StrExpr)):
            return None
        pattern = callee.expr.value
        if pattern not in PATTERNS or len(node.args) != 2 or node.arg_kinds != [ArgKind.ARG_POS, ArgKind.ARG_POS]:
            return None
        spec = node.args[1]
        if not isinstance(spec, StrExpr):
            raise Diagnostic("KP189", self.loc(node), "a format that is computed", "write the width into the f-string")
        conversion = pattern[1:-4].removeprefix("!")
        return FormatPart(self.expression(node.args[0]), spec.value, conversion)


def widened(t: Type) -> Type:
    """The type of a value that was read from a place of type `t`."""
    return INT if isinstance(t, IntType) and t != U64 else t


def list_type(t: Type, elements: list[Expr]) -> Type:
    """The type of a list that mypy calls a list of objects, because `any` and `all` take such."""
    of_objects = isinstance(t, ClassType) and t.name == LIST and t.args == (ClassType("builtins.object"),)
    kinds = {widened(element.type) for element in elements}
    return ClassType(LIST, (kinds.pop(),)) if of_objects and len(kinds) == 1 else t


def common(t: Type, *values: Expr) -> Type:
    """mypy's type of an expression that gives one of `values`: a storage type only if all of them surely fit in it."""
    if isinstance(t, IntType) and t != U64 and not all(v.type == t for v in values):
        return INT
    return t


def value_type_name(t: Type, loc: Loc) -> str:
    """The name by which the builtin methods of a value type are called."""
    match t:
        case BytesType():
            return "bytes"
        case StrType():
            return "str"
        case SpanType():
            return "Span"
        case ArrayType():
            return "Array"
        case RawArrayType():
            return "RawArray"
        case IntType():
            return "int"
        case OptionalType():
            raise Diagnostic("KP102", loc, "this may be None", "test for None first")
        case TypeVariable():
            raise Diagnostic("KP195", loc, "nothing is known of this type", "give the type variable a bound")
        case _:
            raise Diagnostic("KP192", loc, "this has no elements")

"""Calls: of functions, methods, classes, builtins; arguments put in the order of parameters, defaults filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mypy.types as mt
from mypy.nodes import (
    LDEF,
    ArgKind,
    CallExpr,
    Decorator,
    Expression,
    FuncDef,
    FuncItem,
    GeneratorExpr,
    IndexExpr,
    IntExpr,
    LambdaExpr,
    MemberExpr,
    MypyFile,
    NameExpr,
    Node,
    OpExpr,
    OverloadedFuncDef,
    RefExpr,
    StrExpr,
    SuperExpr,
    SymbolNode,
    TupleExpr,
    TypeAlias,
    TypeApplication,
    TypeInfo,
    Var,
)

from compiler.front.basics import Unreachable, find_attribute, fold
from compiler.front.convert_types import BYTE_ARRAY, DEQUE, DICT, LIST, TypeConverter, is_opaque_int, type_info, unify
from compiler.front.flows import same_storage
from compiler.front.order import acts, matters
from compiler.tree import (
    BoolLit,
    BytesLit,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Captured,
    Cast,
    ClassConstant,
    Diagnostic,
    DictLit,
    EnumFromInt,
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
    New,
    NoneLit,
    StrLit,
)
from compiler.types import (
    BOOL,
    BYTES,
    INT,
    NONE,
    STORAGE_INTS,
    STR,
    U64,
    ArrayType,
    BytesType,
    ClassType,
    EnumType,
    IntType,
    OptionalType,
    RawArrayType,
    SpanType,
    StrType,
    StructType,
    Type,
    TypeObject,
    WeakType,
    substitute,
)

if TYPE_CHECKING:
    from compiler.front.functions import Converter

_BUILTINS = (
    "abs",
    "min",
    "max",
    "ord",
    "chr",
    "hash",
    "divmod",
    "sorted",
    "any",
    "all",
    "sum",
    "range",
    "enumerate",
    "zip",
    "reversed",
    "id",
)
_OF_A_CLASS = ("sizeof", "offsetof", "struct_at", "unsafe.object_at", "unsafe.own_object", "unsafe.struct_at_address")
_CONTAINER_MODULE = "kernel.lang.runtime.containers"
_MISSING = object()


IN_ORDER = "leave them out, or give them in the order of the parameters"
METHODS = "docs/language.md lists the methods of each type"
BUILTINS = "docs/language.md lists the built-in functions; for a text, write an f-string"
_CONSTANT = (IntLit, BoolLit, StrLit, BytesLit, NoneLit, Global, EnumMember, ClassConstant)
_INERT = (*_CONSTANT, Local, Captured)


class CallConverter:
    """The part of ExpressionConverter that deals with calls."""

    shared: Converter
    types: TypeConverter
    function: Function
    outer: Any
    in_comprehension: int
    nested: dict[FuncItem, Function]

    if TYPE_CHECKING:

        def loc(self, node: Node) -> Loc: ...
        def type_of(self, node: Expression) -> mt.Type: ...
        def convert_type(self, node: Expression) -> Type: ...
        def expression(self, node: Expression) -> Expr: ...

        def asked(self, node: Expression) -> Expr: ...
        def format_string(self, node: CallExpr, loc: Loc) -> Expr | None: ...
        def comprehension(self, node: GeneratorExpr, kind: str, t: Type, loc: Loc) -> Expr: ...
        def attribute(self, receiver: Expr, info: TypeInfo | None, node: MemberExpr, loc: Loc) -> Expr: ...

    def call(self, node: CallExpr, loc: Loc) -> Expr:
        """Convert a call."""
        text = self.format_string(node, loc)
        if text is not None:
            return text
        if any(k.is_star() for k in node.arg_kinds):
            raise Diagnostic("KP133", loc, "* and ** in a call are out", "write the arguments out")
        callee = node.callee
        if isinstance(callee, TypeApplication):
            return self._construct(node, callee.expr, loc)
        if isinstance(callee, IndexExpr) and isinstance(callee.analyzed, TypeApplication):
            return self._construct(node, callee.analyzed.expr, loc)
        if isinstance(callee, SuperExpr):
            return self._super_call(node, callee, loc)
        if isinstance(callee, RefExpr):
            target = callee.node
            if isinstance(target, TypeInfo | TypeAlias):
                return self._construct(node, callee, loc)
            if isinstance(callee, NameExpr) and isinstance(target, FuncDef) and target in self._nested_functions():
                return self._call_value(node, loc)
            if isinstance(callee, NameExpr) and isinstance(target, FuncDef) and callee.kind == LDEF:
                hint = "write it as a function of the module"
                message = f"{target.name} is a nested function, and called here before it is complete"
                raise Diagnostic("KP218", loc, message, hint)
            is_module_member = isinstance(callee, NameExpr) or (
                isinstance(callee, MemberExpr)
                and isinstance(callee.expr, RefExpr)
                and isinstance(callee.expr.node, MypyFile)
            )
            if is_module_member and isinstance(target, FuncDef | Decorator | OverloadedFuncDef):
                return self._call_function(node, callee.fullname, target, loc)
            if is_module_member and isinstance(target, Var):
                return self._call_variable(node, callee.fullname, loc)
        if isinstance(callee, MemberExpr):
            return self._call_member(node, callee, loc)
        return self._call_value(node, loc)

    def _nested_functions(self) -> dict[FuncItem, Function]:
        found = dict(self.nested)
        outer = self.outer
        while outer is not None:
            found.update(outer.nested)
            outer = outer.outer
        return found

    def _call_value(self, node: CallExpr, loc: Loc) -> Expr:
        callee = self.expression(node.callee)
        if any(n is not None for n in node.arg_names):
            raise Diagnostic("KP206", loc, "a call of a function value takes no keyword arguments", IN_ORDER)
        return CallValue(loc, self.convert_type(node), callee, [self.expression(a) for a in node.args])

    def _call_variable(self, node: CallExpr, fullname: str, loc: Loc) -> Expr:
        """A global or local variable that holds a function (or a NewType)."""
        return self._call_value(node, loc)

    # Functions --------------------------------------------------------------------------------------------------------

    def _call_function(self, node: CallExpr, fullname: str, target: SymbolNode, loc: Loc) -> Expr:
        if fullname.startswith("builtins."):
            return self.builtin(node, fullname.removeprefix("builtins."), loc)
        if fullname == "typing.cast":
            raise Diagnostic(
                "KP252", loc, "cast is out", "assert isinstance(value, Class): the compiler relies on types"
            )
        if fullname == "typing.assert_never":
            return CallBuiltin(loc, self.convert_type(node), "unreachable", [])
        prelude = prelude_name(fullname)
        if prelude is not None:
            return self._intrinsic(node, prelude, loc)
        refuse_overloaded(target, loc)
        definition = function_definition(target)
        assert definition is not None
        args = self.arguments(node, definition, 0, loc)
        env = self.type_arguments(definition, args, self.convert_type(node), loc)
        return CallFunction(loc, self._result(node, definition, env), definition.fullname, args, env)

    def _result(self, node: CallExpr, definition: FuncDef, env: dict[str, Type]) -> Type:
        """The type of a call. mypy may say u8 where our type arguments say int, since a read of a local widened."""
        t = self.convert_type(node)
        if isinstance(t, IntType) and isinstance(definition.type, mt.CallableType):
            declared = substitute(self.types.convert(definition.type.ret_type, self.loc(node)), env)
            if isinstance(declared, IntType):
                return declared
        return t

    def _intrinsic(self, node: CallExpr, name: str, loc: Loc) -> Expr:
        """A function of the prelude that the back end knows."""
        args: list[Expr] = []
        operands: list[Type] = []
        text = ""
        for arg in node.args:
            if isinstance(arg, RefExpr) and isinstance(arg.node, TypeInfo):
                operands.append(self._type_operand(arg))
            elif isinstance(arg, StrExpr) and name in ("offsetof", "unsafe.symbol_address"):
                text = arg.value
            elif isinstance(arg, IndexExpr) and isinstance(arg.analyzed, TypeApplication):
                operands.append(self._type_operand(arg))
            else:
                args.append(self.expression(arg))
        if name in _OF_A_CLASS and not operands:
            raise Diagnostic("KP201", loc, "a class is needed here")
        return CallBuiltin(loc, self.convert_type(node), name, args, operands, text)

    def _type_operand(self, node: Expression) -> Type:
        t = self.convert_type(node)
        if isinstance(t, TypeObject):
            return t.instance
        raise Diagnostic("KP201", self.loc(node), "a class is needed here", "name the class itself")

    def arguments(self, node: CallExpr, definition: FuncDef, skip: int, loc: Loc) -> list[Expr]:
        """The arguments in the order of the parameters from `skip` on, defaults filled in."""
        if not hasattr(definition, "arguments"):  # mypy has it from its cache of Python's library
            hint = "call what is written in Kernel Python, or compute it at import"
            raise Diagnostic("KP910", loc, f"{definition.fullname} is not a function that can be compiled", hint)
        parameters = definition.arguments[skip:]
        if any(p.kind.is_star() for p in parameters):
            message = f"{definition.name} takes *args or **kwargs"
            raise Diagnostic("KP133", loc, message, "pass a list, or write the parameters out")
        found: list[Expr | None] = [None] * len(parameters)
        order: list[int] = []  # the parameters of arguments that do something, as written
        position = 0
        for arg, kind, name in zip(node.args, node.arg_kinds, node.arg_names, strict=True):
            value = self.expression(arg)
            place = position
            if kind == ArgKind.ARG_POS:
                position += 1
            else:
                place = next(i for i, p in enumerate(parameters) if p.variable.name == name)
            found[place] = value
            if not isinstance(value, _INERT):
                order.append(place)
        if order != sorted(order):
            raise Diagnostic(
                "KP215",
                loc,
                "arguments in another order than the parameters",
                "write them in order, or compute them before",
            )
        result: list[Expr] = []
        for value_or_none, parameter in zip(found, parameters, strict=True):
            if value_or_none is not None:
                result.append(value_or_none)
            elif parameter.initializer is not None:
                result.append(self._default(parameter.initializer, definition, loc))
            else:
                raise Diagnostic("KP202", loc, f"no argument for {parameter.variable.name}")
        return result

    def raised_class(self, info: TypeInfo, loc: Loc) -> Expr:
        """`raise C` without a call: C with the defaults of its arguments."""
        owner, symbol = find_attribute(info, "__init__")
        definition = function_definition(symbol)
        args: list[Expr] = []
        if definition is not None and not owner.startswith("builtins."):
            for parameter in definition.arguments[1:]:
                if parameter.initializer is None:
                    raise Diagnostic("KP202", loc, f"no argument for {parameter.variable.name}")
                args.append(self._default(parameter.initializer, definition, loc))
        return New(loc, ClassType(info.fullname), args)

    def _named_default(self, initializer: Expression, loc: Loc) -> Expr | None:
        """A default that is a name, with the type of its variable, or an expression of numbers: mypy does not always
        keep the types of defaults (it depends on the order in which it checks modules that import each other, and so on
        the hash seed).
        """
        if isinstance(initializer, IntExpr):
            return IntLit(loc, INT, initializer.value)
        if isinstance(initializer, OpExpr):
            left, right = self._named_default(initializer.left, loc), self._named_default(initializer.right, loc)
            if isinstance(left, IntLit) and isinstance(right, IntLit):
                folded = fold(initializer.op, left.value, right.value)
                return IntLit(loc, INT, folded) if folded is not None else None
        if not isinstance(initializer, RefExpr) or not isinstance(initializer.node, Var):
            return None
        variable = initializer.node
        module, name = variable.fullname.rsplit(".", 1)
        return Global(loc, self.types.convert(variable.type, loc), module, name, variable.is_final)

    def _default(self, initializer: Expression, definition: FuncDef, loc: Loc) -> Expr:
        """A default: an expression of the place where the function is defined, independent of anything local."""
        value: Expr | None
        try:
            value = self.expression(initializer)
        except Unreachable:
            value = self._named_default(initializer, loc)
        if isinstance(value, ListLit | DictLit | New):
            raise Diagnostic("KP203", loc, f"a mutable default in {definition.name}", "use None, or pass the list")
        if not isinstance(value, _CONSTANT) or (isinstance(value, Global) and not value.final):
            raise Diagnostic(
                "KP203", loc, f"a default in {definition.name} that is not constant", "use a literal or a Final name"
            )
        value.loc = loc
        return value

    def type_arguments(self, definition: FuncDef, args: list[Expr], result: Type, loc: Loc) -> dict[str, Type]:
        """What the type variables of a generic function (and, for methods, of its class) stand for in this call."""
        signature = definition.type
        if not isinstance(signature, mt.CallableType):
            return {}
        formals = [self.types.convert(t, loc) for t in signature.arg_types]
        env: dict[str, Type] = {}
        for formal, actual in zip(formals, args, strict=False):
            unify(formal, actual.type, env)
        own = self.types.convert(signature.ret_type, loc)
        unify(own, result, env)
        return env

    # Methods ----------------------------------------------------------------------------------------------------------

    def _super_call(self, node: CallExpr, callee: SuperExpr, loc: Loc) -> Expr:
        info = callee.info
        assert info is not None
        self._check_super(callee, info, loc)
        for base in info.mro[1:]:
            symbol = base.names.get(callee.name)
            if symbol is None:
                continue
            if base.fullname.startswith("builtins.") or base.fullname.startswith("typing."):
                break
            refuse_overloaded(symbol.node, loc)
            definition = function_definition(symbol.node)
            if definition is None:
                break
            receiver = Local(
                loc, self.types.convert(mt.Instance(info, list(info.defn.type_vars)), loc), self.function.params[0].name
            )
            args: list[Expr] = [receiver, *self.arguments(node, definition, 1, loc)]
            env = self.type_arguments(definition, args, self.convert_type(node), loc)
            return CallFunction(loc, self.convert_type(node), definition.fullname, args, env)
        if callee.name == "__init__":
            return CallBuiltin(loc, NONE, "pass", [])
        raise Diagnostic("KP204", loc, f"no base class has {callee.name}")

    def _check_super(self, callee: SuperExpr, info: TypeInfo, loc: Loc) -> None:
        """`super()` is of the class that it stands in, and of the method's own object."""
        hint = "call the method of the base class by its class: Base.method(self)"
        if self.outer is not None or self.in_comprehension:
            raise Diagnostic("KP173", loc, "super() in a function or comprehension inside the method", hint)
        args = callee.call.args
        own = self.function.params[0].name if self.function.params else ""
        match args:
            case []:
                return
            case [RefExpr(node=cls), NameExpr(name=name)] if cls is info and name == own:
                return
        raise Diagnostic("KP173", loc, "super() of another class or object", hint)

    def _call_member(self, node: CallExpr, callee: MemberExpr, loc: Loc) -> Expr:
        base = callee.expr
        if isinstance(base, RefExpr) and isinstance(base.node, TypeInfo):
            return self._class_call(node, callee, base.node, loc)
        receiver = self.expression(base)
        t = receiver.type
        if isinstance(t, OptionalType):
            raise Diagnostic("KP102", loc, "this may be None", "test for None first")
        if isinstance(t, ClassType) and t.name in (LIST, DICT, DEQUE, BYTE_ARRAY):
            return self.container_call(node, callee.name, receiver, loc)
        info = type_info(self.type_of(base))
        if isinstance(t, BytesType | StrType | SpanType | ArrayType | IntType | RawArrayType | WeakType):
            return self._value_call(node, callee.name, receiver, info, loc)
        if isinstance(t, StructType) and callee.name == "copy":
            return CallBuiltin(loc, t, "struct.copy", [receiver])
        if info is None:
            raise Diagnostic("KP205", loc, f"no method {callee.name} here", METHODS)
        owner, symbol = find_attribute(info, callee.name)
        refuse_overloaded(symbol, loc)
        if isinstance(symbol, Var):
            if any(n is not None for n in node.arg_names):
                raise Diagnostic("KP206", loc, "a call of a function value takes no keyword arguments", IN_ORDER)
            return CallValue(
                loc,
                self.convert_type(node),
                self.attribute(receiver, info, callee, loc),
                [self.expression(a) for a in node.args],
            )
        definition = function_definition(symbol)
        if definition is None:
            raise Diagnostic("KP205", loc, f"{info.name} has no method {callee.name}", METHODS)
        if definition.is_static:
            refuse_left_out_receiver(receiver, callee.name, owner, loc)
            if below := self.shared.overriding(info.fullname, callee.name):
                other = f"{callee.name} is another one in {below[0].name}"
                message = f"{other}, and which is meant is known only at run time"
                raise Diagnostic("KP249", loc, message, "call it by its class, or make it a method of the object")
            args = self.arguments(node, definition, 0, loc)
            return CallFunction(
                loc,
                self.convert_type(node),
                definition.fullname,
                args,
                self.type_arguments(definition, args, self.convert_type(node), loc),
            )
        self._check_keywords(node, definition, owner, loc)
        args = self.arguments(node, definition, 1, loc)
        result = self.convert_type(node)
        env = self.type_arguments(definition, [receiver, *args], result, loc)
        own = {k: v for k, v in env.items() if k.startswith(definition.fullname + ".")}
        return CallMethod(loc, result, receiver, owner, callee.name, args, type_args=own)

    def _check_keywords(self, node: CallExpr, definition: FuncDef, owner: str, loc: Loc) -> None:
        """A keyword means the parameter of that name in whichever override runs: it must stand at the same place."""
        for keyword in (name for name in node.arg_names if name is not None):
            place = [a.variable.name for a in definition.arguments].index(keyword)
            for info in self.shared.overriding(owner, definition.name):
                other = function_definition(info.names[definition.name].node)
                if other is not None and [a.variable.name for a in other.arguments][place : place + 1] != [keyword]:
                    message = f"{info.name}.{definition.name} has no parameter {keyword} at this place"
                    raise Diagnostic("KP262", loc, message, "pass it by position, or give the parameters one name")

    def _value_call(self, node: CallExpr, name: str, receiver: Expr, info: TypeInfo | None, loc: Loc) -> Expr:
        """A method of bytes, str, Span, Array, int, RawArray, Weak."""
        t = receiver.type
        kinds: dict[type[Type], str] = {
            BytesType: "bytes",
            StrType: "str",
            SpanType: "Span",
            ArrayType: "Array",
            IntType: "int",
            RawArrayType: "RawArray",
            WeakType: "Weak",
        }
        symbol = find_attribute(info, name)[1] if info is not None else None
        definition = function_definition(symbol)
        prefix = kinds[type(t)]
        if definition is not None and info is not None and info.fullname.startswith("kernel."):
            args = self.arguments(node, definition, 1, loc)
        elif name == "to_bytes":
            args = self.byte_conversion(node, ("length", "byteorder"), loc)
        else:
            if any(n is not None for n in node.arg_names):
                raise Diagnostic("KP206", loc, f"{name} takes no keyword arguments here", IN_ORDER)
            args = [self.expression(a) for a in node.args]
        if prefix in ("str", "bytes") and name in ("encode", "decode"):
            if len(args) > 1 or not all(isinstance(a, StrLit) and a.value.lower() in ("utf-8", "utf8") for a in args):
                raise Diagnostic("KP214", loc, f"{name} knows only UTF-8, and only strictly", f"write .{name}()")
            args = []
        return CallBuiltin(loc, self.convert_type(node), f"{prefix}.{name}", [receiver, *args])

    def byte_conversion(self, node: CallExpr, names: tuple[str, str], loc: Loc) -> list[Expr]:
        """The two arguments of int.to_bytes and int.from_bytes, in order."""
        found: dict[str, Expr] = {}
        for i, (arg, name) in enumerate(zip(node.args, node.arg_names, strict=True)):
            if name == "signed":
                if not (isinstance(arg, NameExpr) and arg.name == "False"):
                    raise Diagnostic(
                        "KP217", loc, "a signed conversion of bytes", "convert it unsigned, and cast: i32(…)"
                    )
                continue
            found[name or names[min(i, 1)]] = self.expression(arg)
        if set(found) != set(names):
            raise Diagnostic(
                "KP217", loc, "a conversion of bytes without its byte order", 'write the size and "little" or "big"'
            )
        return [found[name] for name in names]

    def container_call(self, node: CallExpr, name: str, receiver: Expr, loc: Loc) -> Expr:
        """A method of list, dict, deque or bytearray, by the names of the run-time library."""
        assert isinstance(receiver.type, ClassType)
        owner = receiver.type.name
        args = [self.expression(a) for a in node.args]
        result = self.convert_type(node)
        if any(n is not None for n in node.arg_names):
            raise Diagnostic("KP206", loc, f"{name} takes no keyword arguments here", IN_ORDER)
        if name == "extend" and owner in (BYTE_ARRAY, LIST, DEQUE):
            return self.extend_call(receiver, args[0], loc)
        if owner == DICT:
            if name == "get" and len(args) == 2:
                if isinstance(args[1], NoneLit):
                    args.pop()
                else:
                    name = "get_default"
            elif name == "get" and isinstance(args[0], CallBuiltin) and args[0].name == "bytes.slice":
                return CallMethod(loc, result, receiver, owner, "get_part", args[0].args)  # creates no slice
            elif name == "pop" and len(args) == 2:
                if isinstance(args[1], NoneLit):
                    args.pop()
                    name = "pop_optional"
                else:
                    name = "pop_default"
        if name == "pop" and owner in (LIST, BYTE_ARRAY) and not args:
            args = [IntLit(loc, INT, -1)]
        if name == "pop" and owner in (LIST, BYTE_ARRAY) and isinstance(args[0], IntLit) and args[0].value == -1:
            return (
                CallMethod(loc, result, receiver, owner, "pop_last", [])
                if self._has("pop_last", owner)
                else CallMethod(loc, result, receiver, owner, "pop", [])
            )
        if name == "pop" and owner in (LIST, BYTE_ARRAY) and self._has("pop_at", owner):
            name = "pop_at"
        return CallMethod(loc, result, receiver, owner, name, args)

    def _has(self, method: str, owner: str) -> bool:
        """Whether the run-time library's container has a method."""
        tree = self.shared.trees.get(_CONTAINER_MODULE)
        if tree is None:
            return False
        symbol = tree.names.get(owner.rsplit(".", 1)[-1])
        return symbol is not None and isinstance(symbol.node, TypeInfo) and method in symbol.node.names

    def extend_call(self, receiver: Expr, value: Expr, loc: Loc) -> Expr:
        """`x += y` and `x.extend(y)`."""
        assert isinstance(receiver.type, ClassType)
        owner = receiver.type.name
        method = "extend"
        if owner == BYTE_ARRAY:
            if isinstance(value.type, BytesType):
                method = "extend_bytes"
            elif isinstance(value.type, SpanType):
                method = "extend_span"
            elif isinstance(value.type, ClassType) and value.type.name == BYTE_ARRAY:
                method = "extend_array"
            elif isinstance(value.type, ArrayType):
                value = CallBuiltin(loc, SpanType(value.type.element), "Array.span", [value])
                method = "extend_span"
        return CallMethod(loc, NONE, receiver, owner, method, [value])

    def _class_call(self, node: CallExpr, callee: MemberExpr, info: TypeInfo, loc: Loc) -> Expr:
        """`C.f(…)`: a static method, or a method called by its class."""
        if info.fullname == "builtins.int" and callee.name == "from_bytes":
            return CallBuiltin(loc, INT, "int.from_bytes", self.byte_conversion(node, ("bytes", "byteorder"), loc))
        symbol = find_attribute(info, callee.name)[1]
        refuse_overloaded(symbol, loc)
        definition = function_definition(symbol)
        if definition is None:
            if isinstance(symbol, Var):
                return self._call_value(node, loc)
            raise Diagnostic("KP205", loc, f"{info.name} has no method {callee.name}", METHODS)
        args = self.arguments(node, definition, 0, loc)
        env = self.type_arguments(definition, args, self.convert_type(node), loc)
        return CallFunction(loc, self.convert_type(node), definition.fullname, args, env)

    # Classes ----------------------------------------------------------------------------------------------------------

    def _construct(self, node: CallExpr, callee: Expression, loc: Loc) -> Expr:
        assert isinstance(callee, RefExpr)
        aliased = type_info(callee.node.target) if isinstance(callee.node, TypeAlias) else callee.node
        if not isinstance(aliased, TypeInfo):
            raise Diagnostic("KP208", loc, f"{callee.fullname} can't be called", "name a class")
        info = aliased
        name = info.fullname
        if name.startswith("builtins.") or name == "collections.deque":
            return self.construct_builtin(node, name.rsplit(".", 1)[-1], loc)
        if info.is_newtype or is_opaque_int(info):
            return self.expression(node.args[0])
        t = self.convert_type(node)
        if isinstance(t, IntType):
            short = name.rsplit(".", 1)[-1]
            if not node.args:
                return IntLit(loc, INT, 0)
            target = U64 if short == "u64" else STORAGE_INTS[short]
            return Cast(loc, target, self.expression(node.args[0]), wrapping=True)
        if isinstance(t, EnumType):
            return EnumFromInt(loc, t, self.expression(node.args[0]))
        if isinstance(t, RawArrayType):
            return New(loc, t, [self.expression(a) for a in node.args])
        if isinstance(t, ArrayType):
            return CallBuiltin(loc, t, "Array", [])
        if isinstance(t, StructType):
            if any(n is None for n in node.arg_names):
                raise Diagnostic("KP207", loc, "a struct is built with keyword arguments", "name the fields")
            fields = {n: self.expression(a) for n, a in zip(node.arg_names, node.args, strict=True) if n is not None}
            return New(loc, t, [], fields)
        owner, symbol = find_attribute(info, "__init__")
        if not owner.startswith("builtins."):
            refuse_overloaded(symbol, loc)
        definition = function_definition(symbol)
        if definition is None or owner.startswith("builtins."):
            if any(n is not None for n in node.arg_names):
                raise Diagnostic("KP206", loc, f"{info.name} takes no keyword arguments", IN_ORDER)
            return New(loc, t, [self.expression(a) for a in node.args])
        return New(loc, t, self.arguments(node, definition, 1, loc))

    def construct_builtin(self, node: CallExpr, name: str, loc: Loc) -> Expr:
        """`int(x)`, `bytes(x)`, `list(x)`, `range(…)` …: classes of Python itself."""
        args: list[Expr] = []
        for arg, keyword in zip(node.args, node.arg_names, strict=True):
            if name == "zip" and keyword == "strict" and isinstance(arg, NameExpr) and arg.name == "False":
                continue
            if keyword is not None and (name, keyword) not in (("enumerate", "start"), ("int", "base")):
                raise Diagnostic(
                    "KP206",
                    loc,
                    f"{name} takes no keyword {keyword} here",
                    "compare the lengths before" if keyword == "strict" else "",
                )
            if isinstance(arg, GeneratorExpr):
                element = self.convert_type(arg.left_expr)
                args.append(self.comprehension(arg, "list", ClassType(LIST, (element,)), loc))
            else:
                args.append(self.expression(arg))
        if name == "int":
            if args and isinstance(args[0].type, BytesType | StrType):
                return CallBuiltin(loc, INT, "int.parse", args)
            return Cast(loc, INT, args[0], wrapping=False) if args else IntLit(loc, INT, 0)
        if name == "bool":
            return CallBuiltin(loc, BOOL, "bool", args) if args else BoolLit(loc, BOOL, value=False)
        if name in ("str", "bytes", "bytearray", "list", "dict", "deque") and len(args) > 1:
            raise Diagnostic("KP206", loc, f"{name} takes one argument here", "write .encode() or .decode(), or a loop")
        if name == "str":
            return FString(loc, STR, [FormatPart(args[0], "")]) if args else StrLit(loc, STR, "")
        if name == "enumerate" and len(args) > 1 and matters(args[0], args[1]):
            raise Diagnostic("KP215", loc, "the start would be computed before what is numbered", "compute it before")
        if name in ("range", "enumerate", "zip", "reversed"):
            return CallBuiltin(loc, NONE, name, args)
        if name == "bytes":
            return self._construct_bytes(args, loc)
        if name in ("list", "dict", "deque", "bytearray"):
            return self._construct_container(node, name, args, loc)
        if name in ("float", "complex", "set", "frozenset"):
            self.convert_type(node)  # raises
        if name == "object":
            return New(loc, ClassType("builtins.object"), [])
        if name.endswith("Error") or name.endswith("Exception"):
            return New(loc, self.convert_type(node), args)
        raise Diagnostic("KP208", loc, f"{name} is not in Kernel Python", BUILTINS)

    def _construct_bytes(self, args: list[Expr], loc: Loc) -> Expr:
        if not args:
            return BytesLit(loc, BYTES, b"")
        t = args[0].type
        if isinstance(t, ClassType) and t.name == BYTE_ARRAY:
            return CallMethod(loc, BYTES, args[0], BYTE_ARRAY, "to_bytes", [])
        if isinstance(t, SpanType):
            return CallBuiltin(loc, BYTES, "Span.to_bytes", args)
        if isinstance(t, ArrayType):
            return CallBuiltin(loc, BYTES, "Span.to_bytes", [CallBuiltin(loc, SpanType(t.element), "Array.span", args)])
        if isinstance(t, BytesType):
            return args[0]
        return CallBuiltin(loc, BYTES, "bytes.of_list" if isinstance(t, ClassType) else "bytes.zeros", args)

    def _construct_container(self, node: CallExpr, name: str, args: list[Expr], loc: Loc) -> Expr:
        t = self.convert_type(node)
        assert isinstance(t, ClassType)
        if not args:
            return New(loc, t, [])
        source = args[0]
        if name == "bytearray":
            if isinstance(source.type, IntType):
                return New(loc, t, [source])
            made = f"{_CONTAINER_MODULE}.byte_array_of"
            if isinstance(source.type, BytesType):
                return CallFunction(loc, t, made, [source])
            if isinstance(source.type, SpanType):
                return CallFunction(loc, t, made, [CallBuiltin(loc, BYTES, "Span.to_bytes", [source])])
            if isinstance(source.type, ClassType) and source.type.name == BYTE_ARRAY:
                return CallMethod(
                    loc, t, source, BYTE_ARRAY, "slice", [IntLit(loc, INT, 0), IntLit(loc, INT, (1 << 63) - 1)]
                )
            hint = "append to an empty one"
            raise Diagnostic("KP209", loc, "a bytearray is made of a size, of bytes, a bytearray or a span", hint)
        if isinstance(source.type, ClassType) and source.type.name == LIST and name == "list":
            return CallMethod(loc, stored_alike(t, source.type), source, LIST, "copy", [])
        if isinstance(source.type, ClassType) and source.type.name == DICT and name == "list":
            return CallMethod(loc, t, source, DICT, "key_list", [])
        if (
            isinstance(source, CallMethod)
            and source.owner == DICT
            and source.method in ("keys", "values")
            and name == "list"
        ):
            return CallMethod(
                loc, t, source.receiver, DICT, "key_list" if source.method == "keys" else "value_list", []
            )
        if isinstance(source.type, ClassType) and source.type.name == DICT and name == "dict":
            return CallMethod(loc, stored_alike(t, source.type), source, DICT, "copy", [])
        raise Diagnostic("KP209", loc, f"{name}() of this", "write a comprehension or a loop")

    # Builtin functions ------------------------------------------------------------------------------------------------

    def builtin(self, node: CallExpr, name: str, loc: Loc) -> Expr:
        """A function of Python itself."""
        if name in (
            "eval",
            "exec",
            "compile",
            "getattr",
            "setattr",
            "hasattr",
            "globals",
            "locals",
            "vars",
            "open",
            "input",
            "__import__",
        ):
            raise Diagnostic("KP210", loc, f"{name} is out", "everything is known at compile time")
        if name in ("any", "all", "sum", "sorted") and len(node.args) != 1:
            raise Diagnostic("KP206", loc, f"{name} takes one argument here", "give the sequence alone")
        if name in ("any", "all", "sum") and isinstance(node.args[0], GeneratorExpr):
            return self.comprehension(node.args[0], name, INT if name == "sum" else BOOL, loc)
        if name == "isinstance":
            return self._isinstance(node, loc)
        if name == "print":
            return self._print(node, loc)
        args = [self.expression(a) for a in node.args]
        if name == "len":
            t = args[0].type
            if isinstance(t, ClassType):
                info = type_info(self.type_of(node.args[0]))
                owner = t.name
                if owner not in (LIST, DICT, DEQUE, BYTE_ARRAY) and info is not None:
                    owner = find_attribute(info, "__len__")[0]
                return CallMethod(loc, INT, args[0], owner, "__len__", [])
            return CallBuiltin(loc, INT, "len", args)
        if name not in _BUILTINS:
            raise Diagnostic("KP208", loc, f"{name} is not in Kernel Python", BUILTINS)
        if any(n is not None for n in node.arg_names):
            raise Diagnostic("KP206", loc, f"{name} takes no keyword arguments here", IN_ORDER)
        t = self.convert_type(node)
        if isinstance(t, IntType) and t != U64:
            t = INT
        return CallBuiltin(loc, t, name, args)

    def _isinstance(self, node: CallExpr, loc: Loc) -> Expr:
        value = self.asked(node.args[0])
        classes = node.args[1]
        operands: list[Type] = []
        for item in classes.items if isinstance(classes, TupleExpr) else [classes]:
            if not isinstance(item, RefExpr) or not isinstance(item.node, TypeInfo):
                raise Diagnostic("KP211", loc, "isinstance takes a class, or a tuple of classes", "name the classes")
            info = item.node
            operands.append(self.types.convert(mt.Instance(info, list(info.defn.type_vars)), loc))
        return CallBuiltin(loc, BOOL, "isinstance", [value], operands)

    def _print(self, node: CallExpr, loc: Loc) -> Expr:
        """print: the arguments' texts with spaces between them, and a newline, as one string."""
        if any(n is not None for n in node.arg_names):
            raise Diagnostic("KP206", loc, "print takes no keyword arguments here", "build the text with an f-string")
        parts: list[Expr | FormatPart] = []
        for i, arg in enumerate(node.args):
            if i > 0:
                parts.append(StrLit(loc, STR, " "))
            value = self.expression(arg)
            parts.append(value if isinstance(value, StrLit) else FormatPart(value, ""))
        return CallBuiltin(loc, NONE, "print", [FString(loc, STR, parts)])

    # Iteration --------------------------------------------------------------------------------------------------------

    def iterable(self, node: Expression) -> Expr:
        """What `for` runs over."""
        return self.expression(node)


def stored_alike(t: Type, source: Type) -> Type:
    """The type of a copy, or of a part: mypy's, unless that says another storage of the elements than they have."""
    return t if same_storage(source, t) else source


def refuse_left_out_receiver(receiver: Expr, name: str, owner: str, loc: Loc) -> None:
    """What belongs to a class is the same for each object, and the object is not computed: so it must do nothing."""
    if acts(receiver):
        short = owner.rpartition(".")[2]
        message = f"{name} belongs to the class, and the object before it would not be computed"
        raise Diagnostic("KP215", loc, message, f"compute the object before, and write {short}.{name}")


def refuse_overloaded(node: SymbolNode | None, loc: Loc) -> None:
    """A body need not keep what the signatures of its overloads promise."""
    if isinstance(node, OverloadedFuncDef) and not node.is_property:
        hint = "call a function with one signature"
        raise Diagnostic("KP200", loc, f"{node.name} is overloaded and can't be called", hint)


def function_definition(node: SymbolNode | None) -> FuncDef | None:
    """The FuncDef of a name."""
    match node:
        case FuncDef():
            return node
        case Decorator():
            return node.func
        case _:
            return None  # an overloaded function is called by signatures that its body need not keep


def prelude_name(fullname: str) -> str | None:
    """The back end's name for an intrinsic of the prelude."""
    if not fullname.startswith("kernel.lang.") or fullname.startswith("kernel.lang.runtime."):
        return None
    short = fullname.rsplit(".", 1)[-1]
    module = fullname.rsplit(".", 1)[0]
    if module == "kernel.lang.unsafe":
        return f"unsafe.{short}"
    if module == "kernel.lang.raw":
        return f"raw.{short}"
    return short


__all__ = ["CallConverter", "Field", "Global", "IntExpr", "LambdaExpr", "function_definition"]

"""Statements, targets and patterns."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import mypy.patterns as mp
import mypy.types as mt
from mypy.expandtype import expand_type_by_instance
from mypy.maptype import map_instance_to_supertype
from mypy.nodes import (
    GDEF,
    LDEF,
    AssertStmt,
    AssignmentStmt,
    Block,
    BreakStmt,
    BytesExpr,
    ClassDef,
    ContinueStmt,
    Decorator,
    DelStmt,
    Expression,
    ExpressionStmt,
    ForStmt,
    FuncDef,
    GeneratorExpr,
    GlobalDecl,
    IfStmt,
    ImportBase,
    IndexExpr,
    IntExpr,
    LambdaExpr,
    ListExpr,
    MatchStmt,
    MemberExpr,
    NameExpr,
    Node,
    NonlocalDecl,
    OperatorAssignmentStmt,
    PassStmt,
    RaiseStmt,
    RefExpr,
    ReturnStmt,
    SliceExpr,
    StarExpr,
    Statement,
    StrExpr,
    TempNode,
    TryStmt,
    TupleExpr,
    TypeInfo,
    Var,
    WhileStmt,
    WithStmt,
    YieldExpr,
)

from compiler.diagnostics import internal_error
from compiler.front.basics import Unreachable, find_attribute, refuse_protocol_field
from compiler.front.convert_types import BYTE_ARRAY, DEQUE, DICT, LIST, element_type, type_info
from compiler.front.expressions import ExpressionConverter, list_type
from compiler.front.narrowing import left_out, narrowed_in, tests_of
from compiler.tree import (
    Assert,
    Assign,
    AugAssign,
    BoolLit,
    Break,
    CallBuiltin,
    CallMethod,
    Captured,
    CapturePattern,
    ClassPattern,
    Comprehension,
    Continue,
    Delete,
    Diagnostic,
    Expr,
    ExprStmt,
    Field,
    FieldTarget,
    For,
    ForClause,
    Function,
    Global,
    GlobalTarget,
    Handler,
    If,
    IndexTarget,
    Lambda,
    Loc,
    Local,
    LocalTarget,
    Match,
    MatchCase,
    NestedFunction,
    NoneLit,
    OrPattern,
    Param,
    Pass,
    Pattern,
    PropertyTarget,
    Raise,
    Return,
    SetItemTarget,
    Stmt,
    Target,
    Try,
    TupleTarget,
    ValuePattern,
    While,
    With,
    WithItem,
    Yield,
    caught,
)
from compiler.types import (
    BOOL,
    INT,
    NEVER,
    NONE,
    U64,
    ArrayType,
    ClassType,
    FunctionType,
    IntType,
    RawArrayType,
    SpanType,
    StructType,
    TupleType,
    Type,
    UnionType,
    show,
)

# Expressions that denote a place where a struct or an Array lies.
PLACES = (Local, Captured, Global, Field)
LITERALS = (BytesExpr, IntExpr, NameExpr, StrExpr)
THROUGH_LOCAL = "call a method of its object, or change it through a local"
DELETED = "del is for elements of lists, dicts and bytearrays"


class StatementConverter(ExpressionConverter):
    """Converts the body of one function."""

    def block(self, node: Block | None, tests: Iterable[Expression] | None = ()) -> list[Stmt]:
        """The statements of a block, to which `tests` lead; what mypy knows to be unreachable traps. Without tests
        (None), the block is as reachable as the statement that it belongs to.
        """
        if node is None:
            return []
        if node.is_unreachable and node.body:
            return [self._unreachable(self.loc(node.body[0]), tests or ())]
        result: list[Stmt] = []
        for statement in node.body:
            try:
                self._statement(statement, result)
            except Unreachable:
                if tests is None:
                    raise
                result.append(self._unreachable(self.loc(statement), tests))
                break
            except Diagnostic as error:
                self.errors.append(caught(error))
            except Exception as error:
                self.errors.append(internal_error(error, self.loc(statement)))
            if not isinstance(statement, PassStmt):
                tests = tests_of(statement)  # looked at where the next one is left out, only then
        return result

    def _unreachable(self, loc: Loc, tests: Iterable[Expression]) -> Stmt:
        """What stands for code that mypy leaves out after some tests: an error, if these may have another answer."""
        places = (narrowed_in(test, self.shared.type_map) for test in tests)
        place = next((place for place in places if place is not None), None)
        if place is not None:
            self.errors.append(left_out(place, self.loc(place)))
        return ExprStmt(loc, CallBuiltin(loc, NEVER, "unreachable", []))

    def _statement(self, node: Statement, out: list[Stmt]) -> None:
        loc = self.loc(node)
        match node:
            case ExpressionStmt():
                self._expression_statement(node, loc, out)
            case AssignmentStmt():
                self._assignment(node, loc, out)
            case OperatorAssignmentStmt():
                self._augmented(node, loc, out)
            case ReturnStmt():
                self._check_returned(node)
                value = self.expression(node.expr) if node.expr is not None else None
                if (
                    value is not None
                    and value.type == NONE
                    and self.function.result == NONE
                    and not isinstance(value, NoneLit)
                ):
                    out.append(ExprStmt(loc, value))
                    value = None
                out.append(Return(loc, None if isinstance(value, NoneLit) and self.function.result == NONE else value))
            case IfStmt():
                out.append(self._if(node, 0, loc))
            case WhileStmt():
                tests = [node.expr]
                test = self.test(node.expr)
                out.append(While(loc, test, self.block(node.body, tests), self.block(node.else_body, tests)))
            case ForStmt():
                if node.is_async:
                    raise Diagnostic("KP131", loc, "async is out", "sleep on a WaitQueue instead")
                iterable = self.iterable(node.expr)
                target = self.target(node.index, element_type(iterable))
                out.append(For(loc, target, iterable, self.block(node.body), self.block(node.else_body)))
            case BreakStmt():
                out.append(Break(loc))
            case ContinueStmt():
                out.append(Continue(loc))
            case PassStmt() | GlobalDecl() | ImportBase():
                out.append(Pass(loc))
            case AssertStmt():
                message = self.expression(node.msg) if node.msg is not None else None
                out.append(Assert(loc, self.test(node.expr), message))
            case RaiseStmt():
                out.append(Raise(loc, self._raised(node, loc)))
            case DelStmt():
                self._delete(node.expr, loc, out)
            case TryStmt():
                out.append(self._try(node, loc))
            case WithStmt():
                out.append(self._with(node, loc))
            case MatchStmt():
                cases = []
                subject = self.expression(node.subject)
                for pattern, guard, body in zip(node.patterns, node.guards, node.bodies, strict=True):
                    converted = self._pattern(pattern)
                    cases.append(
                        MatchCase(converted, self.expression(guard) if guard is not None else None, self.block(body))
                    )
                out.append(Match(loc, subject, cases))
            case FuncDef():
                out.append(NestedFunction(loc, self.nested_function(node)))
            case Block():
                out.extend(self.block(node))
            case NonlocalDecl():
                raise Diagnostic("KP140", loc, "nonlocal is out", "return the value, or keep it in an object")
            case ClassDef():
                raise Diagnostic("KP141", loc, "a class inside a function", "declare it in the module")
            case Decorator():
                raise Diagnostic("KP142", loc, "a decorated function inside a function", "declare it in the module")
            case _:
                hint = "docs/language.md lists the statements"
                raise Diagnostic("KP199", loc, f"{type(node).__name__} is not supported", hint)

    def _check_returned(self, node: ReturnStmt) -> None:
        """A literal needs no type of mypy's, but without one mypy has not checked that the function may return it."""
        must_give = self.outer is None and self.function.result != NONE and not self.function.is_generator
        if (node.expr is None and must_give) or (node.expr is not None and node.expr not in self.shared.type_map):
            raise Unreachable

    def nested_function(self, node: FuncDef) -> Function:
        """A function inside this one."""
        signature = node.type
        loc = self.loc(node)
        if not isinstance(signature, mt.CallableType):
            raise Diagnostic("KP132", loc, f"{node.name} has no annotations", "annotate its parameters and its result")
        if any(a.initializer is not None or a.kind.is_star() for a in node.arguments):
            raise Diagnostic("KP216", loc, "a nested function with defaults", "pass all arguments")
        params = [
            Param(a.variable.name, self.types.convert(t, loc))
            for a, t in zip(node.arguments, signature.arg_types, strict=True)
        ]
        function = Function(
            f"{self.function.name}.<locals>.{node.name}",
            loc,
            params,
            self.types.convert(signature.ret_type, loc),
            [],
            {},
        )
        inner = StatementConverter(self.shared, self.tree, function, self)
        inner.declare_parameters(node)
        function.body = inner.block(node.body)
        function.errors = inner.errors
        self.errors.extend(inner.errors)
        self.nested[node] = function
        return function

    def _expression_statement(self, node: ExpressionStmt, loc: Loc, out: list[Stmt]) -> None:
        inner = node.expr
        if isinstance(inner, StrExpr):
            return  # a docstring
        if isinstance(inner, YieldExpr):
            value = self.expression(inner.expr) if inner.expr is not None else NoneLit(loc, NONE)
            out.append(Yield(loc, value))
            return
        if getattr(inner, "name", "") == "" and type(inner).__name__ == "EllipsisExpr":
            out.append(Pass(loc))
            return
        out.append(ExprStmt(loc, self.expression(inner)))

    def _if(self, node: IfStmt, i: int, loc: Loc) -> Stmt:
        if i + 1 < len(node.expr):
            orelse: list[Stmt] = [self._if(node, i + 1, self.loc(node.expr[i + 1]))]
        else:
            orelse = self.block(node.else_body, node.expr)
        # No list for each branch: of thousands, the tests that lead to each would fill memory.
        return If(loc, self.test(node.expr[i]), self.block(node.body[i], islice(node.expr, i + 1)), orelse)

    # Assignment -------------------------------------------------------------------------------------------------------

    def _assignment(self, node: AssignmentStmt, loc: Loc, out: list[Stmt]) -> None:
        if isinstance(node.rvalue, TempNode):
            for lvalue in node.lvalues:
                if isinstance(lvalue, NameExpr) and isinstance(lvalue.node, Var):
                    self.local_name(lvalue.node, loc)  # a declaration alone
            return
        for lvalue in node.lvalues:  # mypy gives what is unpacked no type then
            for item in lvalue.items if isinstance(lvalue, TupleExpr | ListExpr) else ():
                if isinstance(item, StarExpr):
                    self.target(item)
        if isinstance(node.rvalue, LITERALS) and node.rvalue not in self.shared.type_map:
            raise Unreachable  # mypy has not checked that it may be assigned
        value = self.expression(node.rvalue)
        targets = [self.target(lvalue, value.type) for lvalue in node.lvalues]
        self._check_struct_alias(targets, value, loc)
        for lvalue in node.lvalues:
            self._check_in_place(lvalue, value, loc)
        out.append(Assign(loc, targets, value))

    def _check_struct_alias(self, targets: list[Target], value: Expr, loc: Loc) -> None:
        """A struct or Array that already has a place gets no second name. Assigning to a place copies."""
        if not isinstance(value.type, StructType | ArrayType) or not isinstance(value, PLACES):
            return
        if any(isinstance(t, LocalTarget | GlobalTarget) for t in targets):
            hint = (
                "write .copy() to copy it"
                if isinstance(value.type, StructType)
                else "write .copy() to copy it, or .span() to view it"
            )
            raise Diagnostic("KP150", loc, "this would make two names of one value", hint)

    def _check_in_place(self, node: Expression, value: Expr, loc: Loc) -> None:
        """Assigning to a field copies a struct or Array; under CPython only where the class body declares the field."""
        if (
            not isinstance(node, MemberExpr)
            or not isinstance(value.type, StructType | ArrayType)
            or not isinstance(value, PLACES)
        ):
            return
        info = type_info(self.type_of(node.expr))
        symbol = info.get(node.name) if info is not None else None
        if symbol is not None and symbol.implicit:
            message = f"{node.name} lies in the object, but the class body does not declare it"
            raise Diagnostic(
                "KP123", loc, message, f"write {node.name}: {show(value.type)} in the class body, or .copy() here"
            )

    def target(self, node: Expression, given: Type | None = None) -> Target:
        """What stands left of `=`, in `for` or in `with`. `given` is the type of what is assigned, if known."""
        loc = self.loc(node)
        match node:
            case NameExpr(name="_") if given is not None and node.kind == LDEF:
                return self._unused(given, loc)
            case NameExpr():
                if isinstance(node.node, Var) and (node.kind == GDEF):
                    module, name = node.node.fullname.rsplit(".", 1)
                    return GlobalTarget(loc, self.types.convert(node.node.type, loc), module, name)
                if isinstance(node.node, Var):
                    name = self.local_name(node.node, loc)
                    return LocalTarget(loc, self.function.locals.get(name) or self.parameter_type(name), name)
                raise Diagnostic("KP151", loc, f"cannot assign to {node.name}")
            case MemberExpr():
                return self._member_target(node, loc)
            case IndexExpr():
                return self._index_target(node, loc)
            case StarExpr():
                raise Diagnostic("KP133", loc, "* is out here", "write the items out, or append them in a loop")
            case TupleExpr():
                parts: list[Type | None] = [None] * len(node.items)
                if isinstance(given, TupleType) and len(given.items) == len(parts):
                    parts = list(given.items)
                items = [self.target(i, t) for i, t in zip(node.items, parts, strict=True)]
                return TupleTarget(loc, TupleType(tuple(i.type for i in items)), items)
            case _:
                raise Diagnostic("KP151", loc, "cannot assign to this")

    def _unused(self, t: Type, loc: Loc) -> Target:
        """`_`: mypy gives it no type, and each use may have another."""
        name = "_"
        count = 2
        while self.function.locals.get(name, t) != t:
            name = f"_.{count}"
            count += 1
        self.function.locals[name] = t
        return LocalTarget(loc, t, name)

    def _member_target(self, node: MemberExpr, loc: Loc) -> Target:
        if isinstance(node.expr, RefExpr) and isinstance(node.expr.node, TypeInfo):
            raise Diagnostic(
                "KP152", loc, "class constants cannot change", "keep what changes in a module's global or an object"
            )
        if node.kind == GDEF and isinstance(node.node, Var):
            module, name = node.node.fullname.rsplit(".", 1)
            return GlobalTarget(loc, self.types.convert(node.node.type, loc), module, name)
        value = self.expression(node.expr)
        info = type_info(self.type_of(node.expr))
        if info is None:
            raise Diagnostic("KP151", loc, f"cannot assign to .{node.name}")
        owner, symbol = find_attribute(info, node.name)
        if symbol is None:
            raise Diagnostic("KP151", loc, f"{info.name} has no field {node.name}")
        if not isinstance(symbol, Var):
            return PropertyTarget(loc, self.convert_type(node), value, owner, node.name)
        refuse_protocol_field(symbol, loc)
        return FieldTarget(
            loc, self.types.convert(self._declared(node.expr, symbol, owner), loc), value, owner, node.name
        )

    def _declared(self, receiver: Expression, symbol: Var, owner: str) -> mt.Type | None:
        """The declared type of a field, with the type arguments of the object that it is a field of."""
        t = self.type_of(receiver)
        base = next((b for b in symbol.info.mro if b.fullname == owner), None) if symbol.info else None
        if symbol.type is None or base is None or not isinstance(t, mt.Instance) or not t.type.has_base(owner):
            return symbol.type
        return expand_type_by_instance(symbol.type, map_instance_to_supertype(t, base))

    def _index_target(self, node: IndexExpr, loc: Loc) -> Target:
        container = self.expression(node.base)
        t = container.type
        if isinstance(node.index, SliceExpr):
            raise Diagnostic("KP153", loc, "cannot assign to a slice", "use copy_from on spans, or extend and del")
        index = self.expression(node.index)
        if isinstance(t, SpanType | ArrayType):
            return IndexTarget(loc, t.element, container, index)
        if isinstance(t, RawArrayType):
            return IndexTarget(loc, t.element, container, index)
        if isinstance(t, ClassType):
            element: Type = INT
            if t.name in (LIST, DEQUE):
                element = t.args[0]
            elif t.name == DICT:
                element = t.args[1]
            elif t.name != BYTE_ARRAY:
                element = self.setitem_type(node, loc)
            return SetItemTarget(loc, element, container, t.name, index)
        raise Diagnostic("KP154", loc, "this cannot be changed by index")

    def setitem_type(self, node: IndexExpr, loc: Loc) -> Type:
        """The type that a class's __setitem__ takes."""
        info = type_info(self.type_of(node.base))
        if info is not None:
            symbol = info.get("__setitem__")
            if (
                symbol is not None
                and isinstance(symbol.node, FuncDef)
                and isinstance(symbol.node.type, mt.CallableType)
            ):
                return self.types.convert(symbol.node.type.arg_types[2], loc)
        raise Diagnostic("KP154", loc, "this cannot be changed by index")

    def _augmented(self, node: OperatorAssignmentStmt, loc: Loc, out: list[Stmt]) -> None:
        left = node.lvalue
        value = self.expression(node.rvalue)
        place: Target | None = None
        if isinstance(left, MemberExpr) and left not in self.shared.type_map:  # changed in place
            place = self._changed_in_place(left, node.op, loc)
        t = place.type if place is not None else self.convert_type(left) if not isinstance(left, IndexExpr) else None
        extended = isinstance(t, ClassType) and node.op == "+" and t.name in (LIST, BYTE_ARRAY, DEQUE)
        if t is not None and extended and not isinstance(place, PropertyTarget):
            changed: Expr
            if isinstance(place, FieldTarget):
                changed = Field(loc, t, place.value, place.owner, place.name)
            elif isinstance(place, GlobalTarget):
                changed = Global(loc, t, place.module, place.name, final=False)
            else:
                changed = self.expression(left)
            out.append(ExprStmt(loc, self.extend_call(changed, value, loc)))
            return
        if place is not None:
            raise Diagnostic("KP194", loc, f"{node.op}= on this", THROUGH_LOCAL)
        if isinstance(t, ClassType | StructType) or (
            isinstance(left, IndexExpr) and isinstance(self.convert_type(left), ClassType | StructType)
        ):
            raise Diagnostic("KP194", loc, f"{node.op}= on this", f"write a = a {node.op} b")
        target = self.target(left)
        result = self.augmented_type(target.type, value.type)
        out.append(AugAssign(loc, target, node.op, value, result))

    def _changed_in_place(self, node: MemberExpr, op: str, loc: Loc) -> Target:
        """A field whose object an operator changes: mypy notes no type of it then."""
        if node.kind != GDEF:
            self.type_of(node.expr)  # unless the statement cannot be reached
        try:
            return self.target(node)
        except Unreachable:
            raise Diagnostic("KP194", loc, f"{op}= on this", THROUGH_LOCAL) from None

    def augmented_type(self, left: Type, right: Type) -> Type:
        """The type that `left op right` has."""
        if isinstance(left, IntType):
            return U64 if left == U64 else INT
        return left

    def _delete(self, node: Expression, loc: Loc, out: list[Stmt]) -> None:
        match node:
            case NameExpr(node=Var() as variable, kind=kind) if kind == LDEF:
                name = self.local_name(variable, loc)
                if any(param.name == name for param in self.function.params):
                    raise Diagnostic("KP155", loc, f"the parameter {name} is deleted", "take it into a local first")
                out.append(Delete(loc, None, name))
            case TupleExpr():
                for item in node.items:
                    self._delete(item, loc, out)
            case IndexExpr(base=base, index=index):
                container = self.expression(base)
                if not isinstance(container.type, ClassType):
                    raise Diagnostic("KP155", loc, "nothing can be deleted here", DELETED)
                owner = container.type.name
                if isinstance(index, SliceExpr):
                    start, stop = self.slice_bounds(index, loc)
                    out.append(Delete(loc, CallMethod(loc, NONE, container, owner, "delete_slice", [start, stop])))
                else:
                    out.append(
                        Delete(loc, CallMethod(loc, NONE, container, owner, "__delitem__", [self.expression(index)]))
                    )
            case _:
                raise Diagnostic("KP155", loc, "nothing can be deleted here", DELETED)

    # Exceptions, with -------------------------------------------------------------------------------------------------

    def _raised(self, node: RaiseStmt, loc: Loc) -> Expr | None:
        if node.expr is None:
            return None
        if node.from_expr is not None and not isinstance(node.from_expr, NameExpr):
            hint = "name the exception before; what caused an error is not kept"
            raise Diagnostic("KP980", loc, "what stands after `from` would not be computed", hint)
        if isinstance(node.expr, RefExpr) and isinstance(node.expr.node, TypeInfo):
            return self.raised_class(node.expr.node, loc)
        return self.expression(node.expr)

    def _try(self, node: TryStmt, loc: Loc) -> Stmt:
        if node.is_star:
            raise Diagnostic("KP155", loc, "except* is out: there are no groups of exceptions", "write except")
        body = self.block(node.body, None)
        handlers: list[Handler] = []
        for var, t, block in zip(node.vars, node.types, node.handlers, strict=True):
            if t is None:
                raise Diagnostic(
                    "KP156", self.loc(block), "an except without a class", "name what you can handle: except Errno as e"
                )
            place = self.loc(t)
            names: list[str] = []
            for item in t.items if isinstance(t, TupleExpr) else [t]:
                if not isinstance(item, RefExpr) or not isinstance(item.node, TypeInfo):
                    raise Diagnostic("KP157", place, "an except names exception classes", "write the classes")
                names.append(item.node.fullname)
            name = None
            if var is not None and isinstance(var.node, Var):
                caught: Type = ClassType(names[0]) if len(names) == 1 else UnionType(tuple(ClassType(n) for n in names))
                name = self.local_name(
                    var.node, place, caught
                )  # mypy deletes the variable after the handler, and its type
            handlers.append(Handler(place, names, name, self.block(block)))
        return Try(loc, body, handlers, self.block(node.else_body), self.block(node.finally_body))

    def _with(self, node: WithStmt, loc: Loc) -> Stmt:
        if node.is_async:
            raise Diagnostic("KP131", loc, "async is out", "sleep on a WaitQueue instead")
        items: list[WithItem] = []
        for expr, target in zip(node.expr, node.target, strict=True):
            items.append(WithItem(self.expression(expr), self.target(target) if target is not None else None))
        return With(loc, items, self.block(node.body))

    # Patterns ---------------------------------------------------------------------------------------------------------

    def _pattern(self, node: Node) -> Pattern:
        loc = self.loc(node)
        match node:
            case mp.ValuePattern():
                return ValuePattern(loc, self.expression(node.expr))
            case mp.SingletonPattern():
                value: Expr = NoneLit(loc, NONE) if node.value is None else BoolLit(loc, BOOL, bool(node.value))
                return ValuePattern(loc, value)
            case mp.OrPattern():
                return OrPattern(loc, [self._pattern(p) for p in node.patterns])
            case mp.AsPattern():
                inner = self._pattern(node.pattern) if node.pattern is not None else None
                if node.name is None:
                    return CapturePattern(loc, inner, None)
                assert isinstance(node.name.node, Var)
                name = self.local_name(node.name.node, loc)
                return CapturePattern(loc, inner, name, self.function.locals.get(name))
            case mp.ClassPattern():
                return self._class_pattern(node, loc)
            case _:
                raise Diagnostic("KP158", loc, "this kind of pattern is out", "match values, enums or classes")

    def _class_pattern(self, node: mp.ClassPattern, loc: Loc) -> Pattern:
        if node.positionals:
            raise Diagnostic("KP159", loc, "positional class patterns are out", "name the fields")
        ref = node.class_ref
        if not isinstance(ref.node, TypeInfo):
            raise Diagnostic("KP158", loc, "this kind of pattern is out", "match values, enums or classes")
        fields = {k: self._pattern(v) for k, v in zip(node.keyword_keys, node.keyword_values, strict=True)}
        t = self.types.convert(mt.Instance(ref.node, list(ref.node.defn.type_vars)), loc)
        return ClassPattern(loc, t, fields)

    # Expressions with targets of their own ----------------------------------------------------------------------------

    def comprehension(self, node: GeneratorExpr, kind: str, t: Type, loc: Loc) -> Expr:
        """A list, or a reduction of a generator expression."""
        self.in_comprehension += 1
        try:
            return self._clauses(node, kind, t, loc)
        finally:
            self.in_comprehension -= 1

    def _clauses(self, node: GeneratorExpr, kind: str, t: Type, loc: Loc) -> Expr:
        clauses: list[ForClause] = []
        for index, sequence, conditions in zip(node.indices, node.sequences, node.condlists, strict=True):
            is_first = not clauses  # that one is computed outside the comprehension
            self.in_comprehension -= is_first
            try:
                iterable = self.iterable(sequence)
            finally:
                self.in_comprehension += is_first
            target = self.target(index, element_type(iterable))
            for condition in conditions:
                self.refuse_left_out(condition, answered=False)
            clauses.append(ForClause(target, iterable, [self.test(c) for c in conditions]))
        element = self.expression(node.left_expr)
        return Comprehension(loc, list_type(t, [element]), element, clauses, kind)

    def lambda_function(self, node: LambdaExpr, loc: Loc) -> Expr:
        t = self.convert_type(node)
        assert isinstance(t, FunctionType)
        if any(a.initializer is not None or a.kind.is_star() for a in node.arguments):
            raise Diagnostic("KP216", loc, "a lambda with defaults", "pass all arguments")
        params = [Param(a.variable.name, p) for a, p in zip(node.arguments, t.params, strict=True)]
        function = Function(f"{self.function.name}.<lambda>", loc, params, t.result, [], {}, is_lambda=True)
        inner = StatementConverter(self.shared, self.tree, function, self)
        inner.declare_parameters(node)
        function.body = [Return(loc, inner.expression(node.expr()))]
        return Lambda(loc, t, function)

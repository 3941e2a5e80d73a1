"""Goes through one function with what is known of its variables: expressions, and what comparisons say."""

from __future__ import annotations

from compiler.tree import (
    Binary,
    BoolLit,
    BoolOp,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Cast,
    Chain,
    ClassConstant,
    Compare,
    Comprehension,
    Conditional,
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
    Local,
    New,
    TupleIndex,
    TupleLit,
    Unary,
    Walrus,
)
from compiler.types import ClassType, IntType, Type
from tools.given.contracts import FIELDS, FOLLOWED, FOLLOWING, MOVED, MOVING, READING, RESULTS, SOURCES
from tools.given.facts import Content, Facts, either, joined_content, key_of
from tools.given.program import Summary, class_constant, constant
from tools.given.values import LEAST, MOST, SIZE, Value, anything, arithmetic, default, joined, negated, range_of

_ADDING = ("append", "insert", "add", "appendleft", "__setitem__", "put")
_TAKING = ("__getitem__", "pop", "popleft", "get", "values", "setdefault")
_CONTAINERS = "kernel.lang.runtime.containers."
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class Expressions:
    """`judging`: report. Facts are changed in place by what expressions do."""

    def __init__(self, summary: Summary, function: Function) -> None:
        self.summary = summary
        self.function = function
        self.judging = False
        self.facts = Facts()

    # ---- values ---------------------------------------------------------------------------------------------------

    def number(self, expr: Expr) -> Value:
        """The value of a number; a trusted one if nothing is known."""
        found = self.value(expr)
        return found if isinstance(found, Value) else default(expr.type)

    def value(self, expr: Expr) -> Content:
        match expr:
            case IntLit() | BoolLit():
                return Value(int(expr.value), int(expr.value))
            case Local():
                return self.facts.values.get(expr.name, default(expr.type) if isinstance(expr.type, IntType) else None)
            case Global():
                found = constant(expr.module, expr.name) if expr.final else None
                if found is not None:
                    return Value(found, found)
                return self._known(("global", expr.module, expr.name), expr.type)
            case ClassConstant():
                found = class_constant(expr.owner, expr.name)
                return Value(found, found) if found is not None else None
            case EnumMember():
                found = class_constant(expr.enum, expr.name)
                return Value(found, found) if found is not None else None
            case Field():
                return self._field(expr)
            case Unary():
                return self._unary(expr)
            case Binary():
                return self._binary(expr)
            case Compare() | Chain() | BoolOp():
                return self._condition(expr)
            case Conditional():
                return self._conditional(expr)
            case Walrus():
                found_value = self.value(expr.value)
                self.facts.assign(expr.name, found_value)
                return found_value
            case CallFunction():
                return self._call(expr)
            case CallMethod():
                return self._method(expr)
            case CallBuiltin():
                return self._builtin(expr)
            case CallValue():
                self.value(expr.callee)
                for argument in expr.args:
                    self.value(argument)
                self.facts.forget_fields()
                return None
            case Cast():
                return self._cast(expr)
            case New():
                return self._new(expr)
            case EnumFromInt():
                self.value(expr.value)
                return None
            case ListLit():
                content: Content = None
                for item in expr.items:
                    content = joined_content(content, self.value(item)) if content is not None else self.value(item)
                return content if isinstance(content, Value) else None
            case TupleLit():
                return tuple(self.value(item) for item in expr.items)
            case TupleIndex():
                whole = self.value(expr.value)
                return whole[expr.index] if isinstance(whole, tuple) and expr.index < len(whole) else None
            case DictLit():
                for key, item in expr.items:
                    self.value(key)
                    self.value(item)
                return None
            case FString():
                for part in expr.parts:
                    if isinstance(part, FormatPart):
                        self.value(part.value)
                return None
            case Comprehension():
                return self.comprehension(expr)
        return None

    def comprehension(self, expr: Comprehension) -> Content:
        """Overridden where targets can be assigned."""
        return None

    def _known(self, key: tuple[str, ...], kind: Type) -> Content:
        found = self.summary.read(key, self.function.name)
        if found is None:
            return default(kind) if isinstance(kind, IntType) else None
        return found.within(*range_of(kind)) if isinstance(found, Value) and isinstance(kind, IntType) else found

    def _field(self, expr: Field) -> Content:
        self.value(expr.value)
        key = key_of(expr)
        if key is not None and key in self.facts.values:
            return self.facts.values[key]
        promised = FIELDS.get((expr.owner.rpartition(".")[2], expr.name))
        if promised is not None:
            return promised
        declaration = self.summary.program.classes.get(expr.owner)
        if declaration is not None and declaration.kind == "struct" and isinstance(expr.type, IntType):
            return anything(expr.type)
        return self._known(("field", expr.owner, expr.name), expr.type)

    def _unary(self, expr: Unary) -> Content:
        operand = self.number(expr.operand)
        if expr.op == "-":
            return self.judged(negated(operand), expr, f"-{_shown(operand)}")
        if expr.op == "~":
            return Value(-1 - operand.most, -1 - operand.least, operand.given)
        return operand if expr.op == "+" else Value(0, 1)

    def _binary(self, expr: Binary) -> Content:
        if not isinstance(expr.type, IntType):
            left, right = self.value(expr.left), self.value(expr.right)
            return joined(left if isinstance(left, Value) else None, right if isinstance(right, Value) else None)
        return self.operation(expr.op, self.number(expr.left), self.number(expr.right), expr)

    def operation(self, op: str, left: Value, right: Value, expr: Expr) -> Value:
        """The result of an operator, reported if it may not fit."""
        result = arithmetic(op, left, right)
        if op == "+" and isinstance(expr, Binary):
            bound = self.facts.sum_bound(expr)
            if bound is not None and result.least <= bound:
                result = Value(result.least, min(result.most, bound), result.given)
        if op in ("<<", ">>") and right.given and not right.fits(0, 63) and not self._is_kept(expr):
            self.finding(expr, f"shift by {_shown(right)}")
        if op in ("//", "%") and right.given and right.least <= 0 <= right.most and not self._is_kept(expr):
            self.finding(expr, f"division by {_shown(right)}")
        return self.judged(result, expr, f"{_shown(left)} {op} {_shown(right)}")

    def _is_kept(self, expr: Expr) -> bool:
        """Whether the right side of an operator is a field: what is kept was looked at before it was stored."""
        return isinstance(expr, Binary) and not isinstance(expr.right, Local | Binary)

    def judged(self, result: Value, expr: Expr, text: str) -> Value:
        low, high = range_of(expr.type) if isinstance(expr.type, IntType) and expr.type.bits == 64 else (LEAST, MOST)
        if result.given and not result.fits(low, high):
            self.finding(expr, text)
        return result.within(low, high) if not result.fits(low, high) else result

    def finding(self, expr: Expr, text: str) -> None:
        if self.judging:
            self.summary.report(expr.loc.path, expr.loc.line, text)

    def _cast(self, expr: Cast) -> Content:
        judging = self.judging
        if expr.wrapping and isinstance(expr.value, Binary | Unary):
            self.judging = False
        found = self.value(expr.value)
        self.judging = judging
        if not isinstance(expr.type, IntType):
            return found
        value = found if isinstance(found, Value) else default(expr.value.type)
        low, high = range_of(expr.type)
        return value if value.fits(low, high) else Value(low, high, value.given)

    def stored(self, value: Content, kind: Type, expr: Expr) -> Content:
        """As a place of a type holds it; a given number that a narrow place may not hold is reported."""
        if isinstance(value, Value) and isinstance(kind, IntType):
            low, high = range_of(kind)
            if not value.fits(low, high):
                if value.given:
                    self.finding(expr, f"{_shown(value)} stored as {kind.name}")
                return value.within(low, high)
        return value

    # ---- calls ----------------------------------------------------------------------------------------------------

    def _call(self, expr: CallFunction) -> Content:
        arguments = [self.value(argument) for argument in expr.args]
        function = self.summary.program.functions.get(expr.function)
        if not expr.function.startswith("kernel.lib.user."):
            self.facts.forget_fields()
        if function is None:
            return None
        self._pass(function, arguments, expr)
        self._learn(function, expr.args)
        return self._result(function, expr.type)

    def _result(self, function: Function, kind: Type) -> Content:
        if function.name in SOURCES:
            return SOURCES[function.name]
        if function.cls is not None and function.name.rpartition(".")[2] in MOVING and isinstance(kind, IntType):
            return MOVED
        if function.name in RESULTS:
            return RESULTS[function.name]
        found = self.summary.read(("result", function.name), self.function.name)
        if found is None and isinstance(kind, IntType):
            return default(kind)
        return found

    def _pass(self, function: Function, arguments: list[Content], expr: Expr) -> None:
        for parameter, argument in zip(function.params, arguments, strict=False):
            argument = self.stored(argument, parameter.type, expr)
            self.summary.add(("parameter", function.name, parameter.name), argument, parameter.type)

    def _learn(self, function: Function, arguments: list[Expr]) -> None:
        """What must hold after a call that came back: a check of its arguments."""
        if function.name in FOLLOWING or function.name in READING:
            followed = arguments[1 if function.name in READING else 0]
            key = key_of(followed)
            if key is not None:
                self.facts.values[key] = self.number(followed).within(FOLLOWED.least, FOLLOWED.most)
            return
        self.summary.readers["after", function.name].add(self.function.name)
        ranges, sums = self.summary.after.get(function.name, ({}, {}))
        keys = [key_of(argument) for argument in arguments]
        for index, known in ranges.items():
            key = keys[index] if index < len(keys) else None
            if key is not None:
                old = self.number(arguments[index])
                if old.given:
                    self.facts.values[key] = old.within(known.least, known.most)
        for (first, second), most in sums.items():
            if max(first, second) < len(keys):
                self.facts.bound_sum(keys[first], keys[second], most)

    def _method(self, expr: CallMethod) -> Content:
        receiver = self.value(expr.receiver)
        arguments = [self.value(argument) for argument in expr.args]
        if expr.owner.startswith(_CONTAINERS):
            return self._container(expr, receiver, arguments)
        if expr.method == "__len__":
            return SIZE
        self.facts.forget_fields()
        result: Content = None
        functions = self.summary.targets(expr.owner, expr.method)
        for function in functions:
            self._pass(function, [receiver, *arguments], expr)
            found = self._result(function, expr.type)
            result = joined_content(result, found) if result is not None else found
        if len(functions) == 1:
            self._learn(functions[0], [expr.receiver, *expr.args])
        return result if result is not None or not isinstance(expr.type, IntType) else default(expr.type)

    def _container(self, expr: CallMethod, receiver: Content, arguments: list[Content]) -> Content:
        if expr.method == "__len__":
            return SIZE
        if expr.method in _ADDING and arguments:
            content = arguments[-1]
            if isinstance(receiver, Value) and isinstance(content, Value):
                content = joined(receiver, content)
            self._store_content(expr.receiver, content)
            return None
        if expr.method in _TAKING:
            if receiver is not None:
                return receiver
            return default(expr.type) if isinstance(expr.type, IntType) else None
        if expr.method == "extend" and arguments:
            self._store_content(expr.receiver, arguments[0])
        return receiver if isinstance(expr.type, ClassType) else None

    def _store_content(self, receiver: Expr, content: Content) -> None:
        if isinstance(receiver, Local):
            self.facts.values[receiver.name] = content
        elif isinstance(receiver, Field):
            self.summary.add(("field", receiver.owner, receiver.name), content)

    def _builtin(self, expr: CallBuiltin) -> Content:
        arguments = [self.value(argument) for argument in expr.args]
        numbers = [a for a in arguments if isinstance(a, Value)]
        name = expr.name
        if name == "len":
            return SIZE
        if name in ("min", "max") and len(numbers) == len(arguments) and len(numbers) > 1:
            choose = min if name == "min" else max
            given = any(v.given for v in numbers)
            return Value(choose(v.least for v in numbers), choose(v.most for v in numbers), given)
        if name == "abs" and numbers:
            value = numbers[0]
            result = Value(0 if value.least <= 0 <= value.most else min(abs(value.least), abs(value.most)),
                           max(abs(value.least), abs(value.most)), value.given)  # fmt: skip
            return self.judged(result, expr, f"abs({_shown(value)})")
        if name.startswith(("Span.load_", "unsafe.load_")) and isinstance(expr.type, IntType):
            bits = int("".join(c for c in name if c.isdigit()) or 64)
            signed = "_i" in name or bits == 64
            low, high = range_of(IntType("", bits, signed))
            return Value(low, high, name.startswith("Span"))
        if name in ("bytearray", "bytes") and numbers and numbers[0].given and numbers[0].least < 0:
            self.finding(expr, f"{name} of {_shown(numbers[0])} bytes")
        if name.startswith(("int.from_bytes",)):
            return Value(0, MOST, given=True)
        return default(expr.type) if isinstance(expr.type, IntType) else None

    def _new(self, expr: New) -> Content:
        arguments = [self.value(argument) for argument in expr.args]
        for item in expr.fields.values():
            self.value(item)
        if isinstance(expr.type, ClassType):
            if expr.type.name.startswith(_CONTAINERS):
                numbers = [a for a in arguments if isinstance(a, Value)]
                if expr.type.name.endswith("ByteArray") and numbers and numbers[0].given and numbers[0].least < 0:
                    self.finding(expr, f"bytearray of {_shown(numbers[0])} bytes")
                return None
            for function in self.summary.targets(expr.type.name, "__init__")[:1]:
                self._pass(function, [None, *arguments], expr)
        self.facts.forget_fields()
        return None

    # ---- conditions -----------------------------------------------------------------------------------------------

    def _condition(self, expr: Expr) -> Content:
        before = self.facts.copy()
        yes = self.assume(expr, holds=True)
        self.facts, judging, self.judging = before, self.judging, False
        no = self.assume(expr, holds=False)
        self.judging = judging
        self.facts = either(yes, no) or Facts()
        return Value(0, 1)

    def _conditional(self, expr: Conditional) -> Content:
        before = self.facts.copy()
        results: list[Content] = []
        ends: list[Facts | None] = []
        for holds, branch in ((True, expr.then), (False, expr.orelse)):
            self.facts = before.copy()
            judging, self.judging = self.judging, self.judging and holds
            there = self.assume(expr.test, holds=holds)
            self.judging = judging
            if there is not None:
                self.facts = there
                results.append(self.value(branch))
                ends.append(self.facts)
        self.facts = (either(ends[0], ends[1]) if len(ends) == 2 else ends[0] if ends else before) or before
        if len(results) == 2 and results[0] is not None and results[1] is not None:
            return joined_content(results[0], results[1])
        return results[0] if len(results) == 1 else next((r for r in results if r is not None), None)

    def assume(self, test: Expr, *, holds: bool) -> Facts | None:
        """What is known if a condition holds or does not; None if that cannot be. Starts from `facts`, uses them up."""
        match test:
            case BoolOp():
                return self._assume_both(test, holds)
            case Unary(op="not"):
                return self.assume(test.operand, holds=not holds)
            case Compare():
                return self._compare(test.left, test.op, test.right, holds=holds)
            case Chain():
                return self._chain(test, holds)
            case BoolLit():
                return self.facts if test.value == holds else None
        self.value(test)
        return self.facts

    def _assume_both(self, test: BoolOp, holds: bool) -> Facts | None:
        """Both hold (and), or neither (or): one after the other. Else either the first decides, or the second."""
        if (test.op == "and") == holds:
            first = self.assume(test.left, holds=holds)
            if first is None:
                return None
            self.facts = first
            return self.assume(test.right, holds=holds)
        before = self.facts.copy()
        decided = self.assume(test.left, holds=holds)
        self.facts, judging, self.judging = before, self.judging, False
        undecided = self.assume(test.left, holds=not holds)
        self.judging = judging
        if undecided is None:
            return decided
        self.facts = undecided
        return either(decided, self.assume(test.right, holds=holds))

    def _chain(self, test: Chain, holds: bool) -> Facts | None:
        if holds:
            for index, op in enumerate(test.ops):
                found = self._compare(test.operands[index], op, test.operands[index + 1], holds=True)
                if found is None:
                    return None
                self.facts = found
            return self.facts
        before = self.facts.copy()
        ways: Facts | None = None
        for index, op in enumerate(test.ops):
            self.facts = before.copy()
            ways = either(ways, self._compare(test.operands[index], op, test.operands[index + 1], holds=False))
        return ways

    def _compare(self, left: Expr, op: str, right: Expr, *, holds: bool) -> Facts | None:
        if op in ("in", "not in"):
            return self._member(left, right, (op == "in") == holds)
        if op in ("is", "is not") or not isinstance(left.type, IntType) or not isinstance(right.type, IntType):
            self.value(left)
            self.value(right)
            return self.facts
        a, b = self.number(left), self.number(right)
        if not holds:
            op = _OPPOSITE[op]
        if not self._bits(left, op, b) or not self._bound(left, op, a, b) or not self._bound(right, _MIRROR[op], b, a):
            return None
        self._bound_sum(left, op, right)
        self._bound_sum(right, _MIRROR[op], left)
        return self.facts

    def _bound(self, expr: Expr, op: str, value: Value, other: Value) -> bool:
        """Whether `expr op other` can be; if so, the variable is bounded."""
        least, most = value.least, value.most
        if op in ("<", "<=", "=="):
            most = min(most, other.most - (1 if op == "<" else 0))
        if op in (">", ">=", "=="):
            least = max(least, other.least + (1 if op == ">" else 0))
        if op == "!=" and other.least == other.most:
            least += 1 if least == other.least else 0
            most -= 1 if most == other.least else 0
        if least > most:
            return False
        key = key_of(expr)
        if key is not None:
            self.facts.values[key] = Value(least, most, value.given)
        elif isinstance(expr, CallBuiltin) and expr.name == "abs" and most < MOST:
            inner = key_of(expr.args[0])
            if inner is not None:
                self.facts.values[inner] = self.number(expr.args[0]).within(-most, most)
        elif isinstance(expr, Binary) and expr.op in ("+", "-") and op != "!=":
            part, constant_part = self.number(expr.left), self.number(expr.right)
            inner = key_of(expr.left)
            if inner is not None and constant_part.least == constant_part.most:
                shift = constant_part.least if expr.op == "+" else -constant_part.least
                self.facts.values[inner] = part.within(least - shift, most - shift)
        return True

    def _bits(self, expr: Expr, op: str, other: Value) -> bool:
        """`x & ~MASK == 0` bounds x."""
        if op == "==" and other.least == other.most == 0 and isinstance(expr, Binary) and expr.op == "&":
            key, mask = key_of(expr.left), self.number(expr.right)
            value = self.number(expr.left)
            if key is not None and mask.least == mask.most and mask.least < 0:
                self.facts.values[key] = value.within(0, ~mask.least)
        return True

    def _bound_sum(self, expr: Expr, op: str, other: Expr) -> None:
        """`x <= LIMIT - y` bounds x + y."""
        if op in ("<", "<=") and isinstance(other, Binary) and other.op == "-":
            self.facts.bound_sum(key_of(expr), key_of(other.right), self.number(other.left).most - (op == "<"))

    def _member(self, left: Expr, right: Expr, is_in: bool) -> Facts | None:
        value = self.value(left)
        members = self.value(right)
        key = key_of(left)
        if is_in and key is not None and isinstance(value, Value) and isinstance(members, tuple):
            numbers = [m for m in members if isinstance(m, Value)]
            if numbers and len(numbers) == len(members):
                self.facts.values[key] = value.within(min(n.least for n in numbers), max(n.most for n in numbers))
        return self.facts


def _shown(value: Value) -> str:
    return f"[{_edge(value.least)}, {_edge(value.most)}]"


def _edge(number: int) -> str:
    size = abs(number)
    if size < 1 << 16:
        return str(number)
    power = size.bit_length() - (size.bit_count() == 1)
    return f"{'-' if number < 0 else ''}{'~' if size.bit_count() != 1 else ''}2^{power}"


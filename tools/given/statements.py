"""Goes through one function with what is known of its variables: statements, loops, and what holds at its end."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.tree import (
    Assert,
    Assign,
    AugAssign,
    Binary,
    Break,
    CallBuiltin,
    CallMethod,
    CapturePattern,
    Comprehension,
    Continue,
    Delete,
    Expr,
    ExprStmt,
    Field,
    FieldTarget,
    For,
    Function,
    GlobalTarget,
    If,
    IndexTarget,
    Local,
    LocalTarget,
    Match,
    OrPattern,
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
    Yield,
)
from compiler.types import IntType
from tools.given.expressions import Expressions
from tools.given.facts import Content, Facts, either
from tools.given.program import Summary
from tools.given.values import Value, anything, default, joined, settled

_ROUNDS = 2  # through a loop; after that, a value that still grows becomes unbounded


class Statements(Expressions):
    """One way through a function. `facts` is what is known where it stands."""

    def __init__(self, summary: Summary, function: Function) -> None:
        super().__init__(summary, function)
        self.breaks: list[Facts | None] = []
        self.continues: list[Facts | None] = []
        self.assigned: set[str] = set()
        self.end: Facts | None = None

    # ---- the function ---------------------------------------------------------------------------------------------

    def run(self, is_handler: bool, judging: bool) -> None:
        self.judging = judging
        for parameter in self.function.params:
            if isinstance(parameter.type, IntType):
                known = anything(parameter.type) if is_handler else self._known(
                    ("parameter", self.function.name, parameter.name), parameter.type
                )
            else:
                known = self.summary.read(("parameter", self.function.name, parameter.name), self.function.name)
            self.facts.values[parameter.name] = known
        there = self.block(self.function.body)
        if there is not None:
            self.end = either(self.end, there)
        self._tell_after()

    def _tell_after(self) -> None:
        """What must be so of the parameters when the function has returned."""
        ranges: dict[int, Value] = {}
        sums: dict[tuple[int, int], int] = {}
        end = self.end
        if end is not None:
            names = [parameter.name for parameter in self.function.params]
            for index, parameter in enumerate(self.function.params):
                value = end.values.get(parameter.name)
                if isinstance(value, Value) and isinstance(parameter.type, IntType):
                    if parameter.name not in self.assigned:
                        ranges[index] = value
            for (first, second), most in end.sums.items():
                if first in names and second in names:
                    sums[names.index(first), names.index(second)] = most
        if self.summary.after.get(self.function.name) != (ranges, sums):
            self.summary.after[self.function.name] = (ranges, sums)
            self.summary.dirty |= self.summary.readers["after", self.function.name]

    # ---- statements -----------------------------------------------------------------------------------------------

    def block(self, body: Sequence[Stmt]) -> Facts | None:
        """What is known after the statements; None if that is unreachable."""
        for statement in body:
            there = self.statement(statement)
            if there is None:
                return None
            self.facts = there
        return self.facts

    def statement(self, statement: Stmt) -> Facts | None:
        match statement:
            case ExprStmt():
                self.value(statement.value)
                if isinstance(statement.value, CallBuiltin) and statement.value.name == "panic":
                    return None
            case Assign():
                content = self.value(statement.value)
                for target in statement.targets:
                    self.store(target, content, statement.value)
            case AugAssign():
                self._augmented(statement)
            case If():
                return self._if(statement)
            case While():
                return self._loop(statement.test, None, statement.body)
            case For():
                content = self._iterated(statement.iterable)
                return self._loop(None, (statement.target, content, statement.iterable), statement.body)
            case Break():
                self.breaks.append(self.facts)
                return None
            case Continue():
                self.continues.append(self.facts)
                return None
            case Return():
                if statement.value is not None:
                    content = self.stored(self.value(statement.value), self.function.result, statement.value)
                    self.summary.add(("result", self.function.name), content, self.function.result)
                self.end = either(self.end, self.facts.copy())
                return None
            case Raise():
                if statement.exception is not None:
                    self.value(statement.exception)
                return None
            case Yield() | Delete():
                if statement.value is not None:
                    self.value(statement.value)
            case Try():
                return self._try(statement)
            case With():
                for item in statement.items:
                    content = self.value(item.context)
                    if item.target is not None:
                        self.store(item.target, content, item.context)
                return self.block(statement.body)
            case Assert():
                return self.assume(statement.test, holds=True)
            case Match():
                return self._match(statement)
        return self.facts

    def _if(self, statement: If) -> Facts | None:
        before = self.facts.copy()
        there = self.assume(statement.test, holds=True)
        ends: list[Facts | None] = [None, None]
        if there is not None:
            self.facts = there
            ends[0] = self.block(statement.then)
        self.facts, judging, self.judging = before, self.judging, False
        there = self.assume(statement.test, holds=False)
        self.judging = judging
        if there is not None:
            self.facts = there
            ends[1] = self.block(statement.orelse)
        return either(ends[0], ends[1])

    def _try(self, statement: Try) -> Facts | None:
        before = self.facts.copy()
        end = self.block(statement.body)
        if end is not None and statement.orelse:
            self.facts = end
            end = self.block(statement.orelse)
        thrown = either(before, end.copy() if end is not None else None) or before
        for handler in statement.handlers:
            self.facts = thrown.copy()
            end = either(end, self.block(handler.body))
        if statement.final:
            self.facts = (end or thrown).copy()
            final = self.block(statement.final)
            return None if end is None else final
        return end

    def _match(self, statement: Match) -> Facts | None:
        content = self.value(statement.subject)
        before = self.facts.copy()
        end: Facts | None = None
        caught = False
        for case in statement.cases:
            self.facts = before.copy()
            members = self._members(case.pattern)
            if isinstance(statement.subject, Local) and members and isinstance(content, Value):
                self.facts.values[statement.subject.name] = content.within(min(members), max(members))
            if isinstance(case.pattern, CapturePattern) and case.pattern.pattern is None and case.guard is None:
                caught = True
                if case.pattern.name is not None:
                    self.facts.assign(case.pattern.name, content)
            if case.guard is not None:
                self.value(case.guard)
            end = either(end, self.block(case.body))
        return end if caught else either(end, before)

    def _members(self, pattern: Pattern) -> list[int]:
        if isinstance(pattern, OrPattern):
            found = [self._members(item) for item in pattern.items]
            return [number for part in found for number in part] if all(found) else []
        if isinstance(pattern, ValuePattern):
            value = self.value(pattern.value)
            return [value.least] if isinstance(value, Value) and value.least == value.most else []
        return []

    # ---- loops ----------------------------------------------------------------------------------------------------

    def _iterated(self, iterable: Expr) -> Content:
        """What a turn of the loop gets."""
        if isinstance(iterable, CallBuiltin):
            contents = [self.value(argument) for argument in iterable.args]
            numbers = [c for c in contents if isinstance(c, Value)]
            if iterable.name == "range" and numbers:
                start = numbers[0] if len(numbers) > 1 else Value(0, 0)
                stop = numbers[1] if len(numbers) > 1 else numbers[0]
                most = max(start.least, max(start.most, stop.most) - 1)
                return Value(min(start.least, stop.least if len(numbers) > 2 else start.least), most,
                             start.given or stop.given)  # fmt: skip
            if iterable.name == "enumerate" and contents:
                return (Value(0, 1 << 40), contents[0])
            return contents[0] if contents else None
        if isinstance(iterable, CallMethod) and iterable.method == "items":
            return (None, self.value(iterable.receiver))
        return self.value(iterable)

    def _turn(self, test: Expr | None, each: tuple[Target, Content, Expr] | None, body: Sequence[Stmt]) -> Facts | None:
        """One turn from `facts`: what is known when the next begins."""
        if test is not None:
            there = self.assume(test, holds=True)
            if there is None:
                return None
            self.facts = there
        if each is not None:
            self.store(each[0], each[1], each[2])
        end = self.block(body)
        for way in self.continues:
            end = either(end, way)
        return end

    def _loop(self, test: Expr | None, each: tuple[Target, Content, Expr] | None, body: Sequence[Stmt]) -> Facts | None:
        outer = self.breaks, self.continues
        judging, self.judging = self.judging, False
        start = self.facts.copy()
        for turn in range(_ROUNDS + 1):
            self.breaks, self.continues = [], []
            self.facts = start.copy()
            end = self._turn(test, each, body)
            if end is None:
                break
            start = _widened(start, end, turn == _ROUNDS)
        self.judging = judging
        self.breaks, self.continues = [], []
        self.facts = start.copy()
        self._turn(test, each, body)
        breaks = self.breaks
        self.breaks, self.continues = outer
        self.facts, self.judging = start, False
        end = self.facts if each is not None else self.assume(test, holds=False) if test is not None else None
        self.judging = judging
        for way in breaks:
            end = either(end, way)
        return end

    def comprehension(self, expr: Comprehension) -> Content:
        for clause in expr.clauses:
            self.store(clause.target, self._iterated(clause.iterable), clause.iterable)
            for condition in clause.conditions:
                there = self.assume(condition, holds=True)
                if there is not None:
                    self.facts = there
        return self.value(expr.element)

    # ---- places ---------------------------------------------------------------------------------------------------

    def _augmented(self, statement: AugAssign) -> None:
        target = statement.target
        right = self.value(statement.value)
        old: Content = None
        place: Expr | None = None
        if isinstance(target, LocalTarget):
            place = Local(statement.loc, statement.result_type, target.name)
        elif isinstance(target, FieldTarget):
            place = Field(statement.loc, statement.result_type, target.value, target.owner, target.name)
        elif isinstance(target, GlobalTarget):
            old = self._known(("global", target.module, target.name), target.type)
        if place is not None:
            old = self.value(place)
        if not isinstance(statement.result_type, IntType):
            if isinstance(old, Value) and isinstance(right, Value):
                self.store(target, joined(old, right), statement.value)
            return
        left = old if isinstance(old, Value) else default(target.type)
        number = right if isinstance(right, Value) else default(statement.value.type)
        judged: Expr = Local(statement.loc, statement.result_type, "")
        if place is not None:
            judged = Binary(statement.loc, statement.result_type, statement.op, place, statement.value)
        self.store(target, self.operation(statement.op, left, number, judged), judged)

    def store(self, target: Target, content: Content, source: Expr) -> None:
        """`target = content`."""
        if isinstance(target, TupleTarget):
            parts = content if isinstance(content, tuple) else (None,) * len(target.items)
            for item, part in zip(target.items, parts, strict=False):
                self.store(item, part, source)
            return
        content = self.stored(content, target.type, source)
        match target:
            case LocalTarget():
                self.assigned.add(target.name)
                self.facts.assign(target.name, content)
            case FieldTarget():
                self.value(target.value)
                self.summary.add(("field", target.owner, target.name), content, target.type)
                if isinstance(target.value, Local):
                    self.facts.assign(f"{target.value.name}.{target.name}", content)
            case GlobalTarget():
                self.summary.add(("global", target.module, target.name), content, target.type)
            case IndexTarget():
                self.value(target.container)
                self.value(target.index)
            case SetItemTarget():
                receiver = self.value(target.container)
                self.value(target.index)
                if isinstance(content, Value):
                    both = joined(receiver, content) if isinstance(receiver, Value) else content
                    self._store_content(target.container, both)
            case PropertyTarget():
                self.value(target.value)
                for function in self.summary.targets(target.owner, target.name):
                    self._pass(function, [None, content], source)


def _widened(before: Facts, after: Facts, give_up: bool) -> Facts:
    """What holds at the start of every turn."""
    met = either(before, after) or before
    for key, old in before.values.items():
        new = met.values.get(key)
        if give_up and isinstance(old, Value) and isinstance(new, Value) and new != old and new.given:
            met.values[key] = settled(old, new)
    return met

"""Long literals: constant items go into a table, and a loop reads them from there.

LLVM's time for a function grows faster than its length, so constants must not become instructions each.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.lower.function import FunctionLowerer
from compiler.lower.values import Value
from compiler.types import NeverType, NoneType, Type

LEAST = 32  # constant items in a row from which on there is a table

Row = list[Value]


def is_constant(value: Value) -> bool:
    """Whether an operand is a constant to LLVM."""
    return not value.operand.startswith("%") and not isinstance(value.type, NoneType | NeverType)


def in_rows(fn: FunctionLowerer, types: list[Type], rows: list[Callable[[], Row]], use: Callable[[Row], None]) -> None:
    """Evaluate rows of values of the given types, and use them in order. Constant rows are collected, and may be used
    after the next other row was evaluated: its evaluation must not depend on them.
    """
    waiting: list[Row] = []

    def flush() -> None:
        if len(waiting) < LEAST:
            for row in waiting:
                use(row)
        else:
            over_table(fn, types, waiting, use)
        waiting.clear()

    for evaluate in rows:
        start = len(fn.lines)
        row = evaluate()
        if len(fn.lines) == start and fn.live and all(map(is_constant, row)):
            waiting.append(row)
            continue
        flush()
        use(row)
    flush()


def over_table(fn: FunctionLowerer, types: list[Type], rows: list[Row], use: Callable[[Row], None]) -> None:
    """Use constant rows in a loop."""
    tables = [table(fn, t, [row[column] for row in rows]) for column, t in enumerate(types)]
    counter = fn.alloca("i64", zero=False)
    fn.emit(f"store i64 0, ptr {counter}")
    head, inside, end = fn.label("table"), fn.label("body"), fn.label("end")
    fn.branch(head)
    fn.start(head)
    now = fn.op(f"load i64, ptr {counter}")
    fn.branch_if(fn.op(f"icmp slt i64 {now}, {len(rows)}"), inside, end)
    fn.start(inside)
    row = []
    for t, address in zip(types, tables, strict=True):
        place = fn.op(f"getelementptr inbounds {fn.kind(t)}, ptr {address}, i64 {now}")
        row.append(Value(fn.op(f"load {fn.kind(t)}, ptr {place}"), t))
    use(row)
    fn.emit(f"store i64 {fn.op(f'add nsw i64 {now}, 1')}, ptr {counter}")
    fn.branch(head)
    fn.start(end)


def table(fn: FunctionLowerer, t: Type, values: list[Value]) -> str:
    """A table of constants; its address."""
    kind = fn.kind(t)
    symbol = f"krait.table.{fn.instance.symbol}.{fn.name('')}"
    if not fn.discovering:
        items = ", ".join(f"{kind} {value.operand}" for value in values)
        fn.module.define(symbol, f'@"{symbol}" = internal constant [{len(values)} x {kind}] [{items}], align 8')
    return f'@"{symbol}"'

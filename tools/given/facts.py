"""What is known at one place of a function: of its variables, and of sums that a comparison has bounded."""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.tree import Binary, Expr, Field, Local
from tools.given.values import MOST, Value, joined

Content = Value | tuple["Content", ...] | None


def key_of(expr: Expr) -> str | None:
    """A variable, or a field of one: what a comparison can say something of."""
    if isinstance(expr, Local):
        return expr.name
    if isinstance(expr, Field) and isinstance(expr.value, Local):
        return f"{expr.value.name}.{expr.name}"
    return None


def joined_content(first: Content, second: Content) -> Content:
    if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
        return tuple(joined_content(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, tuple) or isinstance(second, tuple):
        return None
    return joined(first, second)


@dataclass
class Facts:
    """`sums[a, b]` is a bound that a + b does not exceed. Keys with a dot are fields: calls may change them."""

    values: dict[str, Content] = field(default_factory=dict)
    sums: dict[tuple[str, str], int] = field(default_factory=dict)

    def copy(self) -> Facts:
        return Facts(dict(self.values), dict(self.sums))

    def assign(self, key: str, value: Content) -> None:
        for other in [name for name in self.values if name.startswith(f"{key}.")]:
            del self.values[other]
        self.sums = {pair: most for pair, most in self.sums.items() if key not in pair}
        self.values[key] = value

    def forget_fields(self) -> None:
        if any("." in key for key in self.values):
            self.values = {key: value for key, value in self.values.items() if "." not in key}
            self.sums = {pair: most for pair, most in self.sums.items() if "." not in pair[0] + pair[1]}

    def bound_sum(self, first: str | None, second: str | None, most: int) -> None:
        """From now on, first + second <= most."""
        if first is not None and second is not None:
            pair = (min(first, second), max(first, second))
            self.sums[pair] = min(most, self.sums.get(pair, MOST))

    def sum_bound(self, expr: Binary) -> int | None:
        """The bound of a sum of two keys, if there is one."""
        first, second = key_of(expr.left), key_of(expr.right)
        if first is None or second is None:
            return None
        return self.sums.get((min(first, second), max(first, second)))


def either(first: Facts | None, second: Facts | None) -> Facts | None:
    """What is known where two ways meet; None is a way that nobody comes."""
    if first is None or second is None:
        return first or second
    values: dict[str, Content] = {}
    for key in first.values.keys() | second.values.keys():
        if key in first.values and key in second.values:
            values[key] = joined_content(first.values[key], second.values[key])
        elif "." not in key:
            values[key] = first.values.get(key, second.values.get(key))
    sums = {pair: max(most, second.sums[pair]) for pair, most in first.sums.items() if pair in second.sums}
    return Facts(values, sums)

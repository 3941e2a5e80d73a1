"""Arithmetic on ints: checked at 64 bits, wrapping under a cast, without a check where the ranges of the operands
allow.
"""

from __future__ import annotations

from compiler.lower.convert import coerce
from compiler.lower.function import TRAP_OVERFLOW, TRAP_SHIFT, TRAP_ZERO, FunctionLowerer
from compiler.lower.values import (
    INT_MAX,
    INT_MIN,
    U64_MAX,
    Fact,
    Value,
    bounds,
    int_constant,
    is_unsigned,
    type_bounds,
)
from compiler.types import INT, U64, EnumType, IntType, Type

PLAIN = {"+": "add", "-": "sub", "*": "mul"}
BITS = {"&": "and", "|": "or", "^": "xor"}


def arithmetic(fn: FunctionLowerer, op: str, a: Value, b: Value, result: Type) -> Value:
    """`a op b` on ints. `result` is `int`, `u64` or an enum of flags."""
    unsigned = is_unsigned(result) or is_unsigned(a.type) or is_unsigned(b.type)
    result = U64 if unsigned else result if isinstance(result, EnumType) else INT
    if unsigned:
        if op not in ("<<", ">>"):
            a, b = coerce(fn, a, U64), coerce(fn, b, U64)
        else:
            a = coerce(fn, a, U64)
    if a.constant is not None and b.constant is not None:
        folded = fold(op, a.constant, b.constant)
        low, high = type_bounds(result)
        if folded is not None and low <= folded <= high:
            return int_constant(folded, result)
    if op in PLAIN:
        return checked(fn, op, a, b, result)
    if op in BITS:
        low, high = bit_bounds(op, a, b, unsigned)
        return Value(fn.op(f"{BITS[op]} i64 {a.operand}, {b.operand}"), result, low, high)
    if op in ("//", "%"):
        return divide(fn, op, a, b, result)
    if op == "<<":
        return shift_left(fn, a, b, result)
    if op == ">>":
        return shift_right(fn, a, b, result)
    raise fn.error("KP940", f"{op} is not an operator on ints")


def fold(op: str, a: int, b: int) -> int | None:
    """The result of an operation on constants; None where it traps."""
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "&":
            return a & b
        case "|":
            return a | b
        case "^":
            return a ^ b
        case "//":
            return a // b if b else None
        case "%":
            return a % b if b else None
        case "<<":
            return a << b if 0 <= b <= 63 else None
        case ">>":
            return a >> b if 0 <= b <= 63 else None
    return None


def checked(fn: FunctionLowerer, op: str, a: Value, b: Value, result: Type) -> Value:
    """`+ - *`, trapping on overflow unless the ranges rule it out."""
    (al, ah), (bl, bh) = bounds(a), bounds(b)
    if op == "+":
        low, high = al + bl, ah + bh
    elif op == "-":
        low, high = al - bh, ah - bl
    else:
        products = (al * bl, al * bh, ah * bl, ah * bh)
        low, high = min(products), max(products)
    least, greatest = type_bounds(result)
    unsigned = is_unsigned(result)
    if low >= least and high <= greatest:
        flags = "nuw " if unsigned else "nuw nsw " if al >= 0 and bl >= 0 and low >= 0 else "nsw "
        register = fn.op(f"{PLAIN[op]} {flags}i64 {a.operand}, {b.operand}")
        note_sum(fn, op, a, b, register)
        return Value(register, result, low, high)
    name = f"llvm.{'u' if unsigned else 's'}{PLAIN[op]}.with.overflow.i64"
    fn.module.declare(name, f"declare {{ i64, i1 }} @{name}(i64, i64)")
    pair = fn.op(f"call {{ i64, i1 }} @{name}(i64 {a.operand}, i64 {b.operand})")
    fn.trap_if(fn.op(f"extractvalue {{ i64, i1 }} {pair}, 1"), TRAP_OVERFLOW)
    value = fn.op(f"extractvalue {{ i64, i1 }} {pair}, 0")
    note_sum(fn, op, a, b, value)
    return Value(value, result, max(low, least), min(high, greatest))


def note_sum(fn: FunctionLowerer, op: str, a: Value, b: Value, register: str) -> None:
    """Remember that a register is a local and a constant: what is found out about it holds for the local, too."""
    amount = b.constant if a.constant is None else None
    if op == "+" and amount is None:
        a, amount = b, a.constant
    read = fn.reads.get(a.operand)
    if read is not None and amount is not None and op in ("+", "-"):
        address, writes, before = read
        fn.reads[register] = (address, writes, before + (amount if op == "+" else -amount))


def bit_bounds(op: str, a: Value, b: Value, unsigned: bool) -> tuple[int, int]:
    """The range of `& | ^`."""
    (al, ah), (bl, bh) = bounds(a), bounds(b)
    if op == "&":
        if al >= 0 and bl >= 0:
            return 0, min(ah, bh)
        if al >= 0 or bl >= 0:
            return 0, ah if al >= 0 else bh
    elif al >= 0 and bl >= 0:
        return 0, (1 << max(ah.bit_length(), bh.bit_length())) - 1
    return (0, U64_MAX) if unsigned else (INT_MIN, INT_MAX)


def divide(fn: FunctionLowerer, op: str, a: Value, b: Value, result: Type) -> Value:
    """`//` and `%`, rounding down as Python does."""
    (al, ah), (bl, bh) = bounds(a), bounds(b)
    if bl <= 0 <= bh:
        fn.trap_if(fn.op(f"icmp eq i64 {b.operand}, 0"), TRAP_ZERO)
    if is_unsigned(result) or (al >= 0 and bl >= 0):
        value = fn.op(f"{'udiv' if op == '//' else 'urem'} i64 {a.operand}, {b.operand}")
        low, high = (0, ah // max(bl, 1)) if op == "//" else (0, min(ah, max(bh - 1, 0)))
        return Value(value, result, low, high)
    if b.constant is not None and b.constant > 0 and b.constant & (b.constant - 1) == 0:
        # Shifting right and masking both round down.
        if op == "//":
            value = fn.op(f"ashr i64 {a.operand}, {b.constant.bit_length() - 1}")
            return Value(value, result, al // b.constant, ah // b.constant)
        return Value(fn.op(f"and i64 {a.operand}, {b.constant - 1}"), result, 0, b.constant - 1)
    if al == INT_MIN and bl <= -1 <= bh:
        least = fn.op(f"icmp eq i64 {a.operand}, {INT_MIN}")
        minus_one = fn.op(f"icmp eq i64 {b.operand}, -1")
        both = fn.op(f"and i1 {least}, {minus_one}")
        if op == "//":
            fn.trap_if(both, TRAP_OVERFLOW)
        else:
            # The remainder is 0, but the processor would fault: divide by 1 instead.
            b = Value(fn.op(f"select i1 {both}, i64 1, i64 {b.operand}"), b.type, b.low, b.high)
    quotient = fn.op(f"sdiv i64 {a.operand}, {b.operand}")
    product = fn.op(f"mul i64 {quotient}, {b.operand}")
    rest = fn.op(f"sub i64 {a.operand}, {product}")
    nonzero = fn.op(f"icmp ne i64 {rest}, 0")
    mixed = fn.op(f"xor i64 {rest}, {b.operand}")
    opposite = fn.op(f"icmp slt i64 {mixed}, 0")
    adjust = fn.op(f"and i1 {nonzero}, {opposite}")
    if op == "//":
        one = fn.op(f"zext i1 {adjust} to i64")
        return Value(fn.op(f"sub i64 {quotient}, {one}"), result)
    added = fn.op(f"select i1 {adjust}, i64 {b.operand}, i64 0")
    low, high = (0, bh - 1) if bl > 0 else (INT_MIN, INT_MAX)
    return Value(fn.op(f"add i64 {rest}, {added}"), result, low, high)


def check_shift_count(fn: FunctionLowerer, count: Value) -> None:
    """Trap unless the count lies in 0…63."""
    low, high = bounds(count)
    if low < 0 or high > 63:
        fn.trap_if(fn.op(f"icmp ugt i64 {count.operand}, 63"), TRAP_SHIFT)


def inside(count: int) -> int:
    """The shift count next to a number: where it is surely another, the shift is not reached."""
    return min(max(count, 0), 63)


def shift_left(fn: FunctionLowerer, a: Value, count: Value, result: Type) -> Value:
    """`<<`, trapping when a bit is lost."""
    check_shift_count(fn, count)
    unsigned = is_unsigned(result)
    (al, ah), (cl, ch) = bounds(a), bounds(count)
    least, greatest = type_bounds(result)
    shifted = fn.op(f"shl i64 {a.operand}, {count.operand}")
    cl, ch = inside(cl), inside(ch)
    low, high = min(al << cl, al << ch), max(ah << cl, ah << ch)
    fixed = count.constant
    if fixed is not None and 0 <= fixed <= 63 and least <= low and high > greatest:
        # Only upwards may a bit be lost: a comparison says whether, and what holds of the number afterwards.
        fn.trap_if(compare(fn, ">", a, int_constant(greatest >> fixed, result)), TRAP_OVERFLOW)
    elif low < least or high > greatest:
        back = fn.op(f"{'lshr' if unsigned else 'ashr'} i64 {shifted}, {count.operand}")
        fn.trap_if(fn.op(f"icmp ne i64 {back}, {a.operand}"), TRAP_OVERFLOW)
    return Value(shifted, result, max(low, least), min(high, greatest))


def shift_right(fn: FunctionLowerer, a: Value, count: Value, result: Type) -> Value:
    """`>>`."""
    check_shift_count(fn, count)
    (al, ah), (cl, ch) = bounds(a), bounds(count)
    cl, ch = inside(cl), inside(ch)
    value = fn.op(f"{'lshr' if is_unsigned(result) else 'ashr'} i64 {a.operand}, {count.operand}")
    return Value(value, result, min(al >> cl, al >> ch), max(ah >> cl, ah >> ch))


def negate(fn: FunctionLowerer, a: Value) -> Value:
    """`-a` of an int."""
    return arithmetic(fn, "-", int_constant(0), a, INT)


def complement(fn: FunctionLowerer, a: Value, result: Type) -> Value:
    """`~a`."""
    if a.constant is not None and not is_unsigned(a.type):
        return int_constant(~a.constant, result)
    low, high = bounds(a)
    t = U64 if is_unsigned(a.type) else result
    if t == U64:
        # Python's ~ of a u64 is negative: only the casts wrap.
        raise fn.error("KP941", "~ of a u64 is only meaningful under a cast", "write u64(~x)")
    return Value(fn.op(f"xor i64 {a.operand}, -1"), t, ~high, ~low)


def absolute(fn: FunctionLowerer, a: Value) -> Value:
    """`abs(a)`."""
    low, high = bounds(a)
    if low >= 0:
        return a
    if low == INT_MIN:
        fn.trap_if(fn.op(f"icmp eq i64 {a.operand}, {INT_MIN}"), TRAP_OVERFLOW)
    fn.module.declare("llvm.abs.i64", "declare i64 @llvm.abs.i64(i64, i1)")
    value = fn.op(f"call i64 @llvm.abs.i64(i64 {a.operand}, i1 true)")
    return Value(value, INT, 0, min(max(-low, high), INT_MAX))


def extreme(fn: FunctionLowerer, name: str, a: Value, b: Value, result: Type) -> Value:
    """`min` or `max` of two ints."""
    unsigned = is_unsigned(result)
    if is_unsigned(a.type) != is_unsigned(b.type):
        a, b = coerce(fn, a, U64), coerce(fn, b, U64)
        unsigned = True
    intrinsic = f"llvm.{'u' if unsigned else 's'}{name}.i64"
    fn.module.declare(intrinsic, f"declare i64 @{intrinsic}(i64, i64)")
    (al, ah), (bl, bh) = bounds(a), bounds(b)
    pick = min if name == "min" else max
    value = fn.op(f"call i64 @{intrinsic}(i64 {a.operand}, i64 {b.operand})")
    return Value(value, U64 if unsigned else INT, pick(al, bl), pick(ah, bh))


CONDITIONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def compare(fn: FunctionLowerer, op: str, a: Value, b: Value) -> str:
    """A comparison of ints of any two kinds, as an i1: by value, whatever their signs."""
    if a.constant is not None and b.constant is not None:
        left, right = a.constant, b.constant
        results = {"==": left == right, "!=": left != right, "<": left < right,
                   "<=": left <= right, ">": left > right, ">=": left >= right}  # fmt: skip
        return "true" if results[op] else "false"
    condition = CONDITIONS[op]
    a_unsigned, b_unsigned = is_unsigned(a.type), is_unsigned(b.type)
    if not a_unsigned and not b_unsigned:
        prefix = "" if op in ("==", "!=") else "s"
        bit = fn.op(f"icmp {prefix}{condition} i64 {a.operand}, {b.operand}")
        note_comparison(fn, op, a, b, bit)
        return bit
    prefix = "" if op in ("==", "!=") else "u"
    plain = fn.op(f"icmp {prefix}{condition} i64 {a.operand}, {b.operand}")
    signed = None if a_unsigned and b_unsigned else b if a_unsigned else a
    if signed is None or bounds(signed)[0] >= 0:
        return plain
    # A negative number is below every u64.
    negative = fn.op(f"icmp slt i64 {signed.operand}, 0")
    answer = {"==": False, "!=": True, "<": signed is a, "<=": signed is a, ">": signed is b, ">=": signed is b}[op]
    return fn.op(f"select i1 {negative}, i1 {'true' if answer else 'false'}, i1 {plain}")


OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
SWAPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def note_comparison(fn: FunctionLowerer, op: str, a: Value, b: Value, bit: str) -> None:
    """Remember what an i1 says about the ranges of locals."""
    true: list[Fact] = []
    false: list[Fact] = []
    for left, right, relation in ((a, b, op), (b, a, SWAPPED[op])):
        read = fn.reads.get(left.operand)
        if read is not None:
            true += facts(read, relation, left, right)
            false += facts(read, OPPOSITES[relation], left, right)
    if true or false:
        fn.implied[bit] = (true, false)


def facts(read: tuple[str, int, int], op: str, left: Value, right: Value) -> list[Fact]:
    """What `left op right` says about the local that was read: a range without numbers if it cannot be."""
    address, writes, added = read
    (least, greatest), (low, high) = bounds(left), bounds(right)
    match op:
        case "<":
            greatest = min(greatest, high - 1)
        case "<=":
            greatest = min(greatest, high)
        case ">":
            least = max(least, low + 1)
        case ">=":
            least = max(least, low)
        case "==":
            least, greatest = max(least, low), min(greatest, high)
    return [Fact(address, writes, least - added, greatest - added)] if op != "!=" else []


def wrap(fn: FunctionLowerer, value: Value, to: IntType) -> Value:
    """The value modulo 2**bits, as the type's number."""
    low, high = bounds(value)
    least, greatest = type_bounds(to)
    if least <= low and high <= greatest:
        return Value(value.operand, to, low, high)
    if value.constant is not None:
        number = value.constant & ((1 << to.bits) - 1)
        return int_constant(number - (1 << to.bits) if to.signed and number > greatest else number, to)
    if to.bits == 64:
        fn.reads.pop(value.operand, None)  # it may be another number now: what is found out is not about the local
        return Value(value.operand, to)
    narrow = fn.op(f"trunc i64 {value.operand} to i{to.bits}")
    return Value(fn.op(f"{'sext' if to.signed else 'zext'} i{to.bits} {narrow} to i64"), to)

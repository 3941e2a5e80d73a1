"""Raw memory: `kernel.lang.unsafe`, and the building blocks of the run-time library, `kernel.lang.raw` and RawArray."""

from __future__ import annotations

from collections.abc import Callable

from compiler.lower.convert import as_int, coerce, constant, number
from compiler.lower.dispatch import lower, values_of
from compiler.lower.elements import U8, element_address, fill_elements, item
from compiler.lower.expressions import wrapped
from compiler.lower.function import TRAP_RANGE, FunctionLowerer
from compiler.lower.values import LENGTH_LIMIT, NONE_VALUE, Value, bounds
from compiler.tree import CallBuiltin, Expr, Global
from compiler.types import (
    BOOL,
    BYTES,
    INT,
    STORAGE_INTS,
    STR,
    IntType,
    SpanType,
    Type,
    is_reference,
)

Handler = Callable[[FunctionLowerer, CallBuiltin], Value]


def pointer(fn: FunctionLowerer, address: Value) -> str:
    """An address as a pointer."""
    return fn.op(f"inttoptr i64 {address.operand} to ptr")


def place(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """The first argument, an address: its sums are computed modulo 2**64, as the processor computes addresses."""
    value = wrapped(fn, e.args[0])
    fn.set_loc(e.loc)
    return value


def ints(fn: FunctionLowerer, e: CallBuiltin) -> list[Value]:
    """All arguments as ints."""
    return [
        as_int(fn, number(fn, v)) if not isinstance(v.type, IntType) else as_int(fn, v) for v in values_of(fn, e)
    ]


def load(kind: str, volatile: bool) -> Handler:
    """`load_u8(address)` and its like."""
    bits, signed = int(kind[1:]), kind[0] == "i"
    mark = "volatile " if volatile else ""

    def lowered(fn: FunctionLowerer, e: CallBuiltin) -> Value:
        address = place(fn, e)
        value = fn.op(f"load {mark}i{bits}, ptr {pointer(fn, address)}, align 1")
        if bits == 64:
            return Value(value, INT)
        low = -(1 << (bits - 1)) if signed else 0
        return Value(fn.op(f"{'sext' if signed else 'zext'} i{bits} {value} to i64"), INT, low, low + (1 << bits) - 1)

    return lowered


def store(kind: str, volatile: bool) -> Handler:
    """`store_u8(address, value)` and its like: the value is range-checked."""
    bits = int(kind[1:])
    mark = "volatile " if volatile else ""

    def lowered(fn: FunctionLowerer, e: CallBuiltin) -> Value:
        address = place(fn, e)
        value = lower(fn, e.args[1])
        fn.set_loc(e.loc)
        value = as_int(fn, value if isinstance(value.type, IntType) else number(fn, value))
        if bits < 64:
            value = coerce(fn, value, STORAGE_INTS[kind])
        operand = value.operand if bits == 64 else fn.op(f"trunc i64 {value.operand} to i{bits}")
        fn.emit(f"store {mark}i{bits} {operand}, ptr {pointer(fn, address)}, align 1")
        return NONE_VALUE

    return lowered


def address_of(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    value = values_of(fn, e)[0]
    fn.world.expose(value.type)
    return Value(fn.op(f"ptrtoint ptr {value.operand} to i64"), INT)


def object_at(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`object_at(C, address)`, `struct_at_address(S, address)`."""
    fn.world.expose(fn.type(e.type_operands[0]))
    return Value(pointer(fn, place(fn, e)), fn.type(e.type_operands[0]))


def own_object(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """`own_object(C, offset)`. The processor's page is at GS. What is there changes only where a thread leaves the
    processor, and then the thread does not see it; so two reads in one function may be one.
    """
    code = f"movq %gs:{own_offset(fn, e.args[0])}, $0"
    return Value(fn.op(f'call ptr asm "{code}", "=r"() nounwind memory(none)'), fn.type(e.type_operands[0]))


def set_own_object(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    value = lower(fn, e.args[1])
    code = f"movq $0, %gs:{own_offset(fn, e.args[0])}"
    fn.emit(f'call void asm sideeffect "{code}", "r,~{{memory}}"(ptr {value.operand})')
    return NONE_VALUE


def own_offset(fn: FunctionLowerer, e: Expr) -> int:
    """An offset in the processor's page, which the instruction holds."""
    offset = lower(fn, e).constant
    if offset is None:
        raise fn.error("KP998", "the offset must be a constant")
    return offset


def span_at(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    address, length = ints(fn, e)
    low, high = bounds(length)
    if low < 0 or high > LENGTH_LIMIT:  # unsigned: a negative number is large too
        fn.trap_if(fn.op(f"icmp ugt i64 {length.operand}, {LENGTH_LIMIT}"), TRAP_RANGE)
    return fn.make_span(pointer(fn, address), length.operand, SpanType(U8))


def span_address(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    span = values_of(fn, e)[0]
    return Value(fn.op(f"ptrtoint ptr {fn.span_parts(span)[0]} to i64"), INT)


def atomic_add(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    address, amount = ints(fn, e)
    low = fn.op(f"trunc i64 {amount.operand} to i32")
    old = fn.op(f"atomicrmw add ptr {pointer(fn, address)}, i32 {low} seq_cst")
    return Value(fn.op(f"zext i32 {old} to i64"), INT, 0, (1 << 32) - 1)


def atomic_swap(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    address, value = ints(fn, e)
    low = fn.op(f"trunc i64 {value.operand} to i32")
    old = fn.op(f"atomicrmw xchg ptr {pointer(fn, address)}, i32 {low} seq_cst")
    return Value(fn.op(f"zext i32 {old} to i64"), INT, 0, (1 << 32) - 1)


def atomic_cas(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    address, old, new = ints(fn, e)
    old32, new32 = fn.op(f"trunc i64 {old.operand} to i32"), fn.op(f"trunc i64 {new.operand} to i32")
    pair = fn.op(f"cmpxchg ptr {pointer(fn, address)}, i32 {old32}, i32 {new32} seq_cst seq_cst")
    return Value(fn.op(f"extractvalue {{ i32, i1 }} {pair}, 1"), BOOL)


def copy_bytes(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    to, source, count = ints(fn, e)
    fn.copy_bytes(pointer(fn, to), pointer(fn, source), count.operand)
    return NONE_VALUE


def fill_bytes(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    to, value, count = ints(fn, e)
    byte = fn.op(f"trunc i64 {coerce(fn, value, U8).operand} to i8")
    fn.module.intrinsic("llvm.memset")
    fn.emit(f"call void @llvm.memset.p0.i64(ptr {pointer(fn, to)}, i8 {byte}, i64 {count.operand}, i1 false)")
    return NONE_VALUE


def symbol_address(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    symbol = e.text_operand
    fn.module.declare(symbol, f'@"{symbol}" = external dso_local global i8')
    return Value(fn.op(f'ptrtoint ptr @"{symbol}" to i64'), INT)


def function_address(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """The address of a function's code, for hardware and assembly: it must not raise."""
    target = e.args[0]
    if not isinstance(target, Global):
        value = lower(fn, target)
        return Value(fn.op(f"ptrtoint ptr {value.operand} to i64"), INT)
    instance = fn.world.instance(fn.world.function(f"{target.module}.{target.name}", e.loc), {})
    fn.world.from_outside[instance] = e.loc
    fn.world.external.add(instance.symbol)
    if not instance.extern:
        fn.mention(instance, instance.parameters, instance.result)
    else:
        fn.module.declare(instance.symbol, f'@"{instance.symbol}" = external dso_local global i8')
    return Value(fn.op(f'ptrtoint ptr @"{instance.symbol}" to i64'), INT)


def compiler_barrier(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    fn.emit('call void asm sideeffect "", "~{memory}"()')
    return NONE_VALUE


def memory_fence(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """A locked instruction that changes nothing: it takes half the time of `mfence`."""
    fn.emit('call void asm sideeffect "lock orl $$0, (%rsp)", "~{memory},~{flags}"()')
    return NONE_VALUE


def pause(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    fn.emit('call void asm sideeffect "pause", "~{memory}"()')
    return NONE_VALUE


def spill_registers(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    """The callee-saved registers into this frame; the address where they begin."""
    place = fn.alloca("[6 x i64]", zero=False, align=16)
    code = "".join(f"movq %{r}, {8 * i}($0); " for i, r in enumerate(("rbx", "rbp", "r12", "r13", "r14", "r15")))
    fn.emit(f'call void asm sideeffect "{code}", "r,~{{memory}}"(ptr {place})')
    return Value(fn.op(f"ptrtoint ptr {place} to i64"), INT)


def trap(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    kind = lower(fn, e.args[0]).constant
    fn.set_loc(e.loc)
    if kind is None:
        raise fn.error("KP998", "the kind of a trap must be a constant")
    fn.trap(kind)
    return Value("poison", fn.type(e.type))


UNSAFE: dict[str, Handler] = {
    "unsafe.address_of": address_of,
    "unsafe.object_at": object_at,
    "unsafe.own_object": own_object,
    "unsafe.set_own_object": set_own_object,
    "unsafe.struct_at_address": object_at,
    "unsafe.span_at": span_at,
    "unsafe.span_address": span_address,
    "unsafe.atomic_add_u32": atomic_add,
    "unsafe.atomic_swap_u32": atomic_swap,
    "unsafe.atomic_cas_u32": atomic_cas,
    "unsafe.copy_bytes": copy_bytes,
    "unsafe.fill_bytes": fill_bytes,
    "unsafe.symbol_address": symbol_address,
    "unsafe.function_address": function_address,
    "unsafe.compiler_barrier": compiler_barrier,
    "unsafe.memory_fence": memory_fence,
    "unsafe.pause": pause,
    "unsafe.spill_registers": spill_registers,
    "unsafe.trap": trap,
}
for _kind in ("u8", "u16", "u32", "i64"):
    for _prefix, _volatile in (("", False), ("mmio_", True)):
        UNSAFE[f"unsafe.{_prefix}load_{_kind}"] = load(_kind, _volatile)
        UNSAFE[f"unsafe.{_prefix}store_{_kind}"] = store(_kind, _volatile)


# RawArray and the bytes of texts --------------------------------------------------------------------------------------


def element_at(fn: FunctionLowerer, array: Value, index: Value) -> tuple[str, Type, int]:
    """Address, type and size of an element."""
    place, element, _, _ = element_address(fn, array, index)
    return place, element, fn.layouts.size_align(element)[0]


def scaled(fn: FunctionLowerer, count: Value, size: int) -> str:
    """How many bytes that many elements take."""
    return count.operand if size == 1 else fn.op(f"mul nuw nsw i64 {count.operand}, {size}")


def raw_fill(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, start, count, value = values_of(fn, e)
    place, element, _ = element_at(fn, array, start)
    fill_elements(fn, place, count.operand, coerce(fn, value, element), element)
    return NONE_VALUE


def raw_clear(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, start, count = values_of(fn, e)
    place, element, size = element_at(fn, array, start)
    if is_reference(element):
        fill_elements(fn, place, count.operand, Value("null", element), element)
    else:
        zero(fn, place, scaled(fn, count, size))
    return NONE_VALUE


def raw_forget(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, start, count = values_of(fn, e)
    place, _, size = element_at(fn, array, start)
    zero(fn, place, scaled(fn, count, size))
    return NONE_VALUE


def zero(fn: FunctionLowerer, place: str, size: str) -> None:
    fn.module.intrinsic("llvm.memset")
    fn.emit(f"call void @llvm.memset.p0.i64(ptr {place}, i8 0, i64 {size}, i1 false)")


def raw_move(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, to, start, count = values_of(fn, e)
    target, _, size = element_at(fn, array, to)
    source, _, _ = element_at(fn, array, start)
    fn.copy_bytes(target, source, scaled(fn, count, size))
    return NONE_VALUE


def raw_take(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, to, other, start, count = values_of(fn, e)
    target, _, size = element_at(fn, array, to)
    source, _, _ = element_at(fn, other, start)
    fn.copy_bytes(target, source, scaled(fn, count, size))
    return NONE_VALUE


def become_bytes(fn: FunctionLowerer, array: Value, length: Value) -> Value:
    """Turn a RawArray[u8] into bytes where it lies: another type word and length, and the NUL after it."""
    fn.world.require_class(BYTES)
    # The type word is copied from a byte string: in the kernel it has no relocation that an instruction could take.
    pattern = constant(fn, b"", BYTES)
    word = fn.op(f"load i32, ptr {fn.offset(pattern.operand, 4)}")
    fn.emit(f"store i32 {word}, ptr {fn.offset(array.operand, 4)}")
    fn.emit(f"store i64 {length.operand}, ptr {fn.offset(array.operand, 8)}")
    end = fn.op(f"getelementptr inbounds i8, ptr {fn.offset(array.operand, 16)}, i64 {length.operand}")
    fn.emit(f"store i8 0, ptr {end}")
    return Value(array.operand, BYTES)


def raw_become_bytes(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, length = values_of(fn, e)
    return become_bytes(fn, array, length)


def data_place(fn: FunctionLowerer, data: Value, index: Value) -> str:
    return fn.op(f"getelementptr inbounds i8, ptr {fn.offset(data.operand, 16)}, i64 {index.operand}")


def byte_at(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    data, index = values_of(fn, e)
    byte = fn.op(f"load i8, ptr {data_place(fn, data, index)}")
    return Value(fn.op(f"zext i8 {byte} to i64"), INT, 0, 255)


def word_at(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    data, index = values_of(fn, e)
    return Value(fn.op(f"load i64, ptr {data_place(fn, data, index)}, align 1"), INT)


def copy_in(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, to, data, start, count = values_of(fn, e)
    target, _, _ = element_at(fn, array, to)
    fn.copy_bytes(target, data_place(fn, data, start), count.operand)
    return NONE_VALUE


def raw_array_span(fn: FunctionLowerer, e: CallBuiltin) -> Value:
    array, start, count = values_of(fn, e)
    place, element, _ = element_at(fn, array, start)
    return fn.make_span(place, count.operand, SpanType(element))


RAW: dict[str, Handler] = {
    "RawArray.__getitem__": item,
    "RawArray.fill": raw_fill,
    "RawArray.clear": raw_clear,
    "RawArray.move": raw_move,
    "RawArray.take": raw_take,
    "RawArray.forget": raw_forget,
    "raw.no_array": lambda fn, e: Value("null", fn.type(e.type)),
    "raw.become_bytes": raw_become_bytes,
    "raw.text_bytes": lambda fn, e: values_of(fn, e)[0].of_type(BYTES),
    "raw.bytes_text": lambda fn, e: values_of(fn, e)[0].of_type(STR),
    "raw.byte_at": byte_at,
    "raw.word_at": word_at,
    "raw.copy_in": copy_in,
    "raw.array_span": raw_array_span,
}

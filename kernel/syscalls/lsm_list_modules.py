"""Security modules and their attributes of the caller: lsm_get_self_attr(2), lsm_set_self_attr(2), lsm_list_modules(2).

The modules are capabilities, landlock and Yama. None of them keeps an attribute of a thread.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import E2BIG, EINVAL, EOPNOTSUPP, Errno, UserAddr, span_of, u32
from kernel.lib import user
from kernel.task.words import load_i64

_CAPABILITIES: Final = 100  # LSM_ID_…
_YAMA: Final = 103
_LANDLOCK: Final = 110
_MODULES: Final = (_CAPABILITIES, _LANDLOCK, _YAMA)  # in the order of their checks
_COUNT: Final = 3
_SINGLE: Final = 1  # LSM_FLAG_SINGLE
_CONTEXT_SIZE: Final = 32  # struct lsm_ctx without the context
_PAGE: Final = 4096


@syscall(
    "lsm_get_self_attr", status="Full", args="one:100|101|102|103|104|105|0|99 =lsm_ctx? =int? flags:0|0|1|2"
)  # fmt: skip
def lsm_get_self_attr(attribute: u32, context: UserAddr, size: UserAddr, flags: u32) -> int:
    """lsm_get_self_attr(2)."""
    if attribute == 0 or size == 0:
        raise Errno(EINVAL)
    user.read_u32(size)
    if flags != 0:
        if flags != _SINGLE or context == 0:
            raise Errno(EINVAL)
        if load_i64(span_of(user.read_bytes(context, _CONTEXT_SIZE)), 0) == 0:
            raise Errno(EINVAL)
    user.write_u32(size, 0)
    raise Errno(EOPNOTSUPP)


@syscall("lsm_set_self_attr", status="Full", args="one:100|101|102|103|104|105|0|99 <lsm_ctx size flags:0|0|1")
def lsm_set_self_attr(attribute: u32, context: UserAddr, size: u32, flags: u32) -> int:
    """lsm_set_self_attr(2)."""
    if flags != 0 or size < _CONTEXT_SIZE:
        raise Errno(EINVAL)
    if size > _PAGE:
        raise Errno(E2BIG)
    words = span_of(user.read_bytes(context, size))
    length = load_i64(words, 16)  # negative: more than there is
    context_length = load_i64(words, 24)
    if not 0 <= length <= size or not 0 <= context_length <= length - _CONTEXT_SIZE:
        raise Errno(EINVAL)
    raise Errno(EOPNOTSUPP)


@syscall("lsm_list_modules", status="Full", args=">bytes[24] =int flags:0|0|1")
def lsm_list_modules(address: UserAddr, size: UserAddr, flags: u32) -> int:
    """lsm_list_modules(2): their numbers, 64 bits each; the result is their count."""
    if flags != 0:
        raise Errno(EINVAL)
    room = user.read_u32(size)
    user.write_u32(size, _COUNT * 8)
    if room < _COUNT * 8:
        raise Errno(E2BIG)
    offset = 0
    for module in _MODULES:
        user.write_u64(user.at(address, offset), module)
        offset += 8
    return _COUNT

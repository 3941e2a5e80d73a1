"""What a program's loader says of its functions and lines (func_info and line_info of bpf(2)): for whoever lists it.

Context: takes safe points.
"""

from typing import Final

from kernel.bpf.btf import FUNCTION, PROTOTYPE, Btf, keep_btf, release_btf
from kernel.bpf.code import Code
from kernel.bpf.functions import Functions
from kernel.bpf.log import Log
from kernel.bpf.program import Program
from kernel.lang import E2BIG, EINVAL, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.bpf_arguments import Attributes
from kernel.syscalls.bpf_btf import btf_at
from kernel.task.words import load_i64

FUNCTION_BYTES: Final = 8  # struct bpf_func_info: the first instruction, the type
LINE_BYTES: Final = 16  # struct bpf_line_info: the first instruction, names of file and line, line and column
_MOST_RECORD: Final = 252
_LOOK_COST: Final = 500
_BTF_AT: Final = 72
_FUNCTIONS_AT: Final = 76  # the size of a record; then come the address and the count
_LINES_AT: Final = 92


@final
class ProgramTypes:
    """What was said of one program."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes: Attributes = attributes
        self.log: Log = Log(0)
        self.btf: Btf | None = None
        self.functions: bytes = b""
        self.lines: bytes = b""

    def release(self) -> None:
        """Let go of the types, which a program keeps for itself."""
        if self.btf is not None:
            release_btf(self.btf)

    def _refuse(self, text: str) -> None:
        self.log.say(text)
        raise Errno(EINVAL)

    def read_functions(self, code: Code) -> None:
        """Read the records of functions, which are checked first. Raises EBADF, EINVAL, E2BIG, EFAULT, MemoryError."""
        attributes = self.attributes
        count = attributes.u32(_FUNCTIONS_AT + 12)
        if count == 0 and attributes.u32(_LINES_AT + 12) == 0:
            return
        btf = btf_at(attributes.i32(_BTF_AT))
        keep_btf(btf)
        self.btf = btf
        if count == 0:
            return
        size = attributes.u32(_FUNCTIONS_AT)
        if size < FUNCTION_BYTES or size > _MOST_RECORD or size & 3 != 0:
            self._refuse(f"invalid func info rec size {size}")
        found = bytearray(min(count, code.count + 1) * FUNCTION_BYTES)
        last = 0
        for index in range(min(count, code.count + 1)):
            record = self._record(found, index, FUNCTION_BYTES, _FUNCTIONS_AT)
            start = span_of(found).load_u32(record)
            number = span_of(found).load_u32(record + 4)
            if index == 0 and start != 0:
                self._refuse(f"nonzero insn_off {start} for the first func info record")
            if index > 0 and start <= last:
                self._refuse(f"same or smaller insn offset ({start}) than previous func info record ({last})")
            if btf.kind(number) != FUNCTION or btf.kind(btf.operand(number)) != PROTOTYPE:
                self._refuse(f"invalid type id {number} in func info")
            last = start
        self.functions = bytes(found)

    def _record(self, found: bytearray, index: int, known: int, fields: int) -> int:
        """Read a record. Returns its place. Raises E2BIG, after saying what is known, and EFAULT."""
        attributes = self.attributes
        size = min(attributes.u32(fields), _MOST_RECORD)  # as was checked
        address = user.at(attributes.pointer(fields + 4), index * size)
        try:
            user.require_zeros(address, known, size)
        except Errno as error:
            if error.code == E2BIG:
                self.log.say("nonzero tailing record in func info" if known == FUNCTION_BYTES else "… in line_info")
                attributes.answer(fields, known)
            raise
        user.read_into(span_of(found)[index * known : (index + 1) * known], address)
        pace(_LOOK_COST)
        return index * known

    def check(self, code: Code) -> None:
        """Compare with the functions that there are, and read the records of lines. Raises the same."""
        if self.btf is None:
            return
        functions = Functions(code)
        functions.find(self.log, may_program=True)
        words = span_of(self.functions)
        if self.attributes.u32(_FUNCTIONS_AT + 12) != 0:
            if self.attributes.u32(_FUNCTIONS_AT + 12) != len(functions.starts):
                self._refuse("number of funcs in func_info doesn't match number of subprogs")
            for index in range(len(functions.starts)):
                if words.load_u32(index * FUNCTION_BYTES) != functions.starts[index]:
                    self._refuse("func_info BTF section doesn't match subprog layout in BPF program")
                pace(_LOOK_COST >> 2)
        self._read_lines(self.btf, code, functions)

    def _read_lines(self, btf: Btf, code: Code, functions: Functions) -> None:
        attributes = self.attributes
        count = attributes.u32(_LINES_AT + 12)
        if count == 0:
            return
        size = attributes.u32(_LINES_AT)
        if count > 0x7FFF_FFFF // LINE_BYTES or size < LINE_BYTES or size > _MOST_RECORD or size & 3 != 0:
            raise Errno(EINVAL)
        found = bytearray(min(count, code.count + 1) * LINE_BYTES)
        words = span_of(found)
        last = 0
        described = 0  # functions whose first instruction has a line
        for index in range(min(count, code.count + 1)):
            record = self._record(found, index, LINE_BYTES, _LINES_AT)
            at = words.load_u32(record)
            if (index > 0 and at <= last) or at >= code.count:
                self._refuse(f"Invalid line_info[{index}].insn_off:{at} (prev_offset:{last} prog->len:{code.count})")
            if code.operation(at) == 0:
                self._refuse(f"Invalid insn code at line_info[{index}].insn_off")
            if not btf.has_name(words.load_u32(record + 8)) or not btf.has_name(words.load_u32(record + 4)):
                self._refuse(f"Invalid line_info[{index}].line_off or .file_name_off")
            if described < len(functions.starts):
                if at == functions.starts[described]:
                    described += 1
                elif functions.starts[described] < at:
                    self._refuse(f"missing bpf_line_info for func#{described}")
            last = at
        if described < len(functions.starts):
            missing = len(functions.starts) - described
            self._refuse(f"missing bpf_line_info for {missing} funcs starting from func#{described}")
        self.lines = bytes(found)


# ---- Information -----------------------------------------------------------------------------------------------------

_BTF_ID: Final = 128
_FUNCTION_SIZE: Final = 132
_FUNCTIONS: Final = 136
_FUNCTION_COUNT: Final = 144
_LINE_COUNT: Final = 148
_LINES: Final = 152
_COMPILED_COUNT: Final = 168
_LINE_SIZE: Final = 172
_COMPILED_SIZE: Final = 176
_TAG_COUNT: Final = 180
_TAGS: Final = 184
_COMPILED: Final = 160
_COMPILED_BYTES: Final = 8


def check_record_sizes(given: bytearray) -> None:
    """Raise EINVAL unless the caller of BPF_OBJ_GET_INFO_BY_FD knows how large records are, or asks for none."""
    words = span_of(given)
    for count_at, size_at, known in (
        (_FUNCTION_COUNT, _FUNCTION_SIZE, FUNCTION_BYTES),
        (_LINE_COUNT, _LINE_SIZE, LINE_BYTES),
        (_COMPILED_COUNT, _COMPILED_SIZE, _COMPILED_BYTES),
    ):
        size = words.load_u32(size_at)
        if (words.load_u32(count_at) != 0 or size != 0) and size != known:
            raise Errno(EINVAL)


def tell_types(program: Program, given: bytearray, storage: bytearray) -> None:
    """Fill in what is known of a program's functions and lines; records go where the caller says. Raises EFAULT."""
    asked = span_of(given)
    words = span_of(storage)
    words.store_u32(_FUNCTION_SIZE, FUNCTION_BYTES)
    words.store_u32(_LINE_SIZE, LINE_BYTES)
    words.store_u32(_COMPILED_SIZE, _COMPILED_BYTES)
    for at in (_FUNCTIONS, _LINES, _COMPILED, _TAGS):
        words.store_u64(at, asked.load_u64(at))
    btf = program.btf
    if btf is not None:
        words.store_u32(_BTF_ID, btf.identifier)
    _tell(program.functions, FUNCTION_BYTES, given, storage, _FUNCTION_COUNT, _FUNCTIONS)
    _tell(program.lines, LINE_BYTES, given, storage, _LINE_COUNT, _LINES)


def _tell(records: bytes, size: int, given: bytearray, storage: bytearray, count_at: int, address_at: int) -> None:
    count = len(records) // size
    span_of(storage).store_u32(count_at, count)
    wanted = min(span_of(given).load_u32(count_at), count)
    if wanted > 0:
        user.write_from(UserAddr(load_i64(span_of(given), address_at)), span_of(records)[0 : wanted * size])

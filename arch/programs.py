"""What the architecture holds of a program: its page table, its registers, the frame of a signal handler.

The second face of the architecture: it stands above the kernel's frames and user memory (see `arch`).
"""

from arch.x86_64.programs.arch_prctl import control_processor, control_stopped
from arch.x86_64.programs.breakpoints import Watch
from arch.x86_64.programs.debugger_view import (
    FLOATING_SIZE,
    PORTS_SIZE,
    REGISTERS_SIZE,
    USER_AREA_SIZE,
    begin_step,
    end_step,
    read_floating,
    read_ports,
    read_register,
    read_thread_area,
    read_user_word,
    read_vectors,
    vector_components,
    vector_size,
    write_floating,
    write_register,
    write_thread_area,
    write_user_word,
    write_vectors,
)
from arch.x86_64.programs.displaced import BREAKPOINT_CODE, SLOT_BYTES, Displaced, analyse
from arch.x86_64.programs.displaced_step import (
    DisplacedStep,
    breakpoint_place,
    is_stepping,
    pass_without_step,
    return_place,
    set_instruction_pointer,
)
from arch.x86_64.programs.local_segments import LocalTable, read_description, show_default_table
from arch.x86_64.programs.page_table import (
    ACCESSED,
    DIRTY,
    HIDDEN,
    HUGE,
    KEY_BITS,
    KEY_SHIFT,
    LARGE_TOTALS,
    LEAF_TABLE_BYTES,
    NO_EXECUTE,
    POISONED,
    PRESENT,
    PRIVATE,
    SPLITTABLE,
    STANDS_IN,
    USER,
    WRITABLE,
    WRITE_WATCHED,
    PageTable,
    entry_frame,
    entry_slot,
    is_swapped,
    leave_spaces,
    load_root,
    make_entry,
    make_swapped_entry,
    names_frame,
    read_entry,
    share_entries,
    share_large,
    share_swapped,
    table_end,
    use_kernel_table,
    write_entry,
)
from arch.x86_64.programs.processor_state import ProcessorState
from arch.x86_64.programs.signal_frame import NO_RESTORER, HandlerCall, SignalContext, pop_frame, push_frame

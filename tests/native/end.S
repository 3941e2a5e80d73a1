# The end of the unwinding tables, which nobody else writes where no C run-time is linked.

.section .eh_frame, "a", @unwind
    .long 0

.section .note.GNU-stack, "", @progbits

"""io_uring: rings of requests and completions that a program shares with the kernel (io_uring(7)).

In reading order: `layout` (what lies where in a ring), `memory` (its pages), `request`, `operation` (what an opcode
means), `ring`, `work` (whose turn a request is), `perform` (a request's life), `submission`, `cancel`, `file`.
"""

"""io_uring: rings of requests and completions that a program shares with the kernel (io_uring(7)).

In reading order: `layout` (what lies where in a ring), `memory` (its pages), `buffers` (that a program provides),
`request`, `operation` (what an opcode means), `taker` (rings that share a thread), `ring`, `submission`, `perform` (a
request's life), `waiting`, `cancel`, `serving` (the life of such a thread), `description`, `file`.
"""

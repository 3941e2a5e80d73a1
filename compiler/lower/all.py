"""Every module that lowers nodes. Importing this one fills the tables of dispatch.py."""

from compiler.lower import (
    builtins,
    containment,
    enums,
    exceptions,
    expressions,
    inlining,
    loops,
    matching,
    objects,
    rows,
    statements,
    text,
)

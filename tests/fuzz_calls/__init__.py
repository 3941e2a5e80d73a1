"""A system call fuzzer, made from the call table's descriptions of arguments. docs/testing.md says how to run it."""

"""The run-time library: the classes that implement list, dict, deque and bytearray, and the functions for text and byte
strings.

Compiled code uses it where Python code uses the built-in types; under CPython the built-in types themselves run, and
this package only in its own tests.
"""

"""Unit tests against compiled code: the kernel's modules as its own compiler translates them, in the process of pytest.

`build.py` compiles the modules that `subjects.py` lists to x86-64 code for the host, `bridge.pyx` (Cython) maps it and
calls it, and `proxies.py` shows its functions, classes and objects as Python's, so that a test cannot tell.
`python -m tests.native` runs the tests.
"""

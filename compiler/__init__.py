"""The Krait compiler: Kernel Python to an ELF image.

Sources -> mypy (front.py, the only file that imports mypy) -> typed tree (tree.py, types.py) -> checks and effects ->
LLVM IR as text (lower/) -> objects (backend.py) -> linker (link.py) -> image, with a traceback table.
"""

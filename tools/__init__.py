"""Tools that build, start and test Krait on the host. They run under CPython, in `.venv/`."""

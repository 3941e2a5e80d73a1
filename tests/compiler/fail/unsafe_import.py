"""Unsafe modules are for the modules on the list."""

from kernel.lang import unsafe
from kernel.lang.unsafe import load_u8


def main() -> None:
    print(load_u8(0), unsafe.load_u8(1))

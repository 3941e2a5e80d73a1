"""A struct holds no references."""

from kernel.lang import struct


@struct
class Named:
    name: bytes

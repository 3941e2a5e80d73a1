"""Drivers' tests use the small machine of the memory tests."""

from tests.unit.mm.conftest import machine

__all__ = ["machine"]

"""Addresses as types of their own, so that one kind is never taken for another."""

from __future__ import annotations

from typing import NewType

PhysAddr = NewType("PhysAddr", int)
"""A physical address."""

UserAddr = NewType("UserAddr", int)
"""An address that a program gave: only the copy functions (kernel.lib.user) follow it, and make sums of it."""

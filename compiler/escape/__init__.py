"""Escape analysis: which objects live in their function's stack frame instead of the heap."""

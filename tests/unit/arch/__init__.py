"""Tests of arch/x86_64: what needs no processor."""

"""Tests of arch/x86_64/chips."""

"""Krait's tests."""

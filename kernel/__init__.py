"""Krait, a Linux-compatible kernel."""

"""Tests of the system call layer."""

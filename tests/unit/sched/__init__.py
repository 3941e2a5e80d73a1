"""Tests of kernel.sched."""

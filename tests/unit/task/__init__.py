"""Tests of kernel.task."""

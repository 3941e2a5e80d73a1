"""Tests of /proc."""

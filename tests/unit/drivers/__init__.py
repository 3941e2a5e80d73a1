"""Tests of the device drivers against simulated devices."""

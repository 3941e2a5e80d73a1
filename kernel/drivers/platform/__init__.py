"""Chips and buses of the machine: serial ports, interrupt controllers, timers, the clock, power, ACPI, PCI.

A driver names ports and registers; what the device is for is decided above. All run with interrupts off.
"""

"""Chips and firmware tables of the PC: interrupt controllers, timers, the clock, serial ports, power, ACPI.

A driver names ports and registers; what the device is for is decided above. All run with interrupts off.
"""

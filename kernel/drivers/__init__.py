"""Devices: the serial ports, the interrupt controller, the interval timer, the clock chip, power.

A driver names ports and registers; what the device is for is decided above. All run with interrupts off.
"""

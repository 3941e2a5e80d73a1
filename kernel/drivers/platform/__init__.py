"""What drivers are built on: windows on registers and shared memory, the interrupt table, PCI and its messages.

Everything here runs with interrupts off.
"""

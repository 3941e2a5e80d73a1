"""Watchdogs: timers that reset the machine when the programs that should restart them hang."""

"""Terminals: settings (termios), the line discipline, tty devices, the console."""

"""`krait profile`: where a program's time in the kernel goes, as a flame graph."""

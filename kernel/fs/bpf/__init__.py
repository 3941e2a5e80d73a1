"""bpf(2)'s maps and programs as open files, their names, and what programs learn about devices and threads."""

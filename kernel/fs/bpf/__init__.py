"""bpf(2)'s maps and programs as open files, and what programs learn about devices and threads."""

"""bpf(2)'s maps and programs as open files, and what programs are told of devices and threads."""

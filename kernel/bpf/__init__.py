"""Programs of bpf(2): maps, the verifier, the interpreter, and attachments."""

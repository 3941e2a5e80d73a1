"""binfmt_misc: formats of programs that administrators register."""

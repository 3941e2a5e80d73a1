"""The kernel's command line."""

from kernel.start import command_line


def test_the_last_value_counts() -> None:
    assert command_line.value_of(b"a=1 b a=2", b"a") == b"2"
    assert command_line.value_of(b"a=1 b", b"b") == b""
    assert command_line.value_of(b"ab=1", b"a") is None
    assert command_line.value_of(b"x -- a=1", b"a") is None


def test_numbers() -> None:
    assert command_line.number_of(b"panic=-1", b"panic", 0) == -1
    assert command_line.number_of(b"panic=30 quiet", b"panic", 0) == 30
    for line in (b"", b"panic", b"panic=", b"panic=-", b"panic=soon", b"panic=99999999999999999999"):
        assert command_line.number_of(line, b"panic", 7) == 7


def test_sizes() -> None:
    assert command_line.size_of(b"mem=64M", b"mem") == 64 << 20
    assert command_line.size_of(b"mem=2g", b"mem") == 2 << 30
    assert command_line.size_of(b"mem=8k", b"mem") == 8192
    assert command_line.size_of(b"mem=4096", b"mem") == 4096
    for line in (b"", b"mem", b"mem=", b"mem=M", b"mem=1T", b"mem=1MB", b"mem=99999999999999999999", b"mem=1048576g"):
        assert command_line.size_of(line, b"mem") == 0


def test_unknown_words_go_to_the_first_program() -> None:
    line = b"console=ttyS0 single  FOO=bar usb.debug=1 module.flag TERM=vt100 init=/bin/sh generation=1 -- -x a=b quiet"
    assert command_line.arguments_for_init(line) == [b"single", b"-x", b"a=b", b"quiet"]
    assert command_line.environment_for_init(line) == [b"HOME=/", b"TERM=vt100", b"FOO=bar"]


def test_programs_to_try() -> None:
    assert command_line.init_candidates(b"")[0] == b"/init"
    assert command_line.init_candidates(b"init=/bin/sh rdinit=/x")[:3] == [b"/x", b"/bin/sh", b"/init"]
    assert command_line.init_candidates(b"init=/bin/sh").count(b"/bin/sh") == 1


def test_console() -> None:
    assert command_line.console_index(b"console=ttyS0 console=ttyS1,115200n8") == 1
    assert command_line.console_index(b"console=tty0 console=ttyS7 console=ttyS") == 0


def test_how_many_processors_may_run() -> None:
    for line in (b"quiet", b"maxcpus=0", b"maxcpus=x", b"maxcpus=4 nosmp"):
        assert command_line.processor_limit(line) == 1, line
    assert command_line.processor_limit(b"maxcpus=4") == 4

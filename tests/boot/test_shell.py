"""Sessions typed at the terminal: editing keys, signals from keys, job control, raw mode, size."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.harness import Guest, GuestError
from tests.harness.guest import PATIENCE

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

CTRL_A, CTRL_C, CTRL_D, CTRL_R, CTRL_U, CTRL_W, CTRL_Z, CTRL_BACKSLASH, ESCAPE, DELETE = (
    "\x01", "\x03", "\x04", "\x12", "\x15", "\x17", "\x1a", "\x1c", "\x1b", "\x7f",
)


def test_commands_and_statuses(shell: Guest) -> None:
    assert shell.run("echo hello") == "hello\n"
    assert shell.run("false; echo $?") == "1\n"
    assert shell.run("nonesuch; echo $?").endswith("127\n")
    assert shell.run("pwd; cd /tmp; pwd; cd") == "/root\n/tmp\n"


def test_keys_of_the_line_editor(shell: Guest) -> None:
    shell.send("echo wrnog" + DELETE * 3 + "ong" + CTRL_A + "X=1 " + "\r")
    assert b"wrong" in shell.expect_prompt()
    shell.send("echo lost" + CTRL_U + "echo kept\r")
    assert shell.expect_prompt().endswith(b"\r\nkept\r\n")
    shell.send(ESCAPE + "[A" + "\r")
    assert shell.expect_prompt().endswith(b"\r\nkept\r\n")
    shell.send("cat /etc/hostn\t\r")
    assert shell.expect_prompt().endswith(b"\r\nkrait\r\n")


def test_canonical_input_and_end_of_file(shell: Guest) -> None:
    """cat gets whole lines, edited by the terminal; ^D at the start of a line ends the file."""
    shell.start("cat")
    shell.send("first lime" + DELETE * 2 + "ne\r")
    shell.expect(r"first lime\x08 \x08\x08 \x08ne\r\nfirst line\r\n")
    shell.send("all wrong" + CTRL_U + "right\r")
    shell.expect(r"\r\nright\r\n|right\r\nright\r\n")
    shell.send("two words" + CTRL_W + "parts\r")
    shell.expect(r"\r\ntwo parts\r\n")
    shell.send("no newline" + CTRL_D)
    shell.expect("no newlineno newline")
    shell.send(CTRL_D)
    shell.expect_prompt_anywhere()


def test_interrupt(shell: Guest) -> None:
    shell.start("sleep 1000")
    shell.send(CTRL_C)
    shell.expect(r"\^C")
    shell.expect_prompt()
    assert shell.run("echo $?") == "130\n"


def test_interrupt_of_a_pipeline_and_of_a_loop(shell: Guest) -> None:
    shell.send("(echo rea''dy >&2; exec yes) | cat >/dev/null\r")
    shell.expect(r"^ready\r\n")
    shell.send(CTRL_C)
    shell.expect_prompt_anywhere()
    shell.send("echo rea''dy; while :; do :; done\r")
    shell.expect(r"^ready\r\n")
    shell.send(CTRL_C)
    shell.expect_prompt_anywhere()
    assert shell.run("pgrep yes; echo $?") == "1\n"


def test_quit(shell: Guest) -> None:
    shell.start("sleep 1000")
    shell.send(CTRL_BACKSLASH)
    shell.expect_prompt()
    assert shell.run("echo $?") == "131\n"


def test_interrupt_at_the_prompt_drops_the_line(shell: Guest) -> None:
    shell.send("echo never" + CTRL_C)
    shell.expect_prompt()
    assert shell.run("echo still") == "still\n"


def test_job_control(shell: Guest) -> None:
    shell.start("sleep 1000")
    shell.send(CTRL_Z)
    shell.expect(r"Stopped")
    shell.expect_prompt()
    assert "Stopped" in shell.run("jobs")
    assert "sleep 1000" in shell.run("bg")
    assert "Running" in shell.run("jobs")
    shell.send("fg\r")
    shell.expect(r"sleep 1000\)\r\n")
    interrupt(shell)
    assert shell.run("jobs") == ""
    # Until it has started, it ignores the signal, as the shell does.
    shell.run("sleep 1000 & until grep -q '^Name:.*sleep' /proc/$!/status; do :; done")
    told = shell.run("kill %1; wait %1; echo $?")
    assert "143\n" in told
    assert "Terminated" in told + shell.run("true")


def interrupt(shell: Guest) -> None:
    """Type ^C after `fg`, whose job the shell shows before it gives the terminal to it: a key may come too early."""
    for _ in range(10):
        shell.send(CTRL_C)
        with suppress(GuestError):
            shell.expect_prompt(1)
            break
    assert shell.is_at_prompt()


def test_a_background_reader_is_stopped(shell: Guest) -> None:
    shell.run("cat &")
    shell.run_until("jobs", "Stopped")
    shell.send("fg\r")
    shell.expect(r"cat\r\n")
    shell.send("line\r")
    shell.expect(r"line\r\nline\r\n")
    shell.send(CTRL_D)
    shell.expect_prompt()


def test_a_background_writer_is_stopped_with_tostop(shell: Guest) -> None:
    shell.run("stty tostop")
    shell.run("(echo from behind) &")
    shell.run_until("jobs", "Stopped")
    shell.run("stty -tostop; fg")
    assert shell.run("jobs") == ""


def test_vi(shell: Guest) -> None:
    """An editor in raw mode: insert, move, change, save."""
    shell.run("rm -f /tmp/edited")
    shell.send("vi /tmp/edited\r")
    shell.expect(r"1049h")
    shell.expect(r"- /tmp/edited")
    for keys in ("ifirst line\rsecond lien\rthird line", "kdd1GOzeroth line", "/third\rxiT"):
        shell.send(keys)
        shell.expect(r"I /tmp/edited")
        shell.send(ESCAPE)
        shell.expect(r"- /tmp/edited")  # what follows Escape at once would be taken for a function key
    shell.send(":s/line/LINE/\r:wq\r")
    shell.expect_prompt_anywhere(20)
    assert shell.run("cat /tmp/edited") == "zeroth line\nfirst line\nThird LINE\n"


def test_echo_off_and_raw_bytes(shell: Guest) -> None:
    shell.send("stty -echo; echo rea''dy; read secret; stty echo; echo got $secret\r")
    shell.expect(r"^ready\r\n")
    shell.send("hidden\r")
    printed = shell.expect_prompt()
    assert printed == b"got hidden\r\n"
    shell.send("stty raw -echo; echo rea''dy; dd bs=1 count=3 2>/dev/null | od -An -tx1; stty sane\r")
    shell.expect(r"^ready\n")
    shell.send("\r\x03\x1a")
    shell.expect("0d 03 1a")
    shell.expect_prompt()


def test_terminal_settings(shell: Guest) -> None:
    assert "speed" in shell.run("stty")
    shell.check("stty rows 40 columns 100")
    assert shell.run("stty size") == "40 100\n"
    assert shell.run("tty") in ("/dev/console\n", "/dev/ttyS0\n")
    assert shell.run("[ -t 0 ] && [ -t 1 ] && echo terminal") == "terminal\n"
    shell.check("stty rows 24 columns 80")


def test_window_size_change_signals(shell: Guest) -> None:
    shell.run("trap 'echo resized' WINCH; stty rows 50; stty rows 24")
    assert "resized" in shell.run("true") or "resized" in shell.log
    shell.run("trap - WINCH")


def test_long_output_is_whole(shell: Guest) -> None:
    output = shell.run("seq 1 3000", 30)
    assert output.split() == [str(number) for number in range(1, 3001)]


def test_typing_ahead(shell: Guest) -> None:
    """What is typed while a program runs is read by the shell afterwards."""
    shell.start("sleep 0.5")
    shell.send("echo typed ahead\r")
    shell.expect(r"\r\ntyped ahead\r\n")
    shell.expect_prompt()


def test_pages_with_less(shell: Guest) -> None:
    shell.send("seq 100 | less\r")
    shell.expect(r"20\r\n")
    shell.send("G")
    shell.expect(r"100\r\n")
    shell.send("q")
    shell.expect_prompt_anywhere()


def test_top_shows_processes(shell: Guest) -> None:
    shell.send("top -d 1\r")
    shell.expect(r"PID")
    shell.send("q")
    shell.expect_prompt_anywhere()


def test_hostile_input_leaves_the_shell_alive(boot_shell: object) -> None:
    """Memory eaten, processes without end, a closed pipe: the shell still answers."""
    guest: Guest = boot_shell(memory="128M")  # type: ignore[operator]
    guest.run("tail /dev/zero >/dev/null; echo $?", 60)
    assert guest.run("echo alive") == "alive\n"
    guest.run("(ulimit -u 50 2>/dev/null; setuidgid nobody sh -c 'f() { f | f & }; f') 2>/dev/null; sleep 1", 60)
    guest.run("killall5 -9 -o $$ 2>/dev/null; sleep 1", 30)
    guest.send("\r")
    guest.expect_prompt(60)
    assert "alive\n" in guest.run("echo alive", 60)
    assert guest.run("yes | head -n 1", 30) == "y\n"


def test_leaving_the_shell_ends_the_machine(boot_shell: object) -> None:
    guest: Guest = boot_shell()  # type: ignore[operator]
    guest.send(CTRL_D)
    guest.wait_exit(20)


def test_a_killed_shell_is_started_again(boot_shell: object) -> None:
    guest: Guest = boot_shell()  # type: ignore[operator]
    guest.send("kill -9 $$\r")
    guest.expect("starting another")
    guest.expect_prompt()
    assert guest.run("echo again") == "again\n"

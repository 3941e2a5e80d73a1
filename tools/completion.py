"""`krait completion`: what bash, zsh and fish offer while a command line is typed, made of the command's parser.

Each script stands for itself, so nothing is started for an offer, except for `krait ps` where names of machines are
asked for, and for `krait images` where images are. What a *place* of the command line takes, such as `run --memory`
or `exec 0`, its first argument, is one table, which bash and zsh share.
"""

from __future__ import annotations

import argparse
import signal
from typing import NamedTuple

from tools.arguments import NETWORKS
from tools.help_pages import Command, commands_of, value_name

SHELLS = ("bash", "zsh", "fish")
NO_LIMIT = 99  # arguments of a command after which options are the program's, where there is no program


class Value(NamedTuple):
    """What may stand at a place: words, what a command of ours prints, files."""

    words: tuple[str, ...] = ()
    asked: str = ""  # arguments of krait, which then prints more words, one a line
    suffix: str = ""  # of these
    files: str = ""  # compgen's letter: f for files, d for directories


ANYTHING = Value()
FILE, DIRECTORY = Value(files="f"), Value(files="d")
RUNNING, KNOWN = Value(asked="ps -q"), Value(asked="ps -aq")
SIGNALS = tuple(each.name.removeprefix("SIG") for each in signal.Signals if each.name.isalpha())
# By what the help calls them. What is not here or below has no completion, which would be an oversight.
VALUES = {
    "user|none": Value(NETWORKS), "IMAGE|PROGRAM": Value(("busybox", "debian:13", "python"), files="f"),
    "SIGNAL": Value(SIGNALS), "IMAGE": Value(asked="images -q"),
    "FILE": FILE, "FILE[,rw|,ro]": FILE, "DIR|TAR": FILE, "DEVICE": FILE, "PATH": FILE, "ARGS": FILE,
    "ARGUMENT": FILE, "GDB-ARGS": FILE, "PYTEST-ARGS": FILE,
    "DIR|DEVICE": DIRECTORY, "HOSTDIR:GUESTDIR[:ro]": DIRECTORY,
}  # fmt: skip
TYPED = {  # by hand: numbers, names that are being given, places in the guest
    "SIZE", "N", "MODEL", "HOSTPORT:GUESTPORT[/udp]", "'PARAMETERS'", "CMD", "NAME[=VALUE]", "USER[:GROUP]", "DIR",
    "NAME", "PROGRAM", "CALL[,CALL…]", "CODE", "EXPRESSION",
}  # fmt: skip
MACHINES = {
    "exec": RUNNING, "stop": RUNNING, "kill": RUNNING, "logs": KNOWN, "inspect": KNOWN, "rm": KNOWN,
    "cp": Value(asked="ps -q", suffix=":", files="f"),
}  # fmt: skip


def value_of(command: Command, action: argparse.Action) -> Value:
    """What an option or an argument takes. Raises KeyError for one that no table has."""
    name = value_name(action)
    if action.choices is not None:
        return Value(tuple(map(str, action.choices)))
    if not action.option_strings and "NAME" in name and command.name in MACHINES:
        return MACHINES[command.name]
    return ANYTHING if name in TYPED else VALUES[name]


def repeats(action: argparse.Action) -> bool:
    """Whether an argument is followed by others of its kind."""
    return action.nargs in ("*", "+", argparse.REMAINDER)


def option_limit(command: Command) -> int:
    """The number of arguments after which every word is the program's."""
    kinds = [each.nargs for each in command.arguments()]
    return max(1, kinds.index(argparse.REMAINDER)) if argparse.REMAINDER in kinds else NO_LIMIT


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    commands = commands_of(parser)
    if shell == "fish":
        return _fish(commands)
    return _bash(commands) if shell == "bash" else _zsh(commands)


# ---- What bash and zsh share ----


def _table(commands: list[Command]) -> str:
    """The cases of a `case $place`, which set what is offered; the places of a command's options come first."""
    places: dict[Value, list[str]] = {ANYTHING: []}
    for command in commands:
        for option in command.options():
            if option.nargs != 0:
                names = [f'"{command.name} {word}"' for word in option.option_strings]
                places.setdefault(value_of(command, option), []).extend(names)
    places[ANYTHING].clear()  # what is typed by hand needs no case, unless it is before a pattern for all that follows
    for command in commands:
        for number, argument in enumerate(command.arguments()):
            place = f'"{command.name} "[0-9]*' if repeats(argument) else f'"{command.name} {number}"'
            places.setdefault(value_of(command, argument), []).append(place)
    # A pattern for all further arguments must not hide an earlier one, and comes last.
    lines = []
    for is_open in (False, True):
        for value, names in places.items():
            chosen = [name for name in names if name.endswith("*") == is_open]
            if chosen:
                lines.append(f"    {'|'.join(chosen)})\n        {_settings(value)} ;;")
    return "\n".join(lines)


def _settings(value: Value) -> str:
    named = (("offers", " ".join(value.words)), ("asked", value.asked), ("suffix", value.suffix),
             ("files", value.files))  # fmt: skip
    return " ".join(f'{name}="{text}"' for name, text in named if text) or ":"


def _limits(commands: list[Command]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for command in commands:
        if option_limit(command) != NO_LIMIT:
            found.setdefault(option_limit(command), []).append(command.name)
    return found


def _valued(commands: list[Command]) -> list[str]:
    """The options that take a value, each after its command."""
    return [f"{command.name} {word}" for command in commands for option in command.options() if option.nargs != 0
            for word in option.option_strings]  # fmt: skip


# ---- bash ----

BASH = r"""# Completion of krait for bash. In ~/.bashrc:  source <(krait completion bash)
_krait() {
    # bash splits words at = and : as well; they are put together again.
    local rest=${COMP_LINE:0:COMP_POINT} words=() piece i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        [[ $i == 0 || $rest == [[:space:]]* ]] && words+=("")
        rest=${rest#"${rest%%[![:space:]]*}"}
        piece=${COMP_WORDS[i]:0:${#rest}}
        words[-1]+=$piece
        rest=${rest:${#piece}}
    done
    local word=${words[-1]} command= option= count=0 limit=@NO_LIMIT@
    local whole=$word
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        piece=${words[i]}
        if [[ -n $option && $piece != -* ]]; then
            option=
        elif [[ -z $command ]]; then
            [[ $piece == -* ]] && continue
            command=$piece
            case $command in
@LIMITS@
            esac
        elif [[ $piece == -* ]] && ((count < limit)); then
            option=
            case "$command $piece" in
            @VALUED@) option=$piece ;;
            esac
        else
            count=$((count + 1))
        fi
    done
    local place="$command $count" before= offers= asked= suffix= files= line
    if [[ -z $command ]]; then
        place=
        offers="@COMMANDS@"
        [[ $word == -* ]] && offers="--help --version"
    elif [[ $word == -* ]] && ((count < limit)); then
        if [[ $word == --*=* ]]; then
            before=${word%%=*}=
            place="$command ${word%%=*}"
            word=${word#*=}
        else
            place="$command -"
        fi
    elif [[ -n $option ]]; then
        place="$command $option"
    fi
    case $place in
@OPTIONS@
@TABLE@
    esac
    local found=() replies=()
    [[ -n $offers ]] && mapfile -t -O ${#found[@]} found < <(compgen -W "$offers" -- "$word")
    if [[ -n $asked ]]; then
        for line in $("${words[0]}" $asked 2>/dev/null); do
            [[ $line == "$word"* ]] && found+=("$line$suffix")
        done
        [[ -n $suffix ]] && compopt -o nospace
    fi
    if [[ -n $files ]]; then
        count=${#found[@]}
        mapfile -t -O $count found < <(compgen -$files -- "$word")
        ((${#found[@]} > count)) && compopt -o filenames
    fi
    # What is replaced begins after the last = or : of the word.
    local kept=${whole%"${whole##*[:=]}"}
    for line in "${found[@]}"; do
        line=$before$line
        replies+=("${line#"$kept"}")
    done
    COMPREPLY=("${replies[@]}")
}
complete -F _krait krait ./krait
"""


def _bash(commands: list[Command]) -> str:
    limits = "\n".join(f"            {'|'.join(names)}) limit={limit} ;;" for limit, names in _limits(commands).items())
    options = "\n".join(f'    "{each.name} -") offers="{" ".join(each.words())}" ;;' for each in commands)
    return _filled(
        BASH, NO_LIMIT=str(NO_LIMIT), LIMITS=limits, VALUED="|".join(f'"{each}"' for each in _valued(commands)),
        COMMANDS=" ".join(each.name for each in commands), OPTIONS=options, TABLE=_table(commands),
    )  # fmt: skip


def _filled(template: str, **parts: str) -> str:
    for name, text in parts.items():
        template = template.replace(f"@{name}@", text)
    return template


# ---- zsh ----

ZSH = r"""#compdef krait
# Completion of krait for zsh. In ~/.zshrc, after compinit:  source <(krait completion zsh)
_krait_value() {
    local place=$1 offers= asked= suffix= files=
    local -a names
    case $place in
@TABLE@
    esac
    [[ -n $offers ]] && compadd -- ${=offers}
    if [[ -n $asked ]]; then
        names=(${(f)"$($krait ${=asked} 2>/dev/null)"})
        if [[ -n $suffix ]]; then compadd -S $suffix -- $names; else compadd -- $names; fi
    fi
    case $files in
    f) _files ;;
    d) _path_files -/ ;;
    esac
}
_krait() {
    local curcontext=$curcontext krait=$words[1] state line
    typeset -A opt_args
    local -a commands=(
@COMMANDS@
    )
    _arguments -C -A '-*' '(- *)--help[show this help and exit]' '(- *)--version[print the version]' \
        '1: :->command' '*:: :->rest'
    case $state in
    command) _describe command commands ;;
    rest)
        case $line[1] in
@CASES@
        esac ;;
    esac
}
if [[ $funcstack[1] == _krait ]]; then _krait "$@"; else compdef _krait krait; fi
"""


def _zsh(commands: list[Command]) -> str:
    lines = "\n".join(f"        {_in_quotes(f'{each.name}:{each.help}')}" for each in commands)
    cases = "\n".join(f"        {each.name}) {_zsh_arguments(each)} ;;" for each in commands)
    return _filled(ZSH, TABLE=_table(commands), COMMANDS=lines, CASES=cases)


def _zsh_arguments(command: Command) -> str:
    """One call of _arguments."""
    specifications = []
    for option in command.options():
        can_come_again = isinstance(option, argparse._AppendAction)
        others = "*" if can_come_again else f"({' '.join(option.option_strings)})"
        for word in option.option_strings:
            value = ""
            if option.nargs != 0:
                colon = "::" if option.nargs == "?" else ":"
                value = f"{colon}{_zsh_text(value_name(option))}: _krait_value '{command.name} {word}'"
                word += "=" if word.startswith("--") else "+"
            specifications.append(f"{others}{word}[{_zsh_text(_plain(option.help))}]{value}")
    for number, argument in enumerate(command.arguments()):
        place = "*" if repeats(argument) else f"{number + 1}"
        colon = "::" if argument.nargs == "?" else ":"
        action = f" _krait_value '{command.name} {number}'"
        specifications.append(f"{place}{colon}{_zsh_text(value_name(argument))}:{action}")
    stop = " -A '-*'" if option_limit(command) != NO_LIMIT else ""
    return f"_arguments -s{stop}" + "".join(f" \\\n            {_in_quotes(each)}" for each in specifications)


def _zsh_text(text: str) -> str:
    for letter in "\\[]:":
        text = text.replace(letter, f"\\{letter}")
    return text


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ---- fish ----

FISH = r"""# Completion of krait for fish. Put it into ~/.config/fish/completions/krait.fish.
function __krait_at --description 'Whether the cursor is at an argument of a command, or where its options may be'
    set -l words (commandline -opc)
    set -e words[1]
    set -l command ''
    set -l takes_value no
    set -l count 0
    set -l limit @NO_LIMIT@
    for word in $words
        if test $takes_value = yes; and not string match -q -- '-*' $word
            set takes_value no
        else if test -z "$command"
            string match -q -- '-*' $word; and continue
            set command $word
            switch $command
@LIMITS@
            end
        else if string match -q -- '-*' $word; and test $count -lt $limit
            set takes_value no
            contains -- "$command $word" @VALUED@
            and set takes_value yes
        else
            set count (math $count + 1)
        end
    end
    test "$command" = "$argv[1]"; or return 1
    if test "$argv[2]" = options
        test $count -lt $limit
    else
        test $count -ge $argv[2]; and test $count -le $argv[3]
    end
end
function __krait_ask --description 'What a command of krait prints'
    set -l words (commandline -opc)
    $words[1] $argv 2>/dev/null
end
complete -c krait -f
complete -c krait -n "__krait_at '' options" -l help -d 'show this help and exit'
complete -c krait -n "__krait_at '' options" -l version -d 'print the version'
"""


def _fish(commands: list[Command]) -> str:
    limits = "\n".join(
        f"                case {' '.join(names)}\n                    set limit {limit}"
        for limit, names in _limits(commands).items()
    )
    valued = " ".join(f"'{each}'" for each in _valued(commands))
    lines = [_filled(FISH, NO_LIMIT=str(NO_LIMIT), LIMITS=limits, VALUED=valued)]
    for command in commands:
        lines.append(f"complete -c krait -n \"__krait_at '' 0 0\" -a {command.name} -d {_fish_text(command.help)}\n")
        for option in command.options():
            names = " ".join(f"-l {w[2:]}" if w.startswith("--") else f"-s {w[1:]}" for w in option.option_strings)
            value = "" if option.nargs == 0 else _fish_value(value_of(command, option), " -x")
            about = _fish_text(_plain(option.help))
            lines.append(f"complete -c krait -n '__krait_at {command.name} options' {names}{value} -d {about}\n")
        for number, argument in enumerate(command.arguments()):
            offered = _fish_value(value_of(command, argument), "")
            last = NO_LIMIT if repeats(argument) else number
            if offered:
                lines.append(f"complete -c krait -n '__krait_at {command.name} {number} {last}'{offered}\n")
    return "".join(lines)


def _fish_value(value: Value, alone: str) -> str:
    """Switches of `complete`. `alone`: the one that keeps names of files away."""
    offers = [*value.words]
    if value.asked:
        ending = f" | string replace -r '$' '{value.suffix}'" if value.suffix else ""
        offers.append(f"(__krait_ask {value.asked}{ending})")
    if value.files == "d":
        offers.append("(__fish_complete_directories (commandline -ct))")
    files = alone if value.files != "f" else " -r -F" if alone else " -F"
    return files + (f" -a {_fish_text(' '.join(offers))}" if offers else "")


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _plain(text: str | None) -> str:
    """Help as argparse prints it."""
    return (text or "").replace("%%", "%")

"""Loaded programs and maps, by number: each as long as a descriptor, a group, a socket or a program refers to it.

Context: may raise MemoryError; `run` sleeps, and `judge_socket` if its runs are UNBOUNDED.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.btf import Btf, release_btf
from kernel.bpf.code import Code
from kernel.bpf.interpreter import Machine, Runnable
from kernel.bpf.kept_maps import keep_map, release_map
from kernel.bpf.machine import SOCKET_POINTER, World
from kernel.bpf.maps import PROGRAM_ARRAY, Map
from kernel.bpf.numbers import Numbers
from kernel.bpf.packet_view import PacketView
from kernel.bpf.statistics import STATISTICS
from kernel.bpf.subject import ADDRESS_PORT, ADDRESS_SOCKET
from kernel.bpf.token import Token
from kernel.lang import EINVAL, Errno, final, span_of, u64
from kernel.lib.pace import pace

UNBOUNDED: Final = -1
NOT_COUNTED: Final = -1
_LOOK_COST: Final = 20
_MOST_BOUND: Final = 1024  # maps: the end of a program takes no safe point


@final
class Program(Runnable):
    """A program that the verifier accepted."""

    def __init__(self, kind: int, name: bytes, code: Code, maps: list[Map]) -> None:
        super().__init__(code, maps)
        self.kind: int = kind
        self.name: bytes = name
        self.identifier: int = 0
        self.users: int = 0  # descriptors, groups and sockets
        self.steps: int = 0  # instructions that the verifier examined
        self.tag: bytes = b""
        self.loaded_ns: int = 0  # the time of loading, since the boot
        self.owner: int = 0  # the user that loaded it
        self.asked_place: int = 0  # where it said that it would be attached
        self.place: int = -1  # the only purpose for which it may be attached, if there is one
        self.token: Token | None = None  # that its loader had
        self.is_free: bool = False  # its licence is compatible with the GPL
        self.reach: int = 0  # of one that traces: up to where it reads its context
        self.warnings: int = 0  # runs that broke off
        self.misses: int = 0  # that there was no memory for
        self.runs: int = 0  # that were counted
        self.run_ns: int = 0  # the time that they took
        self.btf: Btf | None = None  # the types that it was described with
        self.functions: bytes = b""  # records about its functions and lines (`kernel/syscalls/bpf_program_types.py`)
        self.lines: bytes = b""
        bound: list[Map] = []
        self.bound: list[Map] = bound  # maps that it keeps without using them

    def keep(self) -> None:
        keep_program(self)

    def release(self) -> None:
        release_program(self)

    def number(self) -> int:
        return self.identifier

    def held_bytes(self) -> int:
        return len(self.code.instructions) + len(self.functions) + len(self.lines) + 256

    def share_bytes(self) -> int:
        """What it holds with its maps, for each of its users."""
        size = self.held_bytes()
        for map_ in self.maps:
            size += map_.held_bytes() // max(map_.users, 1)
        for map_ in self.bound:
            size += map_.held_bytes() // max(map_.users, 1)
        return size // max(self.users, 1)

    def _begin(self, world: World) -> int:
        """When a run began, if somebody wants to know."""
        return world.now_ns() if STATISTICS.is_wanted() else NOT_COUNTED

    def _end(self, machine: Machine, started: int) -> None:
        if machine.is_broken:
            self.warnings += 1
        if started != NOT_COUNTED:
            self.runs += 1
            self.run_ns += machine.world.now_ns() - started

    def run(self, context: bytearray, world: World) -> int:
        """Run it; returns its answer. Takes safe points. Raises MemoryError."""
        machine = Machine(self.code, self.maps, context, world)
        started = self._begin(world)
        answer = machine.run()
        self._end(machine, started)
        return answer

    def judge_packet(
        self, context: bytearray, packet: PacketView, most_cost: int, world: World
    ) -> tuple[int, int]:
        """Its answer for a packet, and what the run cost, in instructions of the processor. Takes no safe points: a run
        that costs more than `most_cost` ends with the answer 0. Raises MemoryError.
        """
        machine = Machine(self.code, self.maps, context, world)
        machine.may_change_context = True  # words that it leaves for itself
        machine.packet = packet
        started = self._begin(world)
        answer = machine.run_at_once(most_cost)
        self._end(machine, started)
        return answer, machine.cost()

    def judge_socket(
        self, context: bytearray, cookie: int, most_cost: int, world: World, storage_room: int = 0
    ) -> tuple[int, int]:
        """The same for a socket, which the program may change by its context; its values in maps may count
        `storage_room` bytes. Takes safe points if `most_cost` is UNBOUNDED: the run then ends as in `run`.
        """
        machine = Machine(self.code, self.maps, context, world)
        machine.may_change_context = True
        machine.cookie = cookie
        machine.storage_room = storage_room
        started = self._begin(world)
        answer = machine.run() if most_cost == UNBOUNDED else machine.run_at_once(most_cost)
        self._end(machine, started)
        return answer, machine.cost()

    def trace(self, context: bytearray, cookie: int, most_cost: int, world: World) -> tuple[int, int]:
        """The same for what happened in the kernel, of which it changes nothing. Takes no safe points."""
        machine = Machine(self.code, self.maps, context, world)
        machine.cookie = cookie
        started = self._begin(world)
        answer = machine.run_at_once(most_cost)
        self._end(machine, started)
        return answer, machine.cost()

    def judge_address(self, context: bytearray, cookie: int, world: World, storage_room: int = 0) -> int:
        """Its answer about an address of a socket, which it may change by its context. Takes safe points. Raises
        MemoryError.
        """
        machine = Machine(self.code, self.maps, context, world)
        machine.may_change_context = True
        machine.half_at = ADDRESS_PORT
        machine.cookie = cookie
        machine.storage_room = storage_room
        span_of(context).store_u64(ADDRESS_SOCKET, u64(SOCKET_POINTER))
        started = self._begin(world)
        answer = machine.run()
        self._end(machine, started)
        return answer


@final
class _Kept:
    """The numbered objects."""

    def __init__(self) -> None:
        programs: dict[int, Program] = {}
        self.programs: dict[int, Program] = programs
        self.program_numbers: Numbers = Numbers()


KEPT: Final = _Kept()


def keep_program(program: Program) -> None:
    """The same for programs. The first one keeps its maps, too, which are kept already. Raises MemoryError."""
    if program.users == 0:
        number = KEPT.program_numbers.take()
        try:
            KEPT.programs[number] = program
        except MemoryError:
            KEPT.program_numbers.give_back(number)
            raise
        program.identifier = number
        btf = program.btf
        if btf is not None:
            btf.users += 1  # others keep it now, so it has its number
        for map_ in program.maps:
            map_.users += 1  # others keep it now, so it has its number
    program.users += 1


def release_program(program: Program) -> None:
    program.users -= 1
    if program.users == 0:
        KEPT.programs.pop(program.identifier, program)
        KEPT.program_numbers.give_back(program.identifier)
        btf = program.btf
        if btf is not None:
            release_btf(btf)
        for map_ in program.maps:
            release_map(map_)
        while len(program.bound) > 0:
            release_map(program.bound.pop())


def bind(program: Program, map_: Map) -> None:
    """Let a program keep a map that it does not use. Takes safe points; both are kept by the caller. Raises
    MemoryError.
    """
    if map_ in program.maps:
        return
    at = 0
    while at < len(program.bound):
        if program.bound[at] is map_:
            return
        at += 1
        pace(_LOOK_COST)
    if len(program.bound) >= _MOST_BOUND:
        raise MemoryError
    keep_map(map_)
    try:
        program.bound.append(map_)
    except MemoryError:
        release_map(map_)
        raise


# ---- Tail calls ------------------------------------------------------------------------------------------------------


def claim(map_: Map, program: Program) -> None:
    """Check that a program may be in an array of programs, or call its: all must be of one type, for one place. The
    first one says which. Raises EINVAL.
    """
    if map_.owner_kind < 0:
        map_.owner_kind = program.kind
        map_.owner_place = program.asked_place
    elif map_.owner_kind != program.kind or map_.owner_place != program.asked_place:
        raise Errno(EINVAL)


def claim_arrays(program: Program) -> None:
    """The same for the arrays that a program names."""
    for map_ in program.maps:
        if map_.kind == PROGRAM_ARRAY:
            claim(map_, program)

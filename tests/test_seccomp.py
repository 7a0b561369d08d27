"""The filter of system calls, run as the kernel runs it, for both machines: this one is one of them only."""

from __future__ import annotations

import errno
import struct

import pytest

from builder.sandbox_child.seccomp import program

ALLOW = 0x7FFF0000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter returns for a call: the errno, or 0 if it is allowed (classic BPF, as seccomp(2) takes it)."""
    told = MACHINES[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, told, 0, *arguments, *[0] * (6 - len(arguments)))
    rows = list(struct.iter_unpack("<HBBI", program(machine)))
    place = value = 0
    while True:
        code, so, otherwise, wanted = rows[place]
        place += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, wanted)
        elif code == 0x15:
            place += so if value == wanted else otherwise
        elif code == 0x35:
            place += so if value >= wanted else otherwise
        else:
            assert code == 0x06
            return 0 if wanted == ALLOW else wanted & 0xFFFF


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        ("x86_64", (248, 249, 250, 321, 298, 323, 103, 304, 425, 426, 427)),
        ("aarch64", (217, 218, 219, 280, 241, 282, 116, 265, 425, 426, 427)),
    ],
)
def test_refused_and_nothing_else(machine: str, numbers: tuple[int, ...]) -> None:
    socket, ioctl = (41, 16) if machine == "x86_64" else (198, 29)
    found = {number for number in range(600) if verdict(machine, number) == errno.ENOSYS}
    assert found == set(numbers)
    assert {number for number in range(600) if verdict(machine, number, 1)} == set(numbers)
    families = {family for family in range(64) if not verdict(machine, socket, family)}
    assert families == {1, 2, 10, 16}
    assert verdict(machine, socket, 40) == errno.EAFNOSUPPORT
    assert verdict(machine, socket, 1 | 40 << 32) == 0  # The kernel takes an int too.
    assert [verdict(machine, ioctl, 0, order) for order in (0x5412, 0x541C, 0x5413)] == [errno.EPERM, errno.EPERM, 0]


@pytest.mark.parametrize("machine", MACHINES)
def test_other_words(machine: str) -> None:
    """32-bit programs and x32 have other numbers for the same calls."""
    for architecture in (0x40000003, 0x40000028, *(one for one in MACHINES.values() if one != MACHINES[machine])):
        assert verdict(machine, 1, architecture=architecture) == errno.ENOSYS
    assert verdict(machine, 0x40000000 | 1) == errno.ENOSYS


def test_unknown_machine() -> None:
    with pytest.raises(KeyError):
        program("riscv64")

from __future__ import annotations

import pytest

from builder.errors import HostileInput
from builder.kinds.apt import package
from builder.kinds.apt.relation import Atom


def parsed(text: str) -> package.Package:
    return package.of_stanza(text, source="debian", suite="test", release="20260711T101637Z")


def test_pin_keeps_the_archives_fields(stanza) -> None:  # type: ignore[no-untyped-def]
    one = parsed(stanza("vim", "2:9.0", Depends="libc6 (>= 2.34)", Homepage="x", Multi_Arch="foreign", Source="v"))
    assert one.pin.fields == (
        ("Architecture", "amd64"),
        ("Multi-Arch", "foreign"),
        ("Source", "v"),
        ("Depends", "libc6 (>= 2.34)"),
        ("X-Suite", "test"),
        ("X-Release", "20260711T101637Z"),
    )
    assert (one.pin.name, one.pin.version, one.pin.source) == ("vim", "2:9.0", "debian")
    assert package.of_pin(one.pin, image="base").needs == one.needs


def test_pre_depends_come_first(stanza) -> None:  # type: ignore[no-untyped-def]
    one = parsed(stanza("a", Depends="b", Pre_Depends="c"))
    assert [clause[0].name for clause in one.needs] == ["c", "b"]


def test_continued_fields_are_joined() -> None:
    assert package.fields_of("Depends: a,\n b,\n\tc\nSize: 1") == {"Depends": "a, b, c", "Size": "1"}


@pytest.mark.parametrize("field", ["Version", "Filename", "Size", "SHA256"])
def test_entry_without_a_needed_field(stanza, field: str) -> None:  # type: ignore[no-untyped-def]
    text = "\n".join(line for line in stanza("a").split("\n") if not line.startswith(field))
    with pytest.raises(HostileInput, match="malformed entry in the package index of test"):
        parsed(text)


def test_any_asks_for_multi_arch_allowed(stanza) -> None:  # type: ignore[no-untyped-def]
    wanted = Atom(name="python3", arch="any")
    assert parsed(stanza("python3", Multi_Arch="allowed")).offers(wanted)
    assert not parsed(stanza("python3", Multi_Arch="same")).offers(wanted)
    assert parsed(stanza("python3")).offers(Atom(name="python3", arch="amd64"))
    assert not parsed(stanza("python3")).offers(Atom(name="python3", arch="arm64"))

from __future__ import annotations

from builder.kinds.apt.universe import Index, Universe


def test_highest_version_of_all_suites_first(stanza) -> None:  # type: ignore[no-untyped-def]
    main = Index(suite="a", release="20260101T000000Z", text=stanza("x", "1.9") + "\n" + stanza("y"))
    late = Index(suite="a-security", release="20260201T000000Z", text=stanza("x", "1.10"))
    found = Universe("debian", [main, late])
    assert [(one.version, one.pin.field("X-Suite")) for one in found.versions("x")] == [
        ("1.10", "a-security"),
        ("1.9", "a"),
    ]
    assert found.suites == {"a": "20260101T000000Z", "a-security": "20260201T000000Z"}


def test_equal_version_is_the_first_suites(stanza) -> None:  # type: ignore[no-untyped-def]
    indices = [Index(suite=name, release="20260101T000000Z", text=stanza("x")) for name in ("one", "two")]
    assert [one.pin.field("X-Suite") for one in Universe("debian", indices).versions("x")] == ["one"]


def test_providers_and_essential(stanza, universe) -> None:  # type: ignore[no-untyped-def]
    found = universe(
        stanza("mawk", Provides="awk"),
        stanza("gawk", Provides="awk (= 5),\n other"),
        stanza("bash", Essential="yes"),
    )
    assert found.providers("awk") == ("mawk", "gawk")
    assert found.providers("other") == ("gawk",)
    assert found.essential() == ["bash"]
    assert found.position("mawk") < found.position("gawk")
    assert "awk" not in found and found.versions("awk") == ()

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from builder.errors import HostileInput, StackbuildError
from builder.kinds.apt import check, lockfile
from builder.kinds.apt.archive import Means, Universes
from builder.kinds.apt.resolve import ALL, AptQuestion, resolve
from builder.lock import Lock
from builder.manifest.settings import Archive

Stanza = Callable[..., str]


@pytest.fixture
def ask(archive: Archive, means: Means) -> Callable[..., Lock]:
    """Resolve as a fresh process would."""

    def run(*request: str, **options: Any) -> Lock:
        question = AptQuestion(archive=archive, architecture="amd64", request=request, **options)
        return resolve(question, Universes(means))

    return run


def shown(lock: Lock) -> list[str]:
    return [f"{pin.name}={pin.version} via {','.join(pin.via)}" for pin in lock.pins]


def test_a_root_and_a_child(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    fake.publish(
        "test",
        stanza("bash", Essential="yes", Depends="libc6"),
        stanza("libc6"),
        stanza("curl", Depends="libc6, libcurl4"),
        stanza("libcurl4"),
        stanza("git", Depends="libcurl4, perl"),
        stanza("perl"),
    )
    root = ask("curl")
    assert root.request == ("curl",)
    assert shown(root) == [
        "bash=1 via essential",
        "curl=1 via stacks.toml",
        "libc6=1 via bash",
        "libcurl4=1 via curl",
    ]
    child = ask("git", inherited=(("base", root),))
    assert shown(child) == ["git=1 via stacks.toml", "perl=1 via git"]
    assert child.pins[0].source == "toy-archive"


def test_again_gives_the_same_lock(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    fake.publish("test", stanza("aa", Depends="bb"), stanza("bb"))
    lock = ask("aa")
    assert ask("aa", existing=lock) == lock


def test_new_packages_do_not_change_who_brought_the_old(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    fake.publish("test", stanza("aa", Depends="lib"), stanza("mm", Depends="lib"), stanza("lib"))
    lock = ask("mm")
    assert shown(ask("aa", "mm"))[1] == "lib=1 via aa"
    assert shown(ask("aa", "mm", existing=lock))[1] == "lib=1 via mm"
    assert shown(ask("aa", existing=lock))[1] == "lib=1 via aa"


def test_kept_moved_and_gone_pins(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    old, new = "Sat, 11 Jul 2026 10:16:37 UTC", "Sun, 12 Jul 2026 10:16:37 UTC"
    fake.publish("test", stanza("aa", "1"), stanza("bb", "1"), Date=old)
    lock = ask("aa", "bb")
    fake.publish("test", *(stanza(name, number) for name in ("aa", "bb") for number in "12"), Date=new)
    assert ask("aa", "bb", existing=lock) == lock
    bumped = ask("aa", "bb", existing=lock, upgrade=frozenset({"bb"}))
    assert [(pin.version, pin.field("X-Release")) for pin in bumped.pins] == [
        ("1", "20260711T101637Z"),
        ("2", "20260712T101637Z"),
    ]
    assert [pin.version for pin in ask("aa", "bb", existing=lock, upgrade=ALL).pins] == ["2", "2"]
    fake.publish("test", stanza("aa", "2"), stanza("bb", "1"), Date=new)
    assert [pin.version for pin in ask("aa", "bb", existing=lock).pins] == ["2", "1"]


def test_mirror_that_went_back_in_time(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    fake.publish("test", stanza("aa", "2"), Date="Sun, 12 Jul 2026 10:16:37 UTC")
    lock = ask("aa")
    fake.publish("test", stanza("aa", "1"), Date="Sat, 11 Jul 2026 10:16:37 UTC")
    with pytest.raises(HostileInput, match="went back in time: test"):
        ask("aa", existing=lock)
    cutoff = datetime(2026, 7, 12, tzinfo=UTC)
    assert [pin.version for pin in ask("aa", existing=lock, exclude_newer=cutoff).pins] == ["1"]


def test_same_version_with_other_bytes(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    fake.publish("test", stanza("aa"))
    lock = ask("aa")
    fake.publish("test", stanza("aa").replace("SHA256: ", "SHA256: 00")[:-3] + "\n")
    with pytest.raises(HostileInput, match="other bytes than when it was locked"):
        ask("aa", existing=lock)


def test_exempt_archive_may_be_newer(fake: Any, stanza: Stanza, ask: Callable[..., Lock]) -> None:
    fake.publish("test", stanza("aa"), Date="Thu, 19 Nov 2026 02:12:54 UTC")
    cutoff = datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(StackbuildError, match="as of 2026-11-01"):
        ask("aa", exclude_newer=cutoff)
    assert len(ask("aa", exclude_newer=cutoff, exempt=frozenset({"toy-archive"})).pins) == 1


def test_what_is_resolved_is_written_read_and_sound(
    fake: Any, archive: Archive, stanza: Stanza, ask: Callable[..., Lock]
) -> None:
    fake.publish("test", stanza("aa", Depends="virt", Breaks="cc (<< 2)"), stanza("bb", Provides="virt"))
    lock = ask("aa")
    question = AptQuestion(archive=archive, architecture="amd64", request=("aa",))
    text = lockfile.dumps(lock, question.header)
    assert lockfile.load(text, "x") == (question.header, lock)
    assert fake.url not in text and "127.0.0.1" not in text
    assert check.problems(check.Subject(path="x", lock=lock, text=text), (), ("aa",)) == []
    damaged = replace(lock, pins=lock.pins[:1])
    assert len(check.problems(check.Subject(path="x", lock=damaged, text=text), (), ("aa",))) == 1

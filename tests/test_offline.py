"""Two doors to the network, which both are shut."""

from __future__ import annotations

import pytest

from builder.errors import Unreachable
from builder.net import Client
from builder.offline import VARIABLE, offline, refuse
from builder.user_config import environment_for_tools


@pytest.mark.parametrize(
    ("said", "meant"),
    [("1", True), ("true", True), ("yes", True), ("", False), ("0", False), ("false", False), ("No", False)],
)
def test_variable(said: str, meant: bool) -> None:
    assert offline({VARIABLE: said}) is meant
    assert not offline({})


def test_refusal_says_what_it_takes() -> None:
    refuse({}, "nothing is wrong")
    with pytest.raises(Unreachable, match="offline: tags are moved") as caught:
        refuse({VARIABLE: "1"}, "tags are moved")
    assert "--offline" in str(caught.value) and f"{VARIABLE}=0" in str(caught.value)


@pytest.mark.parametrize("method", ["get", "page", "size", "range", "exchange"])
def test_client_asks_nobody(method: str) -> None:
    """Port 9 would be refused by the kernel, which is told otherwise."""
    client = Client(environ={VARIABLE: "1"})
    url = "http://user:hunter2@127.0.0.1:9/file"
    arguments: tuple[object, ...] = {"range": (url, 0, 1), "exchange": ("GET", url)}.get(method, (url,))
    with pytest.raises(Unreachable, match=r"^offline: http://127.0.0.1:9/file is needed") as caught:
        getattr(client, method)(*arguments)
    assert "hunter2" not in str(caught.value)


def test_client_heeds_the_environment_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(Unreachable, match="offline"):
        Client().get("http://127.0.0.1:9/file")


def test_programs_are_not_told_the_way() -> None:
    """uv, pip-compile, pip and npm all take it from here."""
    assert environment_for_tools({}) == {}
    with pytest.raises(Unreachable, match="offline"):
        environment_for_tools({VARIABLE: "1"})

"""Who we are, to whom: from variables, URLs, a netrc and a keyring's program."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.credentials import TOKEN, Login, Logins, joined, named, placed, secrets, split
from builder.errors import StackbuildError

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)


@given(WORDS.filter(bool), st.none() | WORDS)
def test_a_login_survives_its_url(user: str, password: str | None) -> None:
    login = Login(user, password)
    assert split(joined("https://host:1/a/b?c", login)) == ("https://host:1/a/b?c", login)
    assert split(joined("https://other:login@host/", login)) == ("https://host/", login)


def test_a_login_is_never_printed() -> None:
    login = Login("bob", "hunter2")
    assert "hunter2" not in f"{login} {login!r} {[login]}"


@pytest.mark.parametrize(
    ("said", "url", "left"),
    [
        ("", "https://h/x", "https://h/x"),
        ("bob:a:b", "https://h/x", "https://bob:a%3Ab@h/x"),
        ("tok/en", "https://h/x", f"https://{TOKEN}:tok%2Fen@h/x"),
        ("token", "https://bob@h/x", "https://bob:token@h/x"),
        ("bob:new", "https://al:old@h/x", "https://bob:new@h/x"),
        ("", "https://al:old@h/x", "https://al:old@h/x"),
        ("bob:pw", "http://[::bad", "http://[::bad"),
    ],
)
def test_a_place_with_a_name_has_a_credential_of_that_name(said: str, url: str, left: str) -> None:
    environ = {"STACKBUILD_CREDENTIAL_TORCH_CPU": said, "STACKBUILD_CREDENTIAL_OTHER": "no:no"}
    assert placed(url, named("torch-cpu", environ)) == left


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".netrc").write_text(
        "machine a.example login al password s3cret\n"
        "machine a.example:8443 login port password s3cret\n"
        "machine 127.0.0.1 login me password s3cret\n"
        "default login everybody password hunter2\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("https://a.example/x", "al"),
        ("https://a.example:8443/x", "port"),
        ("https://a.example:9/x", "al"),
        ("https://own:pw@a.example/x", "own"),
        ("http://127.0.0.1:80/x", "me"),
        ("http://a.example/x", None),
        ("https://b.example/x", None),
        ("https://sub.a.example/x", None),
    ],
)
def test_netrc(url: str, user: str | None, home: Path) -> None:
    for environ in ({"HOME": str(home)}, {"NETRC": str(home / ".netrc")}):
        found = Logins(environ).of(url)
        assert (found.user if found else None) == user


def test_a_netrc_that_is_none_is_told_without_its_words(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine h login al password s3cret\nhunter2 hunter3\n")
    with pytest.raises(StackbuildError, match="not a netrc") as caught:
        Logins({"NETRC": str(tmp_path / "netrc")}).of("https://a.example/x")
    assert "hunter" not in str(caught.value)
    assert caught.value.where.startswith(str(tmp_path / "netrc"))
    assert secrets({"NETRC": str(tmp_path / "netrc")}) == ()


def test_no_netrc(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "bytes"):
        assert Logins({"NETRC": str(path)}).of("https://a.example/x") is None


@pytest.mark.parametrize("url", ["http://u:hunter2@h.example/x", "http://u@h.example", "ftp://u:hunter2@h.example/x"])
def test_nothing_travels_in_clear(url: str, tmp_path: Path) -> None:
    with pytest.raises(StackbuildError, match="in clear") as caught:
        Logins({"HOME": str(tmp_path)}).of(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "[::1]:80"])
def test_this_machine_may_be_told_in_clear(host: str, tmp_path: Path) -> None:
    assert Logins({"HOME": str(tmp_path)}).of(f"http://u:p@{host}/x") == Login("u", "p")


def keyring(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir()
    (folder / "keyring").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "keyring").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}


def test_a_user_without_password_asks_the_keyring(tmp_path: Path) -> None:
    """By the URL first, then by the host, as pip and uv do."""
    asked = tmp_path / "asked"
    script = f'echo "$@" >> {asked}; [ "$2" = h.example ] && [ "$3" = bob ] && echo "pass word" || exit 1'
    environ = keyring(tmp_path / "bin", script)
    for _ in range(3):
        assert Logins(environ).of("https://bob@h.example:8/simple") == Login("bob", "pass word")
    assert asked.read_text().splitlines() == ["get https://h.example:8/simple bob", "get h.example bob"]
    assert Logins(environ).of("https://al@h.example/simple") == Login("al", "")


def test_the_keyring_is_asked_for_nothing_else(tmp_path: Path) -> None:
    environ = keyring(tmp_path / "bin", f"touch {tmp_path}/asked; echo x")
    assert Logins(environ).of("https://h.example/simple") is None
    assert Logins(environ).of("https://bob:@h.example/simple") == Login("bob", "")
    assert Logins(environ).of("https://bob:pw@h.example/simple") == Login("bob", "pw")
    with pytest.raises(StackbuildError, match="in clear"):
        Logins(environ).of("http://bob@h.example/simple")
    assert not (tmp_path / "asked").exists()


def test_without_a_keyring(tmp_path: Path) -> None:
    assert Logins({"PATH": str(tmp_path), "HOME": str(tmp_path)}).of("https://tok@h.example/") == Login("tok", "")


def test_every_secret_of_an_environment_is_known(home: Path) -> None:
    environ = {
        "HOME": str(home),
        "STACKBUILD_CREDENTIAL_A": "bob:pw-1",
        "STACKBUILD_CREDENTIAL_B": "token-2",
        "STACKBUILD_MIRROR_X": "https://u:pw%203@h/ https://v:pw-4@i/ file:///x",
        "https_proxy": "http://user-5@proxy:3128",
        "STACKBUILD_CHANNEL_OURS": "https://conda.example/t/channel-6/ours",
        "ELSE": "no://[bad @",
    }
    found = secrets(environ)
    for one in ("pw-1", "bob:pw-1", "token-2", "pw 3", "pw-4", "u:pw 3", "user-5", "channel-6", "s3cret", "al:s3cret"):
        assert one in found
    assert not {"", "bob", "u", "al"} & set(found)

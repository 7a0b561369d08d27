"""Where channels are, and what of that may be written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import StackbuildError
from builder.kinds.conda.places import Channels
from builder.lock import Pin

PIN = Pin(
    kind="conda",
    name="x",
    version="1",
    filename="noarch/x-1-0.conda",
    digest=Digest.of(b""),
    size=0,
    source="team",
)
NAMED = {"team": "https://conda.example.com/team/", "near": "channels/near"}


def channels(environ: dict[str, str], folder: Path = Path("/project")) -> Channels:
    return Channels(NAMED, folder, environ)


def test_the_environment_wins() -> None:
    found = channels({"STACKBUILD_CHANNEL_TEAM": "http://one.example.com/a/ file:///srv/b"})
    assert found.files(PIN) == [
        "http://one.example.com/a/noarch/x-1-0.conda",
        "file:///srv/b/noarch/x-1-0.conda",
    ]
    assert found.public("team") == "https://conda.example.com/team"


def test_else_the_manifest_says() -> None:
    assert channels({}).files(PIN) == ["https://conda.example.com/team/noarch/x-1-0.conda"]


def test_conda_forge_is_known_to_everybody() -> None:
    found = Channels({}, Path("/"), {})
    assert found.urls("conda-forge") == ("https://conda.anaconda.org/conda-forge",)
    assert found.public("conda-forge") == "https://conda.anaconda.org/conda-forge"


def test_a_folder_is_relative_to_the_manifest(tmp_path: Path) -> None:
    found = channels({}, tmp_path)
    assert found.urls("near") == ((tmp_path / "channels/near").as_uri(),)
    assert found.public("near") == "https://channel.invalid/near"


def test_what_only_this_machine_knows_is_not_written() -> None:
    found = channels({"STACKBUILD_CHANNEL_OWN_TEAM": "https://me:secret@host.example.com/t/tk-1234-abcd/own"})
    assert found.urls("own-team") == ("https://me:secret@host.example.com/t/tk-1234-abcd/own",)
    assert found.public("own-team") == "https://channel.invalid/own-team"
    assert found.shown("own-team") == "https://host.example.com/t/***/own"


@pytest.mark.parametrize("environ", [{}, {"STACKBUILD_CHANNEL_NOBODY": "ftp://x.example.com/secret"}])
def test_a_channel_without_a_place(environ: dict[str, str]) -> None:
    with pytest.raises(StackbuildError, match="channel") as caught:
        channels(environ).urls("nobody")
    assert "STACKBUILD_CHANNEL_NOBODY" in str(caught.value) or "http" in str(caught.value)

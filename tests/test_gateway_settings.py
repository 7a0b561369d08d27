"""What the start scripts of gateways share: allow-lists in whatever form they are written, and the usual kernel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parents[1] / "overlays/gateway-base/usr/local/lib/gateway/settings.sh"


def said(*words: str, **env: str) -> list[str]:
    """The lines that a function of the settings prints."""
    script = f'set -eu; . {SETTINGS}; "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "python_docker,r_docker",
        "python_docker, r_docker",
        '["python_docker", "r_docker"]',
        "['python_docker','r_docker']",
        "'python_docker','r_docker'",
        "python_docker\nr_docker\n",
        " ,python_docker,,r_docker, ",
    ],
)
def test_an_allow_list_is_read_in_any_form(text: str) -> None:
    assert said("allowed", text, "Manager.names") == ["--Manager.names=python_docker", "--Manager.names=r_docker"]


def test_a_pattern_stays_a_pattern(tmp_path: Path) -> None:
    """No name of the list becomes those of files."""
    assert said("allowed", "/etc/*", "names") == ["--names=/etc/*"]


def test_the_usual_kernel_depends_on_where_it_runs() -> None:
    assert said("usual", "python_kubernetes", "python_docker") == ["python_docker"]
    assert said("usual", "python_kubernetes", "python_docker", KUBERNETES_SERVICE_HOST="10.0.0.1") == [
        "python_kubernetes"
    ]

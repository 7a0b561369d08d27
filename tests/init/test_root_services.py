"""Services of root's beside services of the user, in a container that is started as root."""

from pathlib import Path
from signal import SIGTERM

import pytest

from .container import JOVYAN, ROOT, Image

AS_USER = '[ "$(id -u)" -ne 0 ] || exec s6-setuidgid jovyan "$0"\n'
"""What docs/init.md tells: begin again as the user, if there is anything to give up."""
STEADY = "trap 'echo {0} ends; exit 0' TERM; echo {0} is $(id -u):$(id -g):$(id -G) $A $HOME; sleep 30 & wait"


@pytest.fixture
def both(image: Image, debian: Path) -> Image:
    """An image with a service of root's, and one of the user's."""
    image.file("etc/passwd", (debian / "etc/passwd").read_text() + "jovyan:x:1000:0::/home/jovyan:/bin/bash\n")
    group = (debian / "etc/group").read_text().splitlines()
    joined = [f"{line}jovyan" if line.startswith("users:") else line for line in group]
    image.file("etc/group", "\n".join(joined) + "\n")
    image.file("etc/services.d/clock/as-root", "")
    image.script("etc/services.d/clock/run", STEADY.format("clock"), shebang="/command/with-contenv sh")
    image.script("etc/services.d/web/run", AS_USER + STEADY.format("web"), shebang="/command/with-contenv sh")
    return image


def test_each_is_whose_it_shall_be(both: Image) -> None:
    """The user's has the user's groups and none of root's; the environment is the container's for both."""
    container = both.start(user=ROOT, env={"A": "1"})
    container.wait_for("web is 1000:0:0 100 1 /home/jovyan\n")
    container.wait_for("clock is 0:0:0 1 /home/jovyan\n")
    outcome = container.end(send=SIGTERM)
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(outcome.out.splitlines()[-2:]) == ["clock ends", "web ends"]


def test_the_users_service_is_started_again_as_the_user(both: Image) -> None:
    both.script("etc/services.d/web/run", AS_USER + "echo life of $(id -u); exit 1", shebang="/command/with-contenv sh")
    container = both.start(user=ROOT)
    container.wait_for("life of 1000\nlife of 1000\n")
    assert container.end(send=SIGTERM).code == 0


def test_the_user_cannot_reach_what_supervises(both: Image) -> None:
    """Neither the way out nor a service of root's is the user's to command."""
    tries = """
/run/s6/basedir/bin/halt; s6-svc -d /run/service/clock; kill "$(s6-svstat -o pid /run/service/clock)"
for file in /run/service/clock/run /run/s6-linux-init-container-results/exitcode; do
    { echo x >"$file"; } && echo "wrote $file"
done
echo tried; sleep 30 & wait
"""
    both.script("etc/services.d/web/run", AS_USER + f"exec 2>/dev/null\n{tries}", shebang="/command/with-contenv sh")
    container = both.start(user=ROOT)
    container.wait_for("tried\n")
    assert "wrote" not in container.out
    assert "clock ends" not in container.out
    assert container.execute("s6-svstat", "-o", "up", "/run/service/clock") == "true\n"
    assert container.end(send=SIGTERM).code == 0


def test_the_same_script_serves_a_container_of_the_users(both: Image) -> None:
    """Nothing is to be given up then; a service that needs root tells so by itself."""
    container = both.start(user=JOVYAN, env={"A": "1"})
    container.wait_for("web is 1000:0:0 100 1 /home/jovyan\n")
    container.wait_for("clock is 1000:0:0 100 1 /home/jovyan\n")
    assert container.end(send=SIGTERM).code == 0

"""cont-init.d, services.d, S6_BEHAVIOUR_IF_STAGE2_FAILS and S6_CMD_WAIT_FOR_SERVICES_MAXTIME."""

import time

import pytest

from .container import DEFAULT, RANDOM, ROOT, UNTIL_UP, Image, Options

FOREVER = "exec sleep infinity"
FAIL_2 = {"S6_BEHAVIOUR_IF_STAGE2_FAILS": "2"}
FAIL_1 = {"S6_BEHAVIOUR_IF_STAGE2_FAILS": "1"}


def test_scripts_run_in_the_order_of_their_bytes(image: Image) -> None:
    for name in ("9-c", "10-b", "a-e", "B-d", "01-a"):
        image.script(f"etc/cont-init.d/{name}", f"echo {name}")
    outcome = image.start("true", env={"LC_ALL": "en_US.UTF-8"}).end()
    assert outcome.out.split() == ["01-a", "10-b", "9-c", "B-d", "a-e"]


def test_scripts_are_over_before_services_and_services_up_before_cmd(image: Image) -> None:
    image.script("etc/cont-init.d/01", "sleep 0.1; echo init")
    image.script("etc/services.d/web/run", f"echo service; : >/run/s6/up; {FOREVER}")
    cmd = f"s6-svstat -o up /run/service/web >/run/s6/state; {UNTIL_UP}; cat /run/s6/state"
    assert image.start("sh", "-c", cmd).end().out == "init\nservice\ntrue\n"


def failing(image: Image) -> Image:
    """An image whose second start script of three fails."""
    image.script("etc/cont-init.d/01", "echo one")
    image.script("etc/cont-init.d/02", "exit 3")
    image.script("etc/cont-init.d/03", "echo three")
    image.script("etc/services.d/web/run", f"echo service; : >/run/s6/up; {FOREVER}")
    return image


def test_failure_is_silent_by_default(image: Image) -> None:
    outcome = failing(image).start("sh", "-c", f"{UNTIL_UP}; echo cmd").end()
    assert outcome.out.split() == ["one", "three", "service", "cmd"]
    assert (outcome.code, outcome.err) == (0, "")


def test_failure_warns_at_1(image: Image) -> None:
    outcome = failing(image).start("sh", "-c", f"{UNTIL_UP}; echo cmd", env=FAIL_1).end()
    assert outcome.out.split() == ["one", "three", "service", "cmd"]
    assert outcome.code == 0
    assert outcome.err == "init: warning: /etc/cont-init.d/02 exited 3\n"


def test_failure_stops_at_2_after_all_scripts_ran(image: Image) -> None:
    image.script("etc/cont-finish.d/01", "echo finished")
    outcome = failing(image).start("echo", "cmd", env=FAIL_2).end()
    assert outcome.out.split() == ["one", "three", "finished"]
    assert outcome.code == 1
    assert "/etc/cont-init.d/02 exited 3" in outcome.err
    assert "init: fatal: bring-up failed (exit 1), stopping the container" in outcome.err


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_script_that_cannot_run_is_a_failure(image: Image, mode: int) -> None:
    image.script("etc/cont-init.d/01", "echo never", shebang="/no/such/shell", mode=mode)
    outcome = image.start("true", user=ROOT, env=FAIL_2).end()
    assert outcome.code == 1
    assert "/etc/cont-init.d/01 exited 12" in outcome.err


def test_nothing_to_do_is_no_failure(image: Image) -> None:
    image.folder("etc/cont-init.d")
    image.folder("etc/services.d")
    outcome = image.start("echo", "cmd", env=FAIL_2).end()
    assert (outcome.code, outcome.out, outcome.err) == (0, "cmd\n", "")


def test_without_cmd_it_stays_up(image: Image) -> None:
    image.script("etc/services.d/web/run", f"echo service; {FOREVER}")
    container = image.start()
    container.wait_for("service\n")
    container.execute("s6-svwait", "-u", "/run/service/web")  # s6 notes that it is up after it has begun to speak.
    assert container.execute("s6-svstat", "-o", "up", "/run/service/web") == "true\n"


def test_services_are_copied_below_run(image: Image) -> None:
    image.script("etc/services.d/web/run", f"pwd; cat data/greeting; {FOREVER}")
    image.file("etc/services.d/web/data/greeting", "hello\n")
    container = image.start()
    container.wait_for("/run/service/web\nhello\n")


def test_a_linked_service_folder_is_followed(image: Image) -> None:
    image.script("opt/web/run", f"pwd -P; {FOREVER}")
    (image.folder("etc/services.d") / "web").symlink_to("/opt/web")
    image.start().wait_for("/run/service/web\n")


def test_read_only_service_files_are_no_obstacle(image: Image) -> None:
    image.script("etc/services.d/web/run", f"echo up; {FOREVER}", mode=0o555)
    image.folder("etc/services.d/web", 0o555)
    for _ in range(2):
        container = image.start(user=RANDOM)
        container.wait_for("up\n")
        container.kill()


def test_a_service_with_a_down_file_waits_for_a_hand(image: Image) -> None:
    image.script("etc/services.d/web/run", f"echo up; {FOREVER}")
    image.file("etc/services.d/web/down", "")
    container = image.start("sh", "-c", "echo cmd; exec sleep infinity")
    container.wait_for("cmd\n")
    assert container.out == "cmd\n"
    container.execute("s6-svc", "-u", "/run/service/web")
    container.wait_for("up\n")


def test_cmd_waits_for_a_service_that_tells_when_it_is_ready(image: Image) -> None:
    image.script("etc/services.d/web/run", f"sleep 0.2; echo ready; echo >&3; {FOREVER}")
    image.file("etc/services.d/web/notification-fd", "3\n")
    assert image.start("echo", "cmd").end().out == "ready\ncmd\n"


def test_maxtime_bounds_the_start_scripts(image: Image) -> None:
    image.script("etc/cont-init.d/01", "echo begun; sleep 300; echo never")
    image.script("etc/services.d/web/run", f"echo service; {FOREVER}")
    env = {"S6_CMD_WAIT_FOR_SERVICES_MAXTIME": "1000"}
    begin = time.monotonic()
    outcome = image.start("echo", "cmd", env=FAIL_2 | env).end()
    assert 1 <= time.monotonic() - begin < 20
    assert (outcome.code, outcome.out) == (124, "begun\n")
    assert "not up within S6_CMD_WAIT_FOR_SERVICES_MAXTIME" in outcome.err

    outcome = image.start("echo", "cmd", env=FAIL_1 | env).end()
    assert (outcome.code, outcome.out) == (0, "begun\ncmd\n")
    assert outcome.err == "init: warning: not up within S6_CMD_WAIT_FOR_SERVICES_MAXTIME\n"

    outcome = image.start("echo", "cmd", env=env).end()
    assert (outcome.code, outcome.out, outcome.err) == (0, "begun\ncmd\n", "")


def test_maxtime_bounds_the_services(image: Image) -> None:
    image.script("etc/services.d/web/run", f"echo service; {FOREVER}")
    image.file("etc/services.d/web/notification-fd", "3\n")
    env = {"S6_CMD_WAIT_FOR_SERVICES_MAXTIME": "1000"}
    outcome = image.start("echo", "cmd", env=FAIL_2 | env).end()
    assert (outcome.code, outcome.out) == (124, "service\n")


@pytest.mark.parametrize("value", ["0", "", "soon"])
def test_maxtime_that_is_zero_or_no_number_is_no_bound(image: Image, value: str) -> None:
    image.script("etc/cont-init.d/01", "sleep 0.3")
    env = FAIL_2 | {"S6_CMD_WAIT_FOR_SERVICES_MAXTIME": value}
    assert image.start("echo", "cmd", env=env).end().out == "cmd\n"


def test_start_up_is_quick(image: Image) -> None:
    """A tenth of a second is five times what it takes, mounts included, on two slow cores that do nothing else.

    Where they do, it takes no more than ten times what a start without /init takes.
    """
    image.script("etc/services.d/web/run", f"echo up; {FOREVER}")
    bare = Options(entrypoint=("/bin/sh", "-c", f"echo up; {FOREVER}"))

    def seconds(options: Options) -> float:
        begin = time.monotonic()
        container = image.start(options=options)
        container.wait_for("up\n")
        taken = time.monotonic() - begin
        container.kill()
        return taken

    without = ours = float("inf")
    for _ in range(20):
        without, ours = min(without, seconds(bare)), min(ours, seconds(DEFAULT))
        if ours < max(0.1, 10 * without):
            return
    raise AssertionError(f"{ours:.3f} s, without /init {without:.3f} s")

"""Who uses a store keeps the collector out, and the other way round; whoever dies lets go."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from builder.errors import StackbuildError
from builder.store import Store

_HOLDER = """
import sys
from pathlib import Path
from builder.store import Store
store = Store.open(Path(sys.argv[1]))
store.hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_many_use_a_store_at_once(store: Store) -> None:
    with (
        store.leased(),
        store.leased(),
        Store.open(store.path).leased(),
        pytest.raises(StackbuildError, match="in use"),
    ):
        store.alone().__enter__()
    with store.alone():
        pass


def test_one_that_is_held_is_in_use_until_it_is_released(store: Store) -> None:
    other = Store.open(store.path)
    other.hold()
    other.hold()
    with pytest.raises(StackbuildError, match="in use"):
        store.alone().__enter__()
    other.release()
    other.release()
    with store.alone():
        pass
    other.hold()
    del other
    with store.alone():
        pass


def test_error_names_the_process_which_lets_go_when_it_is_killed(store: Store) -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", _HOLDER, str(store.path)]
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StackbuildError) as caught:
            store.alone().__enter__()
        assert str(store.path) in caught.value.what
        assert caught.value.got == f"process {process.pid}"
        process.kill()
        process.wait()
        with store.alone():
            pass


def test_users_wait_for_the_collector(store: Store) -> None:
    order: list[str] = []

    def use() -> None:
        with store.leased():
            order.append("used")

    with store.alone():
        thread = threading.Thread(target=use)
        thread.start()
        thread.join(0.2)
        order.append("collected")
    thread.join()
    assert order == ["collected", "used"]


def test_collector_waits_if_it_is_told_to(store: Store) -> None:
    lease = store.leased()
    lease.__enter__()
    released = threading.Event()

    def release() -> None:
        released.set()
        lease.__exit__(None, None, None)

    threading.Timer(0.2, release).start()
    with store.alone(60):
        assert released.is_set()


def test_workers_get_a_store_without_its_lease(store: Store) -> None:
    store.hold()
    other: Store = pickle.loads(pickle.dumps(store))
    assert other.path == store.path
    store.release()
    with other.alone():
        pass

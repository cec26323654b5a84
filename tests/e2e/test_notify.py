"""What systemd hears from the master: sd_notify(3) to a socket in systemd's place."""

import os
import signal
import socket

import pytest

from conftest import at_most, wait_for

pytestmark = pytest.mark.on("sqlite")


class Manager:
    """Keeps every word; each is a datagram."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.address = address

    def hear(self, seconds=at_most(20)):
        self.socket.settimeout(seconds)
        return self.socket.recv(4096).decode()

    def hear_but_pings(self):
        return next(word for word in iter(self.hear, None) if word != "WATCHDOG=1")


@pytest.fixture
def manager(request, tmp_path):
    if getattr(request, "param", "file") == "file":
        m = Manager(str(tmp_path / "notify"))
        m.variable = m.address
    else:
        m = Manager(f"\0usher-test-{os.getpid()}")
        m.variable = "@" + m.address[1:]
    yield m
    m.socket.close()


def serve(fest, manager, watchdog_us=None):
    """WATCHDOG_PID names the process that is watched, which a shell can say of itself."""
    env = {"NOTIFY_SOCKET": manager.variable}
    wrapper = ()
    if watchdog_us:
        env["WATCHDOG_USEC"] = str(watchdog_us)
        wrapper = ("/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh")
    return fest.serve("--workers", "1", "--mail-workers", "0", env=env, wrapper=wrapper)


@pytest.mark.parametrize("manager", ["file", "name"], indirect=True)
def test_ready_reloading_stopping(fest, manager):
    server = serve(fest, manager)
    assert manager.hear() == "READY=1"
    assert server.get("/readyz").status == 200
    for _ in range(2):
        server.process.send_signal(signal.SIGHUP)
        word, when = manager.hear().split("\n")
        assert word == "RELOADING=1" and int(when.removeprefix("MONOTONIC_USEC=")) > 0
        assert manager.hear() == "READY=1"
    server.process.send_signal(signal.SIGTERM)
    assert manager.hear() == "STOPPING=1"
    assert server.stop() == 0
    with pytest.raises(BlockingIOError):
        manager.hear(0)


def test_it_lives_as_long_as_somebody_serves(fest, manager):
    server = serve(fest, manager, watchdog_us=400000)
    assert manager.hear_but_pings() == "READY=1"
    for _ in range(3):
        assert manager.hear() == "WATCHDOG=1"
    # The next worker finds a secret that is none, and the one after it as well.
    (fest.folder / "usher.key").write_text("no secret")
    os.kill(server.children()["web"][0], signal.SIGKILL)
    wait_for("no worker", lambda: "web" not in server.children())
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):  # what was said before
        while True:
            manager.socket.recv(4096)
    with pytest.raises(TimeoutError):
        manager.hear(1)
    server.stop(signal.SIGINT)


def test_a_watchdog_of_another_process_is_not_ours(fest, manager):
    """The variables are inherited through whatever started us."""
    server = fest.serve("--workers", "1", env={
        "NOTIFY_SOCKET": manager.variable, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    assert manager.hear() == "READY=1"
    server.process.send_signal(signal.SIGTERM)
    assert manager.hear() == "STOPPING=1"


def test_a_manager_that_went_away_changes_nothing(fest, manager):
    manager.socket.close()
    server = serve(fest, manager)
    assert server.get("/readyz").status == 200 and server.stop() == 0

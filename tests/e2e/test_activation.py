"""A listening socket from the service manager, sd_listen_fds(3): it outlives the server, so whoever
connects between two servers waits for the next."""

import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from conftest import ENVIRON, USHER, at_most, children_of, wait_for
from test_rush import RACE, Rush, answer, post

# What a service manager does between fork and exec.
HAND_OVER = (sys.executable, "-c", """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])""")


@pytest.fixture
def given():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    yield listener
    listener.close()


def address(listener):
    return "{}:{}".format(*listener.getsockname())


def serve(fest, given):
    return fest.serve("--workers", "2", "--listen", address(given), env={"LISTEN_FDS": "1"},
                      wrapper=(*HAND_OVER, str(given.fileno())), pass_fds=[given.fileno()])


def test_restarts_in_a_rush_fail_nobody(fest, given):
    """By TERM, as an upgrade does it; who comes between two servers is answered by the next."""
    fest.add_event(RACE, 500, "unlimited")
    server = serve(fest, given)
    assert server.port == given.getsockname()[1] and "listen.given" in server.read_log()
    rush = Rush(fest, server)
    for number in range(3):
        rush.more(500)
        assert server.stop() == 0
        waiting = post(server.port, 9000 + number)
        server = serve(fest, given)
        assert answer(waiting) == 201
    rush.more(500)
    count = rush.finish()
    assert count["broken"] == count["overloaded"] == 0
    assert fest.usher("verify", check=False).returncode == 0


def test_killed_it_keeps_who_waits(fest, given):
    fest.add_event(RACE, 500)
    server = serve(fest, given)
    family = children_of(server.process.pid)
    server.stop(signal.SIGKILL)
    # A worker that has not heard of it yet would take them, and then end.
    wait_for("its workers to end",
             lambda: not [p for p in family if pathlib.Path(f"/proc/{p}").exists()])
    waiting = [post(given.getsockname()[1], number) for number in range(20)]
    server = serve(fest, given)
    assert [answer(c) for c in waiting] == [201] * 20


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("fds, listen", [("1", "127.0.0.1:1"), ("2", None)])
def test_another_socket_than_said_is_refused(fest, given, fds, listen):
    command = [*HAND_OVER, str(given.fileno()), str(USHER), "serve", "--listen",
               listen or address(given)]
    done = subprocess.run(command, cwd=fest.folder, text=True, capture_output=True,
                          env={**ENVIRON, **fest.env, "LISTEN_FDS": fds}, timeout=at_most(20),
                          pass_fds=[given.fileno()])
    assert done.returncode == 1 and "USHER_LISTEN" in done.stderr, done.stderr


@pytest.mark.on("sqlite")
def test_what_is_meant_for_another_process_is_left(fest, given):
    """The variables came from a parent that did not clear them: descriptor 3 is not ours."""
    server = fest.serve("--workers", "1", env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert server.port != given.getsockname()[1] and "listen.given" not in server.read_log()
    assert server.get("/readyz").status == 200

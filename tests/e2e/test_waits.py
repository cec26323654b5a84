"""The examples as what they are shown for: every endpoint, five hundred waits at once, hashing
beside quick answers, and a master that drains, heals and takes its workers with it."""

import concurrent.futures
import json
import os
import pathlib
import signal
import statistics
import threading
import time

import pytest

from conftest import BUILD, ROOT, Server, at_most, children_of, wait_for
from http_cases import head
from raw import Talk, converse_all

PLAIN = head(target="/plain").encode()


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- endpoints ---------------------------------------------------------------------------------

def test_endpoints(waits):
    server = waits()
    assert server.get("/plain").text == "Hello, World!"
    assert server.get("/task").text == server.get("/thread").text == "Hello, World!"
    assert server.get("/json").json == {"message": "Hello, World!"}
    assert server.get("/").text == "OK"
    assert server.request("POST", "/", "back").text == "back"
    assert server.request("POST", "/", iter([b"in ", b"chunks"])).text == "in chunks"
    assert server.get("/echo", X_Odd="one").text.endswith("X-Odd: one\n")
    assert server.request("POST", "/echo", "x").text.endswith("Content-Length: 1\n")
    assert server.get("/cookie", Cookie="a=1; b=2").text == "a=1\nb=2\n"
    assert server.get("/wait?ms=1").text == "waited\n"
    for bad in ("", "?ms=", "?ms=-1", "?ms=x", "?ms=600001"):
        assert server.get("/wait" + bad).status == 400
    paths = server.get("/openapi.json").json["paths"]
    assert set(paths) >= {"/plain", "/json", "/wait", "/hash", "/", "/echo", "/cookie"}
    assert "/wait" in server.get("/docs").text


def test_hash_is_of_the_body(waits):
    server = waits()
    first, again, other = (server.request("POST", "/hash", body).text for body in ("a", "a", "b"))
    assert len(bytes.fromhex(first)) == 32 and first == again != other


def test_options():
    for args in (["--workers", "0"], ["--workers", "65"], ["extra"], ["--port", "x", "y"]):
        assert os.spawnv(os.P_WAIT, BUILD / "examples/waits", ["waits", *args]) == 2


# ---- waiting and computing ---------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 3])
def test_five_hundred_waits_at_once(waits, workers):
    server = waits("--workers", str(workers))
    assert len(children_of(server.process.pid)) == workers
    began = time.monotonic()
    raw = head("Connection: close", target="/wait?ms=1000").encode()
    came = converse_all(server.port, [raw] * 500)
    took = time.monotonic() - began
    assert all(c.endswith(b"waited\n") for c in came)
    assert 1 <= took < at_most(3), "one after another it would be 500 s"


def test_plain_stays_quick_while_hashes_run(waits):
    """What a hash takes of a core is taken in a thread: many answers go out during one."""
    server = waits()
    done = threading.Event()
    hashes = []

    def hash_on():
        while not done.is_set():
            began = time.monotonic()
            assert server.request("POST", "/hash", "x").status == 200
            hashes.append(time.monotonic() - began)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(hash_on) for _ in range(2)]
        quick = []
        with Talk(server.port, at_most(60)) as talk:
            while len(hashes) < 20 and not any(r.done() for r in running):
                began = time.monotonic()
                assert talk.ask(PLAIN).status == 200
                quick.append(time.monotonic() - began)
        done.set()
        for r in running:
            r.result()
    assert len(quick) > 10 * len(hashes)
    assert statistics.median(quick) < statistics.median(hashes) / 5


# ---- the master --------------------------------------------------------------------------------

def test_term_drains_a_running_wait(waits):
    server = waits()
    wait_ms = int(min(at_most(1500), 6000))
    with Talk(server.port, at_most(30)) as waiting, Talk(server.port) as idle:
        began = time.monotonic()
        waiting.send(head(target=f"/wait?ms={wait_ms}").encode())
        idle.ask(PLAIN)  # so the wait has begun
        server.process.send_signal(signal.SIGTERM)
        assert idle.rest() == b""
        with pytest.raises(ConnectionError):
            wait_for("no more connections", lambda: Talk(server.port).__exit__(), 5)
        answer = waiting.read()
        assert (answer.status, answer.body) == (200, b"waited\n")
        assert answer.get("Connection") == "close" and time.monotonic() - began >= wait_ms / 1000
    assert server.process.wait(at_most(10)) == 0


def test_killed_worker_is_replaced_and_loses_no_backlog(waits):
    server = waits()
    with Talk(server.port) as talk:
        talk.ask(PLAIN)
        worker, = children_of(server.process.pid)
        os.kill(worker, signal.SIGKILL)
        began = time.monotonic()
        crowd = [Talk(server.port).send(PLAIN) for _ in range(50)]
        assert talk.rest() == b""
        for other in crowd:
            with other:
                assert other.read().body == b"Hello, World!"
        assert time.monotonic() - began < at_most(1)
    healed, = children_of(server.process.pid)
    assert healed != worker


def test_one_of_three_killed_is_not_missed(waits):
    server = waits("--workers", "3")
    workers = children_of(server.process.pid)
    os.kill(workers[0], signal.SIGKILL)
    for _ in range(200):
        with Talk(server.port) as talk:
            assert talk.ask(PLAIN).status == 200
    wait_for("three again", lambda: len(set(children_of(server.process.pid)) - {workers[0]}) == 3)


class Crowd:
    """Clients that ask all the time, half of them with a connection for each request."""

    def __init__(self, port, size=8):
        self.port, self.stopped, self.answers = port, threading.Event(), 0
        self.pool = concurrent.futures.ThreadPoolExecutor(size)
        self.clients = [self.pool.submit(self.ask_on, i % 2 == 0) for i in range(size)]

    def ask_on(self, keeps):
        raw = head(*([] if keeps else ["Connection: close"]), target="/wait?ms=5").encode()
        while not self.stopped.is_set():
            with Talk(self.port, at_most(60)) as talk:
                answer = None
                while not self.stopped.is_set() and not (answer and answer.get("Connection")):
                    answer = talk.ask(raw)
                    assert answer and answer.status == 200, answer
                    self.answers += 1

    def stop(self):
        """Raises what a client found wrong."""
        self.stopped.set()
        self.pool.shutdown()
        for client in self.clients:
            client.result()


def test_rolling_and_scaling_fail_nobody(waits):
    server = waits("--workers", "2")
    crowd = Crowd(server.port)

    def are_workers(count, other_than=()):
        now = set(children_of(server.process.pid))
        return len(now) == count and not now & set(other_than) and now

    for _ in range(3):
        old, before = are_workers(2), crowd.answers
        server.process.send_signal(signal.SIGHUP)
        wait_for("two new workers", lambda: are_workers(2, old))
        wait_for("some answers", lambda: crowd.answers > before + 100)
    server.process.send_signal(signal.SIGTTIN)
    for worker in wait_for("a third worker", lambda: are_workers(3)):
        os.kill(worker, signal.SIGTERM)
        wait_for("another one instead", lambda: are_workers(3, [worker]))
    server.process.send_signal(signal.SIGTTOU)
    wait_for("two workers", lambda: are_workers(2))
    crowd.stop()


def test_killed_master_takes_its_workers_along(waits):
    server = waits("--workers", "3")
    workers = children_of(server.process.pid)
    with Talk(server.port, at_most(30)) as talk:
        assert talk.ask(PLAIN + head(target="/wait?ms=60000").encode()).status == 200
        server.process.kill()
        server.process.wait()
        wait_for("the workers to end", lambda: not any(map(is_alive, workers)), 2)
        assert talk.read().status == 503 and talk.rest() == b""


# ---- hello -------------------------------------------------------------------------------------

def test_hello(tmp_path):
    assert len((ROOT / "examples/hello.c").read_text().splitlines()) < 40
    server = Server(tmp_path, [str(BUILD / "examples/hello"), "127.0.0.1:0"])
    try:
        began = time.monotonic()
        assert server.get("/hello/J%C3%BCrgen%20K").text == "Hello, Jürgen K!\n"
        assert time.monotonic() - began >= 0.1
        assert "/hello/{name}" in json.loads(server.get("/openapi.json").body)["paths"]
        assert "Greets whoever is named" in server.get("/docs").text
        assert server.get("/hello").status == 404
    finally:
        server.stop(signal.SIGKILL)

"""The rush, and everything that may happen to the server while it lasts.

The students are bench/rush.c; bench/journal.py compares what they heard with what is stored. Faults
come when the journal has grown by so much, so a slow machine meets as many of them as a fast one.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from browser import Browser
from conftest import BUILD, ROOT, at_most, children_of, wait_for

sys.path.insert(0, str(ROOT / "bench"))
from journal import check_journal  # noqa: E402

RACE = "robo-race"
SEATS = 500
MANY = 1_000_000


class Rush:
    """A running crowd of students: so many, or as many as come until `end`. What happens during a
    rush wants the second kind, since nobody knows how long a number of students takes."""

    def __init__(self, fest, server, total=None, *options):
        self.fest, self.server, self.path, self.at = fest, server, fest.folder / "journal", 0
        self.answers, self.lasts = 0, total is None
        self.process = subprocess.Popen(
            [BUILD / "bench/rush", "--port", str(server.port), "--event", RACE, "--total",
             str(total or MANY), "--connections", "128", "--repeat", "15", "--retry-ms",
             "50", "--journal", self.path, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def heard(self):
        """How many answers the journal holds."""
        if self.path.exists():
            with open(self.path, "rb") as journal:
                journal.seek(self.at)
                new = journal.read()
            self.at += len(new)
            self.answers += new.count(b"= ")
        return self.answers

    def more(self, answers):
        """Waits for so many answers from now on."""
        assert self.until(self.heard() + answers), "the rush was over before"

    def until(self, answers):
        """Waits for so many answers. False when the rush is over before."""
        def there():
            return self.heard() >= answers or self.process.poll() is not None
        wait_for(f"{answers} answers", there, 60)
        return self.answers >= answers

    def finish(self):
        """Waits for the end; the counts of what was heard."""
        if self.lasts:
            self.process.terminate()
        out, err = self.process.communicate(timeout=at_most(120))
        count = json.loads(out)
        assert self.process.returncode == 0 and not err, err + out
        assert count["answered"] == count["sent"] and count["other"] == 0, out
        return count

    def end(self):
        """As `finish`, and holds what was heard against what is stored, which nobody may have
        changed since."""
        count = self.finish()
        found = check_journal(self.path, self.fest.url, self.fest.folder)
        assert found["faults"] == []
        verified = self.fest.usher("verify", "--json", check=False)
        assert verified.returncode == 0, verified.stdout
        return {**count, "stored": found}


@pytest.mark.parametrize("workers", ["1", "4"])
def test_five_hundred_seats(fest, workers):
    fest.add_event(RACE, SEATS, 100)
    count = Rush(fest, fest.serve("--workers", workers), 8000).end()
    assert count["stored"]["confirmed"] == count["confirmed"] == SEATS
    assert count["stored"]["waitlisted"] == count["waitlisted"] == 100
    assert count["broken"] == count["overloaded"] == 0
    assert min(count["full"], count["already"], count["replayed"]) > 0


@pytest.mark.on("sqlite")  # see test_faults.py
def test_killed_workers_and_writers(fest):
    """Nothing that was acknowledged is lost, nothing is there twice, and it goes on at once."""
    fest.add_event(RACE, SEATS, "unlimited")
    server = fest.serve("--workers", "4")
    rush = Rush(fest, server)
    dice, pauses = random.Random(1), []
    for number in range(1, 13):
        rush.more(500)
        role = "writer" if number % 2 else "web"
        victim = wait_for(role, lambda: server.children().get(role))
        os.kill(dice.choice(victim), signal.SIGKILL)
        died = time.monotonic()
        rush.more(300)
        pauses.append(time.monotonic() - died)
    count = rush.end()
    assert count["broken"] > 0
    assert max(pauses) < at_most(1), f"it was away for {pauses}"
    assert count["stored"]["confirmed"] == SEATS
    assert server.read_log().count("worker.start: writer") >= 5


def test_cancelling_and_growing_during_the_rush(fest):
    """At every moment taken <= capacity, and nobody new overtakes who waits."""
    fest.add_event(RACE, 100, "unlimited")
    server = fest.serve("--workers", "2")
    rush = Rush(fest, server)
    browser = Browser(server)
    for number in range(1, 11):
        rush.more(300)
        ticket = browser.register(RACE, name=f"Guest {number}", email=f"g{number}@school.example")
        browser.submit(browser.open(ticket.link("Cancel the place")).form("Yes, cancel"))
        fest.usher("event", "capacity", RACE, str(100 + 20 * number))
        with fest.database() as db:
            taken, capacity, waiting = db.execute(
                "SELECT taken, capacity, waiting FROM event_seats").fetchone()
            overtaken = db.execute(
                "SELECT count(*) FROM registrations WHERE status = 1 AND id >"
                " (SELECT min(id) FROM registrations WHERE status = 2)").fetchone()[0]
        assert taken <= capacity and overtaken == 0 and (taken == capacity or waiting == 0)
    rush.finish()
    assert fest.usher("verify").returncode == 0
    with fest.database() as db:
        assert db.execute("SELECT taken FROM event_seats").fetchone()[0] == 300


# ---- stopping and starting -----------------------------------------------------------------------


def test_killed_master(fest):
    fest.add_event(RACE, 5)
    server = fest.serve("--workers", "3")
    family = children_of(server.process.pid)
    assert len(family) == 3 + 1 + fest.is_sqlite
    server.process.kill()
    server.process.wait()
    started = time.monotonic()
    wait_for("all have ended",
             lambda: not [p for p in family if pathlib.Path(f"/proc/{p}").exists()], 5)
    assert time.monotonic() - started < at_most(2)
    again = fest.serve("--workers", "1")
    assert again.register(RACE, 1).status == 201, "and the next server finds no lock"


def test_rolling_restart_under_load(fest):
    fest.add_event(RACE, SEATS, "unlimited")
    server = fest.serve("--workers", "2")
    rush = Rush(fest, server)
    for _ in range(3):
        rush.more(1000)
        before = set(server.children()["web"])
        server.process.send_signal(signal.SIGHUP)
        wait_for("all are replaced", lambda: not before & set(server.children().get("web", before)))
    rush.more(1000)
    count = rush.end()
    assert count["broken"] == 0 and count["overloaded"] == 0, "no request failed"
    assert "worker.start: web 1" in server.read_log()


def test_settings_that_are_wrong_change_nothing(fest):
    """HUP reads the settings anew; what it cannot use it names, and goes on as before."""
    fest.add_event(RACE, 5)
    config = fest.folder / "usher.conf"
    config.write_text("USHER_NAME=First\n")
    server = fest.serve("--workers", "1", "--config", str(config))
    before = server.children()["web"]
    config.write_text("USHER_NAME=Second\nUSHER_LIMIT_EMAIL=often\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for("it says so", lambda: "LIMIT_EMAIL" in server.read_log())
    assert server.children()["web"] == before and "First" in server.get("/").text
    config.write_text("USHER_NAME=Second\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for("a new worker", lambda: server.children().get("web") not in (before, None))
    wait_for("the new name", lambda: "Second" in server.get("/").text)


def post(port, number):
    """Sends a registration on a connection of its own; the connection."""
    body = json.dumps({"event": RACE, "name": f"S{number}", "email": f"s{number}@school.example"})
    c = socket.create_connection(("127.0.0.1", port), at_most(20))
    c.sendall(f"POST /register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
              f"Idempotency-Key: key-of-{number:04}\r\n"
              f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return c


def answer(c):
    """Status of the answer that arrives; 0 when the connection ends without one."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = c.recv(4096)
        if not part:
            return 0
        got += part
    return int(got.split()[1])


def in_flight(server):
    """How many requests the workers have begun and not answered, without the one that asks."""
    found = re.search(r"^usher_http_in_flight (\d+)$", server.get("/metrics").text, re.M)
    return int(found.group(1)) - 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_stop_answers_what_was_begun(fest, signum):
    fest.add_event(RACE, SEATS)
    server = fest.serve("--workers", "2")
    with fest.held_changes(server):
        open_requests = [post(server.port, i) for i in range(64)]
        wait_for("all are with the workers", lambda: in_flight(server) == 64)
        server.process.send_signal(signum)
        wait_for("it drains", lambda: "master.drain" in server.read_log())
    assert [answer(c) for c in open_requests] == [201] * 64
    assert server.process.wait(at_most(20)) == 0
    with fest.database() as db:
        assert db.execute("SELECT count(*) FROM registrations").fetchone()[0] == 64


def test_stop_answers_who_had_connected(fest):
    """No worker has seen them yet: they wait in the backlog. Who comes later is refused."""
    fest.add_event(RACE, SEATS)
    server = fest.serve("--workers", "2")
    web = server.children()["web"]
    for pid in web:
        os.kill(pid, signal.SIGSTOP)
    waiting = [post(server.port, i) for i in range(64)]
    server.process.send_signal(signal.SIGTERM)
    wait_for("it drains", lambda: "master.drain" in server.read_log())
    for pid in web:
        os.kill(pid, signal.SIGCONT)
    assert [answer(c) for c in waiting] == [201] * 64
    assert server.process.wait(at_most(20)) == 0
    with pytest.raises(ConnectionRefusedError):
        server.get("/")


# ---- more than fits ------------------------------------------------------------------------------


def test_a_full_queue_answers_at_once(fest):
    fest.add_event(RACE, SEATS)
    server = fest.serve("--workers", "1", "--queue-max", "4")
    form = Browser(server).open(f"/e/{RACE}/register").form("Register")
    # On PostgreSQL what is under way takes no place in the queue.
    refused = 8 if fest.is_sqlite else 7
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        with fest.held_changes(server) as is_waited_for:
            early = [pool.submit(server.register, RACE, 0, "key-of-0000")]
            wait_for("one is under way", lambda: in_flight(server) == 1 and is_waited_for())
            early += [pool.submit(server.register, RACE, i, f"key-of-{i:04}") for i in range(1, 12)]
            wait_for("others are turned away",
                     lambda: len([f for f in early if f.done()]) == refused)
            page = Browser(server).submit(form, name="Asha Rao", email="asha@school.example")
        replies = [f.result() for f in early]
    assert sorted(r.status for r in replies) == [201] * (12 - refused) + [503] * refused
    for reply in replies:
        if reply.status == 503:
            assert reply.json["code"] == "overloaded"
            assert 1 <= int(reply.headers["retry-after"]) <= 8
    assert page.status == 503 and "Nothing is lost" in page.text
    assert page.value("name") == "Asha Rao"
    assert page.value("rid") == form.fields["rid"] and 1 <= int(page.headers["retry-after"]) <= 8
    assert "Confirmed" in Browser(server).submit(page.form("Try again")).text
    for i in range(12):
        assert server.register(RACE, i, f"key-of-{i:04}").status == 201
    assert fest.usher("verify").returncode == 0


# ---- the disk ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path, fest):
    """A file system of 3 MiB that the database lives on, and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    at = tmp_path / "disk"
    at.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", at],
                          capture_output=True)
    if done.returncode != 0:
        pytest.skip("no file system can be mounted here")
    fest.env["USHER_DATABASE_URL"] = f"sqlite:{at}/usher.db"
    fest.usher("migrate")
    yield at
    fest.stop()
    subprocess.run(["umount", at], check=True)


@pytest.mark.on("sqlite")
def test_disk_full(fest, small_disk):
    fest.add_event(RACE, 5000)
    server = fest.serve("--workers", "1")
    assert server.register(RACE, 1, "key-of-0001").status == 201
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))

    # What is in the log's file may be written over, so a small change may still find room.
    numbers = itertools.count(2)

    def refused():
        n = next(numbers)
        reply = server.register(RACE, n, f"key-of-{n:04}")
        assert reply.status == 201 or (reply.status, reply.json["code"]) == (503, "unavailable")
        return reply if reply.status == 503 else None

    assert int(wait_for("a refusal", refused).headers["retry-after"]) >= 1
    wait_for("it is not ready", lambda: server.get("/readyz").status == 503 or not refused())
    assert server.get("/healthz").status == 200
    assert server.get(f"/e/{RACE}").status == 200, "reading goes on"

    def refused_page():
        page = Browser(server).register(RACE, email=f"s{next(numbers)}@x.example")
        return page if page.status == 503 else None

    assert wait_for("a refused form", refused_page).value("name") == "Asha Rao"
    assert "database or disk is full" in server.read_log()
    filler.unlink()
    wait_for("it recovers", lambda: server.register(RACE, 5000, "key-of-5000").status == 201, 10)
    wait_for("it says so", lambda: server.get("/readyz").status == 200, 10)
    assert server.register(RACE, 1, "key-of-0001").headers["idempotent-replayed"] == "true"
    assert fest.usher("verify").returncode == 0


@pytest.mark.on("sqlite")
def test_file_that_became_read_only(fest):
    """As after a restore by another user: nobody saw it until the writer was started anew."""
    # Root may write whatever the file's mode says, unless it has given up the right to.
    wrapper = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    fest.add_event(RACE, 50)
    server = fest.serve("--workers", "1", wrapper=wrapper)
    browser, file = Browser(server), fest.folder / "usher.db"
    ticket = browser.register(RACE)
    file.chmod(0o444)
    (writer,) = server.children()["writer"]
    os.kill(writer, signal.SIGKILL)
    wait_for("another writer", lambda: server.children().get("writer") not in ([writer], None))
    refused = server.register(RACE, 1, "key-of-0001")
    assert (refused.status, refused.json["code"]) == (503, "unavailable"), refused.text
    assert int(refused.headers["retry-after"]) >= 1 and server.get("/readyz").status == 503
    assert "Confirmed" in browser.open(ticket.url).text, "reading goes on"
    assert re.search("read.?only|not permitted|denied", server.read_log())
    file.chmod(0o644)
    wait_for("it recovers", lambda: server.register(RACE, 1, "key-of-0001").status == 201, 15)

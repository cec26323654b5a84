"""Every program of examples/ does what it says, so that the documents may quote it."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BUILD, ROOT, Server, at_most


def run(name, *args, cwd=None, stdin=None):
    return subprocess.run([str(BUILD / "examples" / name), *map(str, args)], cwd=cwd or ROOT,
                          text=True, capture_output=True, timeout=at_most(60), input=stdin)


@pytest.fixture
def start(tmp_path):
    servers = []

    def go(name, *args):
        servers.append(Server(tmp_path, [str(BUILD / "examples" / name), *args]))
        return servers[-1]

    yield go
    for server in servers:
        server.stop(signal.SIGKILL)


def test_every_example_is_tested_here_and_short():
    here = pathlib.Path(__file__).read_text()
    names = [p.stem for p in (ROOT / "examples").glob("*.c")]
    assert names
    for name in names:
        assert f"def test_{name}" in here, name
    assert len((ROOT / "examples/hello.c").read_text().splitlines()) < 40


def test_hello_greets_and_describes_itself(start):
    server = start("hello", "127.0.0.1:0")
    reply = server.get("/hello/Asha")
    assert (reply.status, reply.text) == (200, "Hello, Asha!\n")
    assert "/hello/{name}" in server.get("/openapi.json").json["paths"]
    assert "/hello/{name}" in server.get("/docs").text
    assert server.get("/nowhere").status == 404


def test_hello_waits_without_holding_others_up(start):
    server = start("hello", "127.0.0.1:0")
    begin = time.monotonic()
    guests = [threading.Thread(target=server.get, args=(f"/hello/{i}",)) for i in range(50)]
    for g in guests:
        g.start()
    for g in guests:
        g.join()
    assert time.monotonic() - begin < at_most(2.5), "one after the other it would be 5 s"


def test_waits_serves_what_it_is_measured_by(start):
    server = start("waits", "--port", "0", "--workers", "2")
    assert server.get("/plain").text == "Hello, World!"
    assert server.get("/json").json == {"message": "Hello, World!"}
    assert server.get("/wait?ms=5").text == "waited\n"
    assert server.get("/wait?ms=x").status == server.get("/events?ms=-1").status == 400
    assert re.fullmatch("[0-9a-f]{64}", server.request("POST", "/hash", b"secret").text)
    assert server.get("/").text == "OK"
    assert server.request("POST", "/", b"back").body == b"back"
    assert server.get("/thread").text == "Hello, World!"
    assert "X-Thing: 1\n" in server.get("/echo", X_Thing="1").text
    assert server.get("/cookie", Cookie="a=1; b=2").text == "a=1\nb=2\n"


def test_mailer_awaits_the_api():
    """That it does so for a thousand at once is in test_mail_api.py."""
    done = run("mailer", "--port", "0")
    assert done.returncode == 2 and "--api" in done.stderr


def test_gather_waits_together(tmp_path):
    done = run("gather")
    assert done.returncode == 0
    assert done.stdout == ("one by one     100 mails in 200.0 s\n"
                           "together       100 mails in   2.0 s\n"
                           "ten at a time  100 mails in  20.0 s\n")


def test_scopes_end_what_they_began():
    done = run("scopes")
    assert done.returncode == 0
    assert done.stdout == ("  far: no longer needed\nanswer: near\n"
                           "  near: too late\n  far: too late\nanswer: Connection timed out\n"
                           "goodbye: said\n")


def test_race_is_found_by_a_seed_and_a_deadlock_is_named():
    done = run("race")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].endswith("lost under some seeds") and lines[1].endswith("lost under no seed")
    assert 'waits for mutex "ledger" held by task' in done.stdout
    assert run("race").stdout == done.stdout


def test_lastseat_has_a_race_that_is_found_told_and_replayed():
    program = str(BUILD / "examples/lastseat")
    found = subprocess.run([program], text=True, capture_output=True, timeout=at_most(60))
    assert found.returncode == 1
    assert re.search(r"\* student 2 is put off at lastseat\.c:\d+ -> student 3 begins",
                     found.stdout)
    wish = re.search(r"USH_REPLAY=(\S+)", found.stdout)[1]
    again = subprocess.run([program], text=True, capture_output=True, timeout=at_most(60),
                           env={**os.environ, "USH_REPLAY": wish})
    assert again.returncode == 1 and "that update is lost" in again.stdout
    assert "replayed with seed" in again.stdout
    held = subprocess.run([program, "fixed"], text=True, capture_output=True, timeout=at_most(60),
                          env={**os.environ, "USH_REPLAY": wish})
    assert held.returncode == 0 and "this schedule holds now" in held.stdout
    fixed = subprocess.run([program, "fixed"], text=True, capture_output=True, timeout=at_most(60))
    assert (fixed.returncode, fixed.stdout) == (0, "lastseat: holds under 10000 schedules\n")


def test_batch_shares_fsyncs(tmp_path):
    done = run("batch", tmp_path / "journal")
    lines, fsyncs = map(int, re.findall("[0-9]+", done.stdout))
    assert done.returncode == 0 and lines == 640 and fsyncs <= 20
    written = (tmp_path / "journal").read_text().splitlines()
    assert len(written) == len(set(written)) == 640
    for client in range(64):  # each client's own lines are in its order
        mine = [w for w in written if w.startswith(f"client {client} ")]
        assert mine == [f"client {client} line {i}" for i in range(10)]


def test_tcp_answers_lines_of_many_at_once():
    process = subprocess.Popen([str(BUILD / "examples/tcp"), "127.0.0.1:0"], text=True,
                               stdout=subprocess.PIPE)
    try:
        port = int(process.stdout.readline().split()[-1])
        clients = [socket.create_connection(("127.0.0.1", port), timeout=at_most(20))
                   for _ in range(20)]
        for i, c in enumerate(clients):
            c.sendall(f"hello {i}\n".encode())
        for i, c in enumerate(clients):
            assert c.makefile().readline() == f"HELLO {i}\n"
        for c in clients:
            c.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_notes_keeps_lists_and_refuses(start, tmp_path):
    server = start("notes", "127.0.0.1:0", f"sqlite:{tmp_path}/notes.db")
    reply = server.request("POST", "/notes", {"text": "Bring cables"})
    assert reply.status == 201 and reply.json["id"] == 1 and reply.json["text"] == "Bring cables"
    refused = server.request("POST", "/notes", {"txt": "x"})
    assert refused.status == 422
    assert {e["type"] for e in refused.json["errors"]} == {"missing", "extra_forbidden"}
    server.stop(signal.SIGKILL)  # what was answered is on the disk
    again = start("notes", "127.0.0.1:0", f"sqlite:{tmp_path}/notes.db")
    assert [n["text"] for n in again.get("/notes").json] == ["Bring cables"]
    assert json.loads(again.get("/openapi.json").text)["paths"]["/notes"]["post"]


def test_jobs_are_tried_again():
    script = "".join((ROOT / f"migrations/sqlite/{name}.sql").read_text()
                     for name in ("0001_jobs", "0004_job_lanes"))
    done = run("jobs", stdin=script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ('attempt 1: "Knots" finds the post office closed\n'
                           'attempt 2: "Knots" is on its way\n')
    assert run("jobs", stdin="").returncode == 2

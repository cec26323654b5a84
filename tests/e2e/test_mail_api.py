"""Mails through a provider's HTTP API: the request as documented, a class for every answer, a
second request that makes no second mail, and an API that takes two seconds and slows nobody."""

import collections
import concurrent.futures
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import BUILD, ROOT, Server, at_most, wait_for
from outbox import Mail
from http_cases import head
from raw import converse_all
from test_mails_killed import MailServer, journal

EVENT, TOKEN = "quiz", "s3cret"
ENV = {"USHER_MAIL_FROM": "desk@example.org", "USHER_MAIL_TOKEN": TOKEN, "USHER_LIMIT_ADDR": "off",
       "USHER_LIMIT_EMAIL": "off"}


class Api:
    def __init__(self, folder, *options):
        self.path = folder / "requests"
        self.path.touch()
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(ROOT / "tests/e2e/api_sink.py"), "--journal", str(self.path),
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = self.process.stdout.readline().decode().strip()
        self.url = f"{'https' if '--cert' in options else 'http'}://{self.address}/v1/submit"

    def requests(self):
        return journal(self.path)

    def delivered(self):
        """How often a mail went out, by Message-ID."""
        return collections.Counter(r["message_id"] for r in self.requests() if r["delivered"])

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def api(tmp_path):
    started = []

    def start(*options):
        started.append(Api(tmp_path, *options))
        return started[-1]

    yield start
    for a in started:
        a.stop()


def serve(fest, url, **env):
    fest.add_event(EVENT, 500)
    return fest.serve("--workers", "1", env={"USHER_MAIL_URL": url, **ENV, **env})


def jobs(fest):
    with fest.database() as db:
        return db.execute(
            "SELECT id, state, failures, unknowns, crashes, note FROM jobs").fetchall()


def state(fest):
    return json.loads(fest.usher("mail", "status", "--json").stdout)


def test_the_request(fest, api):
    a = api("--token", TOKEN)
    server = serve(fest, a.url)
    assert TOKEN not in server.said and a.url in server.said
    for number in range(5):
        assert server.register(EVENT, number).status == 201
    wait_for("all", lambda: sum(a.delivered().values()) == 5)
    assert server.stop() == 0
    for r in a.requests():
        mail = Mail(r["bytes"].encode("latin-1"))
        assert r["status"] == 202 and r["from"] == "desk@example.org" and r["to"] == [mail.to]
        assert mail.id == f"<{r['key']}@{mail.id[1:-1].split('@')[1]}>" and "ticket" in mail.kind
    assert len({r["connection"] for r in a.requests()}) <= 2, "connections are used again"
    assert {(j["state"], j["unknowns"]) for j in jobs(fest)} == {(2, 0)}
    assert all(j["note"].startswith("202 ") for j in jobs(fest))


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("to, ends, note, pauses", [
    ("refuse", 3, "422", False),
    ("busy", 0, "429", True),
    ("later", 0, "503", False),
])
def test_answers(fest, api, to, ends, note, pauses):
    a = api()
    server = serve(fest, a.url)
    assert server.register(EVENT, 1, email=f"{to}@x.example").status == 201
    (job,) = wait_for("an end", lambda: [j for j in jobs(fest) if j["note"]])
    assert job["state"] == ends and job["note"].startswith(note)
    assert job["failures"] == (0 if pauses else 1) and job["unknowns"] == 0
    paused = state(fest)["paused"]
    assert bool(paused) == pauses
    assert not pauses or "jobs.paused: mail,bulk: paused for 3600 s" in server.read_log()


@pytest.mark.on("sqlite")
def test_a_wrong_token_is_nobodys_fault(fest, api):
    a = api("--token", "another")
    server = serve(fest, a.url)
    assert server.register(EVENT, 1).status == 201
    paused = wait_for("a pause", lambda: state(fest)["paused"])
    assert paused[0]["reason"].startswith("401 ")
    assert server.stop() == 0 and [j["failures"] for j in jobs(fest)] == [0]
    fest.serve("--workers", "1", env=ENV | {"USHER_MAIL_URL": a.url, "USHER_MAIL_TOKEN": "another"})
    fest.usher("mail", "resume")
    wait_for("the mail", lambda: a.delivered())


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("to", ["fail", "drop"])
def test_no_answer_and_the_key_known_again(fest, api, to):
    """The mail went out, the answer did not come: the second request carries the same key."""
    a = api()
    server = serve(fest, a.url)
    assert server.register(EVENT, 1, email=f"{to}@x.example").status == 201
    first = wait_for("a request", lambda: a.requests())
    (job,) = wait_for("its end", lambda: [j for j in jobs(fest) if j["note"]])
    assert (job["state"], job["unknowns"]) == (0, 1)
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(fest.folder / "usher.db")) as db:
        db.execute("UPDATE jobs SET due_at = 0")  # instead of waiting half a minute
        db.commit()
    fest.serve("--workers", "1", env=ENV | {"USHER_MAIL_URL": a.url})
    wait_for("it is done", lambda: jobs(fest)[0]["state"] == 2)
    assert [r["status"] for r in a.requests()][1:] == [200]
    assert a.requests()[1]["bytes"] == first[0]["bytes"] and list(a.delivered().values()) == [1]


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("forgets", [False, True])
def test_killed_while_sending(fest, api, forgets):
    """What a kill leaves unknown is asked again: one mail each, and were the provider to forget its
    keys, every copy would be announced by the row."""
    a = api("--seconds", "0.2", *(["--forgets"] if forgets else []))
    server = serve(fest, a.url, USHER_MAIL_CONNECTIONS="4")
    for kill in range(4):  # each meets mails that wait, however quick they go out
        before = len(a.requests())
        for number in range(8 * kill, 8 * kill + 8):
            assert server.register(EVENT, number).status == 201
        wait_for("it goes on", lambda: len(a.requests()) > before + 2)
        os.kill(wait_for("job", lambda: server.children().get("job"))[0], signal.SIGKILL)
    wait_for("all have ended", lambda: all(j["state"] >= 2 for j in jobs(fest)), 60)
    fest.usher("mail", "retry", "--all")
    wait_for("all are sent", lambda: all(j["state"] == 2 for j in jobs(fest)), 60)
    assert server.stop() == 0
    copies, unknowns = a.delivered(), sum(j["unknowns"] for j in jobs(fest))
    assert len(copies) == 32 and unknowns > 0
    assert (sum(copies.values()) > 32) == forgets
    assert sum(copies.values()) <= 32 + unknowns


@pytest.mark.on("sqlite")
def test_tls_and_the_test_mail(fest, api, tmp_path):
    cert = tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem",
                    "-out", "crt.pem"], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    cert.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "crt.pem").read_text())
    a = api("--cert", str(cert), "--token", TOKEN)
    env = {"USHER_MAIL_URL": a.url, "USHER_MAIL_TOKEN": TOKEN,
           "USHER_BASE_URL": "https://f.example"}

    def test_mail(code, **more):
        done = fest.usher("mail", "test", "me@x.example", "--json", check=False,
                          env={**env, **more})
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    assert test_mail(1)["result"] == "later", "the certificate is nobody's"
    known = {"USHER_MAIL_CA_FILE": str(cert)}
    said = test_mail(0, **known)
    assert said["result"] == "taken" and said["through"] == a.url
    assert said["answer"].startswith("202")
    assert test_mail(1, **known, USHER_MAIL_TOKEN="no")["result"] == "settings"
    (first, _) = a.requests()
    assert Mail(first["bytes"].encode()).to == "me@x.example"
    assert first["message_id"] == f"<{said['message_id']}>"
    assert first["message_id"].endswith("@f.example>")


# ---- two seconds ---------------------------------------------------------------------------------

def at_once(count, call):
    """What each of `count` calls at the same time gave, and the longest of their seconds."""
    def timed(number):
        began = time.monotonic()
        return call(number), time.monotonic() - began
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        results = list(pool.map(timed, range(count)))
    return [r for r, _ in results], max(s for _, s in results)


def send_a_hundred(fest, url):
    """A hundred students at once; the mails are out after as long as fifty connections take."""
    server = serve(fest, url, USHER_MAIL_CONNECTIONS="50")
    began = time.monotonic()
    replies, longest = at_once(100, lambda n: server.register(EVENT, n).status)
    assert replies == [201] * 100 and longest < at_most(1)
    wait_for("all mails", lambda: {j["state"] for j in jobs(fest)} == {2})
    took = time.monotonic() - began
    assert 4 <= took < at_most(8), "a hundred mails, fifty at once, two seconds each"


@pytest.mark.on("postgresql")
def test_a_slow_api_slows_no_student(fest, api):
    a = api("--seconds", "2")
    send_a_hundred(fest, a.url)
    requests = a.requests()
    assert len(a.delivered()) == len(requests) == 100
    # All fifty, where they are opened before the first has its answer.
    assert 25 < max(r["at_once"] for r in requests) <= 50
    assert len({r["connection"] for r in requests}) <= 50


@pytest.mark.on("sqlite")
def test_a_slow_mail_server_slows_no_student(fest, tmp_path):
    server = MailServer(tmp_path, "delay", "--seconds", "2")
    try:
        send_a_hundred(fest, server.url)
        assert list(server.accepted().values()) == [1] * 100
        assert server.connections() <= 50
    finally:
        server.stop()


@pytest.mark.parametrize("workers, requests", [(1, 100), (4, 1000)])
def test_a_route_that_awaits_it(api, tmp_path, workers, requests):
    """examples/mailer.c: each request waits for the API itself, and they all wait together."""
    seconds = min(at_most(2), 8)  # so that all have asked before the first is answered
    a = api("--seconds", str(seconds))
    server = Server(tmp_path, [str(BUILD / "examples/mailer"), "--api", a.url, "--port", "0",
                               "--workers", str(workers)])
    try:
        began = time.monotonic()
        asked = head("Connection: close", method="POST",
                     target="/mails/asha@school.example").encode()
        answers = converse_all(server.port, [asked] * requests)
        took = time.monotonic() - began
    finally:
        server.stop()
    assert all(answer.endswith(b"sent\n") for answer in answers)
    assert seconds <= took < 2.5 * seconds, "one after the other it would be minutes"
    assert max(r["at_once"] for r in a.requests()) == requests

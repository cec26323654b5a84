"""Mails that wait: held back by hand, by a limit, or because the mail server has had enough.
Nothing fails by it, no attempt is spent, and what waits survives the server."""

import json

import pytest

from conftest import at_most, wait_for
from outbox import mails
from private import free_port
from test_mails_killed import MailServer

FAR, SOON = "robo-race", "quiz"


@pytest.fixture
def sink(tmp_path):
    server = MailServer(tmp_path, "accept")
    yield server
    server.stop()


def serve(fest, sink, **env):
    return fest.serve("--workers", "1", env={
        "USHER_MAIL_URL": sink.url, "USHER_MAIL_FROM": "desk@example.org",
        "USHER_MAIL_WORKERS": "2",
        "USHER_LIMIT_ADDR": "off", "USHER_LIMIT_EMAIL": "off", **env})


def status(fest):
    return json.loads(fest.usher("mail", "status", "--json").stdout)


def jobs(fest):
    with fest.database() as db:
        return db.execute(
            "SELECT kind, lane, state, claim, failures, unknowns FROM jobs").fetchall()


def test_held_back_by_hand(fest, sink):
    for event in (FAR, SOON):
        fest.add_event(event, 50)
    server = serve(fest, sink)
    for number in range(3):
        assert server.register(FAR, number).status == 201
    wait_for("three tickets", lambda: len(sink.accepted()) == 3)
    done = json.loads(fest.usher("mail", "pause", "mail", "--reason", "a typo", "--json").stdout)
    assert done == [{"lane": "mail", "reason": "a typo"}]
    for number in range(4):
        assert server.register(SOON, number).status == 201
    fest.usher("event", "cancel", FAR, "--yes")
    wait_for("what goes to everybody", lambda: len(sink.accepted()) == 6)
    assert server.stop() == 0
    assert {row["claim"] for row in jobs(fest) if row["lane"] == "mail" and not row["state"]} == {0}
    assert status(fest)["paused"] == done, "it outlives the server"
    server = serve(fest, sink)
    assert "a typo" in fest.usher("mail", "status").stdout
    assert json.loads(fest.usher("mail", "resume", "--json").stdout) == {"resumed": 1}
    wait_for("all", lambda: len(sink.accepted()) == 10)
    assert server.stop() == 0
    assert max(sink.accepted().values()) == 1 and status(fest)["paused"] == []
    assert fest.usher("mail", "resume").stdout == "nothing was paused\n"


def test_a_daily_cap(fest, sink):
    fest.add_event(SOON, 50)
    server = serve(fest, sink, USHER_MAIL_DAILY_CAP="4")
    for number in range(10):
        assert server.register(SOON, number).status == 201
    wait_for("four", lambda: len(sink.accepted()) == 4)
    paused = wait_for("a pause", lambda: status(fest)["paused"])
    assert [p["lane"] for p in paused] == ["mail", "bulk"]
    assert all(p["reason"] == "4 a day are allowed" and p["until"] for p in paused)
    assert server.stop() == 0 and len(sink.accepted()) == 4
    server = serve(fest, sink, USHER_MAIL_DAILY_CAP="9")
    fest.usher("mail", "resume")
    wait_for("five more", lambda: len(sink.accepted()) == 9)
    wait_for("a pause", lambda: status(fest)["paused"])
    assert {t["state"]: t["mails"] for t in status(fest)["totals"]} == {"sent": 9, "queued": 1}
    assert server.stop() == 0
    assert {(row["failures"], row["unknowns"]) for row in jobs(fest)} == {(0, 0)}


@pytest.mark.on("sqlite")
def test_a_rate(fest, sink):
    """120 a minute: twelve mails take five seconds, whoever sends them."""
    fest.add_event(SOON, 50)
    server = serve(fest, sink, USHER_MAIL_RATE_PER_MIN="120")
    for number in range(12):
        assert server.register(SOON, number).status == 201
    assert wait_for("a pause", lambda: status(fest)["paused"])[0]["reason"] == (
        "120 a minute are allowed")
    wait_for("all", lambda: len(sink.accepted()) == 12)
    assert server.stop() == 0
    with fest.database() as db:
        first, last = db.execute("SELECT min(ended_at), max(ended_at) FROM jobs").fetchone()
    assert 4000 < last - first < at_most(10000)
    assert {(row["state"], row["failures"]) for row in jobs(fest)} == {(2, 0)}


def test_a_mail_server_that_has_had_enough(fest, sink):
    fest.add_event(SOON, 50)
    server = serve(fest, sink, USHER_MAIL_WORKERS="1")
    assert server.register(SOON, 0, email="quota@school.example").status == 201
    (mail, bulk) = wait_for("a pause", lambda: status(fest)["paused"])
    assert mail["reason"] == bulk["reason"] == "550 5.4.5 Daily user sending quota exceeded"
    for number in range(1, 4):
        assert server.register(SOON, number).status == 201
    assert "jobs.paused: mail,bulk: paused for 3600 s" in server.read_log()
    fest.usher("mail", "resume")
    wait_for("it is told again", lambda: status(fest)["paused"])
    fest.usher("mail", "resume")
    wait_for("the others", lambda: len(sink.accepted()) == 3)
    assert server.stop() == 0
    assert {(row["failures"], row["unknowns"]) for row in jobs(fest)} == {(0, 0)}


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("scheme, says", [("smtp", "connect"), ("http", "Connection refused")])
def test_a_mail_server_that_is_away(fest, tmp_path, scheme, says):
    """One mail knocks from time to time, none loses an attempt, and all go out when it is back."""
    port = free_port()
    fest.add_event(SOON, 50)
    server = fest.serve("--workers", "1", env={
        "USHER_MAIL_URL": f"{scheme}://127.0.0.1:{port}", "USHER_LIMIT_ADDR": "off"})
    for number in range(20):
        assert server.register(SOON, number).status == 201
    paused = wait_for("a pause", lambda: status(fest)["paused"])
    assert {p["lane"] for p in paused} == {"mail", "bulk"} and says in paused[0]["reason"]
    assert {row["failures"] for row in jobs(fest)} == {0}
    if scheme == "smtp":
        sink = MailServer(tmp_path, "accept", "--port", str(port))
        try:
            fest.usher("mail", "resume")  # or fifteen seconds later
            wait_for("all", lambda: len(sink.accepted()) == 20)
        finally:
            sink.stop()
    assert server.stop() == 0 and server.read_log().count("jobs.paused") == 1
    assert {(row["failures"], row["unknowns"]) for row in jobs(fest)} == {(0, 0)}


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("to, result, answer, words", [
    ("me", "taken", "250 ", "spam folder"),
    ("refuse", "refused", "550 5.1.1 ", "listed as failed"),
    ("tempfail", "later", "451 4.3.0 ", "tried again"),
    ("quota", "later", "550 5.4.5 ", "tried again"),
    ("drop-after-dot", "unknown", "", "Nobody knows"),
])
def test_a_test_mail(fest, sink, to, result, answer, words):
    env = {"USHER_MAIL_URL": sink.url, "USHER_MAIL_FROM": "desk@example.org"}
    done = fest.usher("mail", "test", f"{to}@x.example", check=False, env=env)
    assert done.returncode == (0 if result == "taken" else 1)
    assert words in done.stdout and answer in done.stdout and sink.url in done.stdout
    said = json.loads(fest.usher("mail", "test", f"{to}@x.example", "--json", check=False,
                                 env=env).stdout)
    assert said["result"] == result and said["answer"].startswith(answer)
    assert result != "taken" or f"<{said['message_id']}>" in sink.accepted()


@pytest.mark.on("sqlite")
def test_a_test_mail_elsewhere(fest, sink):
    """To a folder, to nobody, and to an address that is none; no database is needed."""
    (fest.folder / "usher.db").unlink()
    said = json.loads(fest.usher("mail", "test", "me@x.example", "--json").stdout)
    (mail,) = mails(fest)
    assert (said["result"], mail.to) == ("written", "me@x.example")
    assert said["answer"] == f"written to {said['message_id'].split('@')[0]}.eml"
    sink.stop()
    done = fest.usher("mail", "test", "me@x.example", "--json", check=False,
                      env={"USHER_MAIL_URL": sink.url})
    assert done.returncode == 1 and json.loads(done.stdout)["result"] == "later"
    done = fest.usher("mail", "test", "nobody", check=False)
    assert done.returncode == 2 and "no address" in done.stderr

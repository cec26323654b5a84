"""A mail server that refuses, tempfails, hangs up and hangs, by recipient: each row says what
became of its mail, and every second copy is one that a row announced. What is done in order makes
none."""

import contextlib
import signal
import sqlite3

import pytest

from conftest import STOP_S, wait_for
from test_mails_killed import MailServer, job_of

EVENT = "robo-race"
OF_EACH = 3
# State of the row and copies that arrived, after one attempt and after the second. A line that
# breaks before the dot may take one with it that is on its way: then nobody knows, and a second
# time holds the row (4) like a break behind the dot.
FAULTS = {
    "accept": [(2, 1)], "delay": [(2, 1)],
    "refuse": [(3, 0)], "late-refuse": [(3, 0)],
    "tempfail": [(0, 0), (0, 0)], "late-tempfail": [(0, 0), (0, 0)],
    "drop-before-dot": [(0, 0), (0, 0)],
    "drop-after-dot": [(0, 1), (4, 2)],
}


@pytest.fixture
def sink(tmp_path):
    server = MailServer(tmp_path, "accept")
    yield server
    server.stop()


def serve(fest, sink):
    return fest.serve("--workers", "1", env={
        "USHER_MAIL_URL": sink.url, "USHER_MAIL_WORKERS": "2", "USHER_MAIL_CONNECTIONS": "8",
        "USHER_MAIL_FROM": "desk@example.org", "USHER_LIMIT_ADDR": "off",
        "USHER_LIMIT_EMAIL": "off", "USHER_PLUS_FOLD": "no"})


def register(server, local):
    assert server.register(EVENT, 0, email=f"{local}@x.example").status == 201


def rows(fest):
    """Every job with the address it was sent to."""
    with fest.database() as db:
        return db.execute(
            "SELECT jobs.id, state, failures, unknowns, crashes, note, email FROM jobs"
                          " JOIN participants ON registration_id = subject").fetchall()


def due_now(fest):
    """Instead of waiting half a minute. No server may run: SQLite has one writer."""
    if fest.is_sqlite:
        with contextlib.closing(sqlite3.connect(fest.folder / "usher.db")) as db, db:
            db.execute("UPDATE jobs SET due_at = 0")
    else:
        with fest.database() as db:
            db.execute("UPDATE jobs SET due_at = 0")


def copies(sink):
    return {job_of(message): n for message, n in sink.accepted().items()}


def check_round(fest, sink, number):
    arrived = copies(sink)
    for row in rows(fest):
        fault = row["email"].split("+")[0]
        expected = FAULTS[fault][min(number, len(FAULTS[fault])) - 1]
        if fault == "drop-before-dot" and row["unknowns"] == 2:
            expected = (4, 0)
        assert (row["state"], arrived.get(row["id"], 0)) == expected, (fault, row["note"])
        possible = {"drop-after-dot": {expected[1]}, "drop-before-dot": set(range(number + 1))}
        assert row["unknowns"] in possible.get(fault, {0}), fault
        assert row["crashes"] == 0
    assert all(len(same) == 1 for same in sink.bodies().values()), "all copies are the same bytes"


def test_each_row_says_what_became_of_its_mail(fest, sink):
    fest.add_event(EVENT, 100)
    server = serve(fest, sink)
    for number in range(OF_EACH):
        for fault in FAULTS:
            register(server, f"{fault}+{number}")
    wait_for("an attempt of each", lambda: all(r["note"] and r["state"] != 1 for r in rows(fest)))
    assert server.stop() == 0
    check_round(fest, sink, 1)

    due_now(fest)
    server = serve(fest, sink)
    again = {f for f in FAULTS if len(FAULTS[f]) == 2}

    def tried(times):
        return lambda: all(r["failures"] >= times and r["state"] != 1 for r in rows(fest)
                           if r["email"].split("+")[0] in again)
    wait_for("a second attempt", tried(2))
    check_round(fest, sink, 2)

    # A person tries again what is held: the row has announced that copy too.
    fest.usher("mail", "retry", "--all", env={"USHER_MAIL_URL": sink.url})
    wait_for("a third attempt", lambda: all(
        r["state"] == 4 and r["unknowns"] == 3 for r in rows(fest) if "drop-after" in r["email"]))
    assert server.stop() == 0
    arrived = copies(sink)
    for row in rows(fest):
        assert arrived.get(row["id"], 0) <= 1 + row["unknowns"]
        assert row["unknowns"] == 0 or row["email"].startswith("drop-")


@pytest.mark.on("sqlite")
def test_silence_after_the_dot(fest, sink):
    """The worker waits, ten minutes if it must. Stopped at once meanwhile, it stores that nobody
    knows; then the same bytes go once more, and then a person decides."""
    fest.add_event(EVENT, 100)
    for attempt, state in ((1, 0), (2, 4)):
        server = serve(fest, sink)
        if attempt == 1:
            register(server, "hang-after-dot")
        wait_for("it was taken", lambda: sum(sink.accepted().values()) == attempt)
        (row,) = rows(fest)
        assert row["state"] == 1
        assert server.stop(signal.SIGINT) == 0
        (row,) = rows(fest)
        assert (row["state"], row["unknowns"], row["crashes"]) == (state, attempt, 0), row["note"]
        due_now(fest)
    assert len(next(iter(sink.bodies().values()))) == 1


def test_what_is_done_in_order_makes_no_copy(fest, tmp_path):
    """Rolling, pausing, stopping, starting and trying again, while mails are on their way."""
    students, late = 60, 20  # more than two workers have on their way
    sink = MailServer(tmp_path, "delay")
    try:
        fest.add_event(EVENT, students + late)
        server = serve(fest, sink)
        for number in range(students):
            register(server, f"student{number}")

        def has(count):
            wait_for(f"{count} mails", lambda: len(sink.accepted()) >= count)
        has(8)
        old = server.children()["job"]
        server.process.send_signal(signal.SIGHUP)
        wait_for("other workers", lambda: not set(old) & set(server.children().get("job", old)))
        has(20)
        fest.usher("mail", "pause")
        fest.usher("mail", "retry", "--all")
        fest.usher("mail", "resume")
        has(32)
        sink.process.send_signal(signal.SIGSTOP)  # so that some are left, however quick it is
        for number in range(students, students + late):
            register(server, f"student{number}")
        server.process.send_signal(signal.SIGTERM)
        wait_for("it drains", lambda: "master.drain" in server.read_log())
        sink.process.send_signal(signal.SIGCONT)
        assert server.process.wait(STOP_S) == 0
        left = students + late - len(sink.accepted())
        server = serve(fest, sink)
        has(students + late)
        assert server.stop() == 0
        assert left > 0 and list(copies(sink).values()) == [1] * (students + late)
        assert {(r["state"], r["unknowns"], r["crashes"], r["failures"]) for r in rows(fest)} == {
            (2, 0, 0, 0)}
    finally:
        sink.stop()

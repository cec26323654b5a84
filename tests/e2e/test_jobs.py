"""Mails to a folder while the processes that write them are killed.

Students register one after the other meanwhile, so a quick machine meets as many kills as a slow
one.
Over SMTP, where a server's word may be lost on the way, see test_mails_killed.py.
"""

import json
import os
import random
import signal

import pytest

from conftest import wait_for
from outbox import mails
from test_rush import RACE, Rush

STUDENTS = 400


def written(fest):
    return len(list((fest.folder / "outbox").glob("*.eml")))


def states(fest):
    totals = json.loads(fest.usher("mail", "status", "--json").stdout)["totals"]
    return {t["state"]: t["mails"] for t in totals}


@pytest.mark.parametrize("role", ["job", "storage"])
def test_killed_while_mails_are_written(fest, role):
    fest.add_event(RACE, STUDENTS)
    server = fest.serve("--workers", "1", "--mail-workers", "2", "--mail-per-hour", "0",
                        "--limit-addr", "off")
    dice = random.Random(role)
    for number in range(STUDENTS):
        assert server.register(RACE, number).status == 201
        if number % 40 == 20:  # mails are written all the time
            if role == "storage":
                fest.kill_storage(server)
            else:
                os.kill(dice.choice(wait_for("job", lambda: server.children().get("job"))),
                        signal.SIGKILL)
    # A mail whose worker was killed three times waits for a person.
    wait_for("nothing is queued", lambda: not set(states(fest)) & {"queued", "running"}, 60)
    fest.usher("mail", "retry", "--all")
    wait_for("all are sent", lambda: states(fest) == {"sent": STUDENTS}, 60)

    got = mails(fest)
    assert len({m.id for m in got}) == len({m.to for m in got}) == len(got) == STUDENTS
    with fest.database() as db:
        people = {row[0] for row in db.execute("SELECT email FROM participants")}
        failed = db.execute("SELECT count(*) FROM jobs WHERE failures > 0").fetchone()[0]
    assert {m.to for m in got} == people and failed == 0, "a kill is not a failure"
    assert fest.usher("verify").returncode == 0
    if fest.is_sqlite or role == "job":
        assert server.read_log().count("killed by signal 9") >= 8


def test_mails_go_on_after_a_stop(fest):
    """What was not sent when the server stopped is sent by the next one."""
    fest.add_event(RACE, STUDENTS)
    server = fest.serve("--workers", "1")
    (worker,) = server.children()["job"]
    os.kill(worker, signal.SIGSTOP)
    Rush(fest, server, 50, "--repeat", "0").end()
    server.stop(signal.SIGKILL)
    early = written(fest)
    os.kill(worker, signal.SIGCONT)
    fest.serve("--workers", "1")
    wait_for("the rest", lambda: states(fest) == {"sent": 50})
    assert early < 50 and len({m.id for m in mails(fest)}) == 50


def test_an_outbox_that_cannot_be_written(fest):
    """A mail that could not be written stays queued and says why, and goes out later."""
    fest.add_event(RACE, 5)
    outbox = fest.folder / "outbox"
    server = fest.serve("--workers", "1")
    outbox.rmdir()
    outbox.write_text("a file is in the way")
    assert server.register(RACE, 1).status == 201, "registering does not depend on it"

    def failed():  # and that is stored
        (total,) = json.loads(fest.usher("mail", "status", "--json").stdout)["totals"]
        return total if total.get("note") else None
    total = wait_for("an attempt", failed)
    assert total["state"] == "queued" and total["mails"] == 1 and "outbox: " in total["note"]
    assert "jobs.failing: job 1 (ticket) failed" in server.read_log(), "it is said before"
    outbox.unlink()
    outbox.mkdir()
    assert server.register(RACE, 2).status == 201
    wait_for("the other mail", lambda: mails(fest, to="student2@school.example"))
    wait_for("it says so", lambda: "jobs succeed again" in server.read_log())

"""Mails over SMTP while the processes that send them are killed.

The mail server journals what it accepts before it answers. So afterwards it can be said which mail
arrived how often, and the job's row must have announced every second copy: an attempt that ended
without anybody knowing whether it took effect is counted in `unknowns`.
"""

import collections
import json
import os
import random
import signal
import subprocess

import pytest

from conftest import ROOT, wait_for

EVENT = "robo-race"
STUDENTS = 60


def journal(path):
    """The lines of a journal that are whole: one may be on its way."""
    text = path.read_text()
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]


class MailServer:
    def __init__(self, folder, mode, *options):
        self.path = folder / "accepted"
        self.path.touch()
        self.process = subprocess.Popen(
            ["/usr/bin/python3", str(ROOT / "tests/e2e/smtp_sink.py"), "--mode", mode, "--journal",
             str(self.path), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.url = "smtp://" + self.process.stdout.readline().decode().strip()

        self.at = self.seen = 0

    def count(self):
        """How many messages were accepted."""
        with open(self.path, "rb") as accepted:
            accepted.seek(self.at)
            new = accepted.read()
        self.at += len(new)
        self.seen += new.count(b"\n")
        return self.seen

    def accepted(self):
        """How often each Message-ID was accepted."""
        return collections.Counter(row["message_id"] for row in journal(self.path))

    def connections(self):
        """Over how many connections messages came."""
        return len({row["connection"] for row in journal(self.path)})

    def bodies(self):
        out = collections.defaultdict(set)
        for row in journal(self.path):
            out[row["message_id"]].add(row["bytes"])
        return out

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def sink(tmp_path):
    servers = []

    def start(mode):
        servers.append(MailServer(tmp_path, mode))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def rows(fest):
    with fest.database() as db:
        return db.execute(
            "SELECT id, kind, state, crashes, unknowns, failures FROM jobs").fetchall()


def serve(fest, sink):
    fest.add_event(EVENT, STUDENTS)
    return fest.serve("--workers", "2", env={"USHER_MAIL_URL": sink.url, "USHER_MAIL_WORKERS": "2",
                                             "USHER_MAIL_FROM": "desk@example.org",
                                             "USHER_MAIL_CONNECTIONS": "8",
                                             "USHER_LIMIT_ADDR": "off", "USHER_LIMIT_EMAIL": "off"})


def job_of(message_id):
    """The row's id in "<ticket.CODE@domain>": the first half of its 128 bits in base 32."""
    code = message_id.split("@")[0].rsplit(".", 1)[1]
    number = 0
    for digit in code:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(digit)
    return number >> 2 >> 64


def check(fest, sink):
    """Every mail arrived, and every copy more was announced by its row."""
    accepted = sink.accepted()
    assert len(accepted) == STUDENTS
    assert all(len(same) == 1 for same in sink.bodies().values()), "all copies are the same bytes"
    unknowns = {row["id"]: row["unknowns"] for row in rows(fest)}
    for message, copies in accepted.items():
        announced = unknowns[job_of(message)]
        assert copies <= 1 + announced, f"{message} came {copies} times, unannounced"
    return accepted


def test_all_arrive_once_without_faults(fest, sink):
    mails = sink("accept")
    server = serve(fest, mails)
    for number in range(STUDENTS):
        assert server.register(EVENT, number).status == 201
    wait_for("all mails", lambda: len(mails.accepted()) == STUDENTS)
    server.stop()
    assert max(check(fest, mails).values()) == 1
    assert {row["state"] for row in rows(fest)} == {2}
    assert mails.connections() <= 8, "four of each worker, used for all"


@pytest.mark.parametrize("role", ["job", "storage"])
def test_killed_while_sending(fest, sink, role):
    mails = sink("delay")
    server = serve(fest, mails)
    dice, killed = random.Random(role), 0
    for number in range(STUDENTS):
        assert server.register(EVENT, number).status == 201
        if number % 6 == 5:
            before = len(mails.accepted())
            if role == "storage":
                fest.kill_storage(server)
            else:
                victim = dice.choice(wait_for("job", lambda: server.children().get("job")))
                os.kill(victim, signal.SIGKILL)
                wait_for("it to be missed", lambda: victim not in server.children().get("job", []))
            killed += 1
            wait_for("it goes on", lambda: len(mails.accepted()) in (number + 1, *range(
                before + 1, STUDENTS + 1)))

    def ended():
        return all(row["state"] >= 2 for row in rows(fest))
    # A mail whose worker was killed three times is left to a person, who may try again.
    wait_for("all have ended", ended, 90)
    fest.usher("mail", "retry", "--all", env={"USHER_MAIL_URL": mails.url})
    wait_for("all have ended", ended, 90)
    server.stop()
    assert killed == 10
    if fest.is_sqlite or role == "job":
        assert server.read_log().count("killed by signal 9") >= 10
    check(fest, mails)
    assert sum(row["failures"] for row in rows(fest)) == sum(
        row["failures"] for row in rows(fest) if row["unknowns"]), "a kill is not a failure"

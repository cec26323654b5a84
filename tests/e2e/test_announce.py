"""An event that changes or is cancelled tells its participants: how many mails, seconds in which
all of it can be taken back, a lane of its own that can be paused, and no ticket waits behind it."""

import re

import pytest

from browser import Browser
from conftest import wait_for
from organiser import add_user, log_in
from outbox import mails

RACE = "robo-race"
LONG = {"USHER_UNDO_S": "600"}


@pytest.fixture
def race(fest):
    fest.add_event(RACE, 2, 2, venue="Hall 1")
    owner = add_user(fest, "owner")

    def serve(**env):
        server = fest.serve("--workers", "1", env=env)
        students = Browser(server)
        for i in range(4):
            students.register(RACE, name=f"Student {i}", email=f"s{i}@school.example")
        wait_for("tickets", lambda: len(mails(fest)) == 4)
        return server, students, log_in(server, owner)

    return serve


def told(fest, kind="event_changed"):
    return mails(fest, kind=kind)


def test_a_change_is_announced_to_all_who_hold_a_place_or_wait(fest, race):
    server, students, owner = race()
    fest.add_event(RACE, 2, 2, venue="Hall 9")
    page = owner.open(f"/admin/events/{RACE}")
    asks = owner.open(page.link("Tell everybody"))
    assert "4 mails go out" in asks.text
    owner.submit(asks.form("Send 4 mails"))
    got = wait_for("all are told", lambda: len(told(fest)) == 4 and told(fest))
    assert {m.to for m in got} == {f"s{i}@school.example" for i in range(4)}
    assert all("Hall 9" in m.text and m.subject.startswith("Please note: ") for m in got)
    assert all(m.part("text/calendar") for m in got)
    assert sum("waitlist" in m.text for m in got) == 2


def test_taken_back_before_it_begins(fest, race):
    server, students, owner = race(**LONG)
    asks = owner.open(f"/admin/events/{RACE}/announce")
    sent = owner.submit(asks.form("Send 4 mails"))
    assert re.search(r"4 mails begin in (9 minutes|10 minutes)", sent.text)
    again = owner.submit(asks.form("Send 4 mails"))
    assert "Nothing is changed" in again.text, "pressed twice is announced once"
    undone = owner.submit(sent.form("Take it back"))
    assert "No mail was sent" in undone.text and "begin in" not in undone.text
    assert "too late" in owner.submit(sent.form("Take it back")).text
    with fest.database() as db:
        assert db.execute("SELECT count(*) FROM jobs WHERE lane = 'bulk'").fetchone()[0] == 0
    assert fest.usher("verify").returncode == 0


def test_a_cancelled_event_taken_back_is_there_again(fest, race):
    server, students, owner = race(**LONG)
    asks = owner.open(f"/admin/events/{RACE}/cancel")
    assert "4 mails" in asks.text
    gone = owner.submit(asks.form("Yes, cancel it"))
    wait_for("cancelled", lambda: students.open(f"/e/{RACE}").status == 410)
    owner.submit(gone.form("Take it back"))
    wait_for("there again", lambda: students.open(f"/e/{RACE}").status == 200)
    assert "Closed" in students.open(f"/e/{RACE}").text, "registration waits for the organiser"
    fest.usher("event", "open", RACE)
    assert not told(fest, "event_cancelled") and fest.usher("verify").returncode == 0


def test_tickets_go_first_and_the_lane_can_be_paused(fest, race):
    server, students, owner = race()
    fest.add_event("quiz", 9)
    fest.usher("mail", "pause", "bulk")
    fest.usher("event", "announce", RACE, "--yes")
    wait_for("the quiz", lambda: students.open("/e/quiz").status == 200)
    students.register("quiz", email="late@school.example")
    wait_for("the ticket", lambda: mails(fest, to="late@school.example"))
    assert not told(fest), "the pause holds the lane"
    fest.usher("mail", "resume", "bulk")
    wait_for("all are told", lambda: len(told(fest)) == 4)


def test_on_the_command_line(fest, race):
    race(**LONG)
    said = fest.usher("event", "announce", RACE, "--yes", env=LONG).stdout
    assert "undo" in said
    refused = fest.usher("event", "announce", RACE, "--yes", env=LONG, check=False)
    assert refused.returncode == 1 and "wait already" in refused.stderr
    assert "taken back" in fest.usher("event", "undo", RACE).stdout
    late = fest.usher("event", "undo", RACE, check=False)
    assert late.returncode == 1 and "begun" in late.stderr
    fest.add_event("empty", 5)
    assert "so already" in fest.usher("event", "announce", "empty", "--yes").stdout

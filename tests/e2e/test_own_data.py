"""What is stored about a student, for the student: correct it, see it, take it along, delete it;
and the way back for whoever lost the link."""

import json

import pytest

from browser import Browser
from conftest import wait_for
from outbox import mails

RACE, QUIZ = "robo-race", "quiz"


@pytest.fixture
def race(fest):
    fest.add_event(RACE, 2, 2, grade_min=5, grade_max=12)
    fest.add_event(QUIZ, 5, kind="team", team_min=2, team_max=3)
    return Browser(fest.serve("--workers", "1"))


def asha(race, **typed):
    return race.register(RACE, grade="9", **typed)


def stored(fest, sql):
    with fest.database() as db:
        return [tuple(row) for row in db.execute(sql).fetchall()]


# ---- correcting ---------------------------------------------------------------------------------


def test_correcting_a_name_keeps_ticket_and_link(fest, race):
    ticket = asha(race, name="Asha Roa")
    page = race.open(ticket.link("Correct the details"))
    form = page.form("Save")
    assert (form.fields["name"], form.fields["email"]) == ("Asha Roa", "asha@school.example")
    assert form.fields["grade"] == "9" and form.fields["school"] == "Green Valley School"
    saved = race.submit(form, name="Asha Rao")
    assert saved.url == ticket.url and "Asha Rao" in saved.text and "Confirmed" in saved.text
    assert stored(fest, "SELECT count(*) FROM registrations") == [(1,)]


def test_correcting_the_address_kills_the_old_link(fest, race):
    ticket = asha(race)
    form = race.open(ticket.link("Correct the details")).form("Save")
    saved = race.submit(form, email="right@school.example")
    assert saved.status == 200 and saved.url != ticket.url
    assert race.open(ticket.url).status == 404
    mail = wait_for("the new link is mailed", lambda: mails(fest, to="right@school.example"))[0]
    assert race.open(mail.link).url == saved.url


def test_a_correction_is_checked_like_a_registration(race):
    ticket = asha(race)
    asha(race, name="Ravi", email="ravi@school.example")
    form = race.open(ticket.link("Correct the details")).form("Save")
    wrong = race.submit(form, name="", email="x", grade="3")
    assert wrong.status == 422 and wrong.title.startswith("Error:")
    assert {"#name", "#email", "#grade"} <= {href for href, _ in wrong.links}
    assert wrong.form("Save").action == form.action, "the form that is shown again corrects too"
    taken = race.submit(form, email="ravi@school.example")
    assert taken.status == 409 and "registered already" in taken.text
    assert taken.value("email") == "ravi@school.example", "what was typed stays"
    assert "Asha Rao" in race.open(ticket.url).text


def test_correcting_a_team(race):
    form = race.open(f"/e/{QUIZ}/register").form("Register")
    ticket = race.submit(form, name="Asha", email="a@school.example", team="Sparks",
                         members__0__name="Ravi", members__0__email="r@school.example")
    form = race.open(ticket.link("Correct the details")).form("Save")
    assert form.fields["team"] == "Sparks" and form.fields["members.0.name"] == "Ravi"
    assert form.fields["members.0.email"] == "r@school.example"
    saved = race.submit(form, team="Bolts", members__1__name="Mia")
    assert "Bolts" in saved.text and "Mia" in saved.text


def test_a_phone_that_came_through_the_api_stays(fest, race):
    made = race.server.request("POST", "/register", headers={"Content-Type": "application/json"},
                               body=json.dumps({"event": RACE, "name": "Asha Rao", "grade": 9,
                                                "email": "a@b.example", "phone": "+911234567"}))
    link = made.json["manage_url"]
    race.submit(race.open(race.open(link).link("Correct the details")).form("Save"), name="Asha")
    assert stored(fest, "SELECT phone FROM registrations") == [("+911234567",)]


def test_too_late_to_correct(fest, race):
    ticket = asha(race)
    form = race.open(ticket.link("Correct the details")).form("Save")
    asks = race.open(ticket.link("Cancel the place")).form("Yes, cancel")
    race.submit(asks)
    assert race.submit(form, name="Eve").status == 404
    assert "Correct" not in race.open(ticket.url).text


# ---- seeing, taking, deleting -------------------------------------------------------------------


def test_everything_that_is_stored_is_shown(race):
    ticket = asha(race)
    page = race.open(ticket.link("What is stored"))
    for word in ("Asha Rao", "asha@school.example", "Green Valley School", "9", "confirmed"):
        assert word in page.text, word
    reply = race.server.get(page.link("JSON"))
    assert "attachment" in reply.headers["content-disposition"]
    assert reply.json["people"][0] | {} == {"position": 0, "name": "Asha Rao",
                                            "email": "asha@school.example"}
    assert reply.json["history"] == [] and "Nothing since you registered" in page.text
    for name in ("cache-control", "referrer-policy"):
        assert reply.headers[name] in ("no-store", "no-referrer")


def test_deleting_leaves_nothing_and_gives_the_place_back(fest, race):
    ticket = asha(race)
    asha(race, name="Ravi", email="ravi@school.example")
    waits = asha(race, name="Mia", email="mia@school.example")
    assert "number 1 in line" in waits.text
    wait_for("the mail is out", lambda: mails(fest, to="asha@school.example"))
    page = race.open(ticket.link("Delete it"))
    assert "cannot be undone" in page.text and "Asha Rao" in race.open(ticket.url).text
    done = race.submit(page.form("Yes, delete everything"))
    assert done.status == 200 and "erased" in done.text
    assert race.open(ticket.url).status == 404 and "Confirmed" in race.open(waits.url).text
    assert stored(fest, "SELECT count(*) FROM participants WHERE name LIKE '%Asha%'") == [(0,)]
    assert not mails(fest, to="asha@school.example")
    assert fest.usher("verify").returncode == 0


def test_old_events_are_forgotten_by_themselves(fest):
    fest.add_event(RACE, 2, starts="2020-03-14T10:00:00Z", ends="2020-03-14T12:00:00Z",
                   closes="2031-03-14T09:00:00Z")
    server = fest.serve("--workers", "1", env={"USHER_RETENTION_DAYS": "0"})
    race = Browser(server)
    made = race.register(RACE)
    assert "Until the organisers erase it" in race.open("/privacy").text
    assert made.url.startswith("/r/"), made.text
    wait_for("the mail is out", lambda: mails(fest))
    server.stop()
    server = fest.serve("--workers", "1", env={"USHER_RETENTION_DAYS": "90"})
    assert "90 days after" in Browser(server).open("/privacy").text
    wait_for("nobody is known any more", lambda: stored(
        fest, "SELECT count(*) FROM participants WHERE name LIKE '%Asha%'") == [(0,)])


# ---- without the link ---------------------------------------------------------------------------


def test_lost_ticket(fest, race):
    ticket = asha(race)
    wait_for("the ticket", lambda: mails(fest))
    page = race.open(race.open("/").link("Lost your ticket?"))
    stranger = race.submit(page.form("Send the link"), email="nobody@school.example")
    known = race.submit(page.form("Send the link"), email="Asha@school.example")
    strip = lambda p: p.html.replace("Asha@school.example", "").replace("nobody@school.example", "")
    assert stranger.status == known.status == 200 and strip(stranger) == strip(known)
    again = wait_for("the link", lambda: mails(fest, kind="resend"))
    assert race.open(again[0].link).url == ticket.url
    race.submit(page.form("Send the link"), email="asha@school.example")
    assert len(mails(fest, kind="resend")) == 1, "at most hourly"
    wrong = race.submit(page.form("Send the link"), email="asha at school")
    assert wrong.status == 422 and wrong.value("email") == "asha at school"
    assert wrong.ids["email"]["aria-invalid"] == "true"

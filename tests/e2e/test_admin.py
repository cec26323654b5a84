"""The organisers' pages without a script: events, people, the door, mails, privacy, dashboard."""

import concurrent.futures
import copy
import csv
import io
import json
import re

import pytest

from browser import Browser
from conftest import at_most, wait_for
from test_mails_killed import MailServer
from organiser import HOST, PASSWORD, add_user, log_in, press

RACE, QUIZ = "robo-race", "tech-quiz"
sqlite = pytest.mark.on("sqlite")  # where the database makes no difference


@pytest.fixture
def office(fest):
    """A fest with a race of two places and a team quiz; its server and its owner's browser."""
    fest.add_event(RACE, 2, 5, summary="Fast robots")
    fest.add_event(QUIZ, 10, kind="team", team_min=2, team_max=3)
    add_user(fest, "owner")
    fest.server = fest.serve("--workers", "1")
    fest.owner = log_in(fest.server, f"owner@{HOST}")
    return fest


def register(fest, number, event=RACE, **more):
    reply = fest.server.register(event, number, key=f"key-{event}-{number}", **more)
    assert reply.status == 201, reply.text
    return reply.json


def people_page(fest, name, event=RACE):
    return fest.owner.open(fest.owner.open(f"/admin/events/{event}/people").link(name))


# ---- events --------------------------------------------------------------------------------------


@sqlite
def test_a_new_event_is_previewed_in_words(office):
    b = office.owner
    form = b.open("/admin/events/new").form("Preview")
    typed = {"title": "Drone Workshop", "slug": "drones", "venue": "Hall 2", "tz": "Asia/Kolkata",
             "starts": "2031-03-14T10:00", "capacity": "40", "waitlist": "unlimited",
             "description": "Fly <b>high</b>\n" + "नमस्ते दुनिया " * 1000}
    preview = b.submit(form, step="preview", **typed)
    assert preview.status == 200
    assert "Friday 14 March 2031, 10:00 (Asia/Kolkata), in " in preview.text
    assert "Friday 14 March 2031, 11:00" in preview.text and "at once" in preview.text
    assert b.server.get("/e/drones").status == 404, "nothing is stored by looking"
    saved = b.submit(preview.form("Save"), step="save")
    assert "Saved." in saved.text and "Drone Workshop" in saved.title
    assert "/e/drones" in saved.html and "0 of 40" in saved.text
    again = b.submit(form, step="preview", **{**typed, "title": "Another Workshop"})
    assert again.status == 409 and "this name in its link already" in again.text
    assert wait_for("the event is listed", lambda: "Drone Workshop" in b.open("/").text)
    page = b.open("/e/drones")
    assert "Fly <b>high</b> नमस्ते दुनिया" in page.text


@sqlite
@pytest.mark.parametrize("field, value, words", [
    ("starts", "2031-02-30T10:00", "is not a time"),
    ("slug", "Robo Race", "slug"),
    ("title", "", "title"),
    ("tz", "Mars/Olympus", "no zone"),
    ("ends", "2031-03-13T10:00", "ends before it starts"),
    ("capacity", "-1", "capacity"),
])
def test_faults_stand_at_their_fields(office, field, value, words):
    typed = {"title": "X", "slug": "x", "starts": "2031-03-14T10:00",
             "opens": "2031-03-01T10:00", field: value}
    page = office.owner.submit(office.owner.open("/admin/events/new").form("Preview"),
                               step="preview", **typed)
    assert page.status == 422 and page.ids[field].get("aria-invalid") == "true", page.text
    assert f"{field}-fault" in page.ids
    assert page.ids["starts"]["value"] == typed["starts"], "what was typed stays"
    assert "closes before it opens" not in page.text, "nothing is said of times nobody knows"


def test_two_organisers_edit_the_same_event(office):
    b = office.owner
    form = b.open(f"/admin/events/{RACE}/edit").form("Preview")
    assert form.fields["starts"] == "2031-03-14T15:30", "local to the zone of the event"
    first, second = (b.submit(form, step="preview", title=title).form("Save")
                     for title in ("Robo Race 2031", "Another name"))
    assert b.send(first, step="save").status == 303
    late = b.submit(second, step="save")
    assert late.status == 409 and "somebody else changed this event meanwhile" in late.text
    assert late.ids["title"]["value"] == "Another name"
    assert "Robo Race 2031" in b.open("/admin/events").text
    same = b.submit(b.open(f"/admin/events/{RACE}/edit").form("Preview"), step="preview")
    assert "Changes" not in same.text
    office.add_event("at-once", 5, opens="2025-01-01T00:00:30Z")
    page = b.open("/admin/events/at-once/edit")
    assert page.value("opens") == "2025-01-01T05:30", "seconds are not shown"
    assert "Changes" not in b.submit(page.form("Preview"), step="preview").text, "and stay"
    moved = b.submit(page.form("Preview"), step="preview", opens="2025-01-02T05:30", tz="UTC")
    assert set(re.search("Changes (.*?) Nothing", moved.text)[1].split(", ")) == {
        "tz", "starts", "ends", "opens", "closes"}


def test_places_open_close_and_cancel(office):
    b = office.owner
    for i in range(1, 5):
        register(office, i)
    page = b.open(f"/admin/events/{RACE}")
    assert "2 of 2" in page.text and "Waiting 2" in page.text
    lower = b.submit(page.form("Save"), capacity="1")
    assert "nobody is ever dropped" in lower.text and "2 of 2" in lower.text
    higher = b.submit(page.form("Save"), capacity="3", waitlist="7")
    assert "3 of 3" in higher.text and "Waiting 1" in higher.text
    for typed, shown in (("Unlimited", "unlimited"), ("", "0"), ("many", "0"), ("7", "7")):
        said = b.submit(b.open(f"/admin/events/{RACE}").form("Save"), waitlist=typed)
        assert ("Nothing is changed" in said.text) == (typed == "many")
        assert said.value("waitlist") == shown, "as in the form of the event"
    closed = press(b, higher, "Close registration")
    assert "Closed" in closed.text
    assert office.server.register(RACE, 9).json["code"] == "closed"
    assert "Waitlist" in press(b, closed, "Open registration").text
    ask = b.open(f"/admin/events/{RACE}/cancel")
    assert "4 mails go out" in ask.text
    gone = press(b, ask, "Yes, cancel it")
    assert "Cancelled" in gone.text
    with office.database() as db:
        assert db.execute("SELECT count(*) FROM jobs WHERE kind = 'event_cancelled'"
                          ).fetchone()[0] == 4


# ---- people --------------------------------------------------------------------------------------


def test_people_are_found_and_corrected(office):
    b = office.owner
    register(office, 1, name="Ævar %_ Þór", school="Green Valley")
    register(office, 2, name="<script>alert(1)</script>")
    register(office, 3)
    everybody = b.open(f"/admin/events/{RACE}/people")
    assert "<script>alert" not in everybody.html and "Student 3" in everybody.text
    found = b.open(f"/admin/events/{RACE}/people?q=green+v")
    assert "Þór" in found.text and "Student 3" not in found.text
    assert "Nobody." in b.open("/admin/people?q=%25%25").text
    waits = b.open(f"/admin/events/{RACE}/people?status=waitlisted")
    assert "Student 3" in waits.text and "Þór" not in waits.text
    person = b.open(found.link("Þór"))
    form = b.open(person.link("Correct")).form("Save")
    assert form.fields["school"] == "Green Valley"
    bad = b.submit(form, email="not an address")
    assert bad.status == 422 and bad.ids["email"]["aria-invalid"] == "true"
    taken = b.submit(form, email="student2@school.example")
    assert taken.status == 409 and "registered already" in taken.text
    good = b.submit(form, name="Ævar Þór", email="new@school.example")
    assert "Saved." in good.text and "Ævar Þór" in good.text
    assert f"user:owner@{HOST} edit" in good.text, "the history says who"
    wait_for("the mail to the new address",
             lambda: "new@school.example" in str(list_mails(office)))


def test_questions_and_answers_stay(office):
    b = office.owner
    form = b.open(f"/admin/events/{RACE}/edit").form("Preview")
    asks = "Robot's name\nSize: S | M (optional)"
    saved = b.submit(b.submit(form, step="preview", questions=asks).form("Save"), step="save")
    assert "Saved." in saved.text
    assert b.open(f"/admin/events/{RACE}/edit").form("Preview").fields["questions"] == asks
    register(office, 1, answers=[{"question": "Robot's name", "answer": "Röbi <3"}])
    person = people_page(office, "Student 1")
    assert "Robot's name: Röbi <3" in person.text
    done = b.submit(b.open(person.link("Correct")).form("Save"), school="Elsewhere")
    assert "Saved." in done.text and "Röbi <3" in done.text and "Elsewhere" in done.text


def test_somebody_at_the_desk(office):
    b = office.owner
    press(b, b.open(f"/admin/events/{RACE}"), "Close registration")
    assert office.server.register(RACE, 1).json["code"] == "closed"
    form = b.open(b.open(f"/admin/events/{RACE}").link("Enter somebody")).form("Save")
    bad = b.submit(form, name="Asha", email="no address")
    assert bad.status == 422 and bad.ids["email"]["aria-invalid"] == "true"
    once = b.submit(form, name="Asha", email="asha@x.example")
    again = b.submit(form, name="Asha", email="asha@x.example")
    assert "confirmed" in once.text and once.url == again.url, "the same form is one place"
    assert f"user:owner@{HOST} entry" in once.text
    def enter(name):
        fresh = b.open(f"/admin/events/{RACE}/entry").form("Save")
        return b.submit(fresh, name=name, email=f"{name}@x.example")
    assert "registered for Robo Race already" in enter("asha").text
    assert "confirmed" in enter("ben").text and "waitlisted" in enter("chi").text


def list_mails(fest):
    return [p.read_text(errors="replace").split("\r\n\r\n")[0]
            for p in (fest.folder / "outbox").glob("*.eml")]


def test_what_is_done_with_one_person(office):
    b = office.owner
    first = register(office, 1)
    register(office, 2)
    register(office, 3)
    page = people_page(office, "Student 1")
    assert "on its way again" in press(b, page, "Send the mail again").text
    b.submit(b.open("/admin/scan").form("Check in"), code=first["ticket"]["short_code"])
    taken = b.send(page.form("All data as a file"))
    assert taken.status == 200 and f'{first["ticket"]["short_code"]}.json' in taken.headers[
        "content-disposition"]
    data = taken.json
    assert data["event"] == RACE and data["people"][0]["name"] == "Student 1"
    assert [s["what"] for s in data["history"]] == ["scan: in", "export_person", "resend"]
    assert f"owner@{HOST}" not in taken.text, "who did it is not about the student"
    assert "export_person" in b.open("/admin/audit").text
    mine = office.server.get(first["manage_url"].split(str(office.server.port))[1] + "/data.json")
    assert mine.json["history"] == data["history"], "the student gets the same"
    old = office.server.get(first["ticket"]["svg_url"].replace(
        f"http://127.0.0.1:{office.server.port}", ""))
    assert old.status == 200
    assert "made anew" in press(b, page, "New ticket").text
    asked = b.open(page.link("Cancel"))
    gone = press(b, asked, "Yes")
    assert "cancelled (by_organiser)" in gone.text
    moved = people_page(office, "Student 3").text
    assert "confirmed" in moved, "the longest waiting moved up"
    assert "moved up from the waitlist" in moved, "and the history says so"
    nothing = press(b, asked, "Yes")
    assert "Nothing had to be changed" in nothing.text


@sqlite
def test_the_waitlist_moves_in_order(office):
    b = office.owner
    for i in range(1, 5):
        register(office, i)
    with_more = b.submit(b.open(f"/admin/events/{RACE}").form("Save"), capacity="2")
    assert with_more.status == 200
    page = b.open(f"/admin/events/{RACE}/people?status=waitlisted")
    none = press(b, page, "Let the next ones in", count="1")
    assert "Nothing had to be changed" in none.text and "2 wait" in none.text


@sqlite
def test_paging(office):
    office.usher("event", "capacity", RACE, "500")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: register(office, i), range(1, 106)))
    page = office.owner.open(f"/admin/events/{RACE}/people")
    names = set(re.findall(r"Student \d+", page.text))
    rest = office.owner.open(page.link("Next page"))
    assert len(names) == 100 and len(set(re.findall(r"Student \d+", rest.text)) - names) == 5
    assert not [w for _, w in rest.links if "Next" in w]


@sqlite
def test_export_asks_for_a_reason(office):
    register(office, 1, name="=1+1")
    b = office.owner
    form = b.open(f"/admin/events/{RACE}/export").form("Export")
    assert b.send(form, reason="").status == 422
    reply = b.send(form, reason="printing badges", format="csv", status="")
    assert reply.status == 200 and f'filename="{RACE}.csv"' in reply.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(reply.body.decode("utf-8-sig"))))
    assert rows[0]["name"] == "'=1+1" and rows[0]["email"] == "student1@school.example"
    rows = json.loads(b.send(form, reason="again", format="json", status="").body)
    assert rows[0]["name"] == "=1+1"
    assert "export" in (audit := b.open("/admin/audit").text) and "printing badges" in audit


# ---- the door ------------------------------------------------------------------------------------


def ticket_of(fest, registration):
    """The code of a registration's QR, as a camera reads it."""
    import codes
    path = registration["ticket"]["png_url"].split(str(fest.server.port))[1]
    return codes.read(codes.png_modules(fest.server.get(path).body))


def result_of(page):
    return re.search(r'data-result="(\w+)"', page.html)[1]


def test_the_door(office):
    b = office.owner
    first, second, waits = (register(office, i) for i in range(1, 4))
    form = b.open("/admin/scan").form("Check in")
    code = ticket_of(office, first)
    one = b.submit(form, code=code)
    assert result_of(one) == "in" and "Welcome" in one.text and "Student 1" in one.text
    reload = b.submit(form, code=code)
    assert result_of(reload) == "in", "the same scan sent again says the same"
    again = b.submit(one.form("Check in"), code=first["ticket"]["short_code"].lower())
    assert result_of(again) == "already" and f", owner@{HOST}" in again.text
    back = press(b, b.submit(one.form("Check in"), code=ticket_of(office, second)), "Take back")
    assert result_of(back) == "undone"
    for typed, result in (("HTTPS://EVIL.EXAMPLE/T/ABC", "not_a_ticket"), ("hello", "not_a_ticket"),
                          (code[:-3] + "000", "not_a_ticket")):
        assert result_of(b.submit(form, code=typed)) == result, typed
    elsewhere = b.submit(form, code=ticket_of(office, second), at=QUIZ)
    assert result_of(elsewhere) == "wrong_event" and "Robo Race" in elsewhere.text
    anyway = b.submit(again.form("Let in anyway"), note="brought a twin")
    assert result_of(anyway) == "anyway"
    press(b, people_page(office, "Student 2"), "New ticket")
    found = b.open("/admin/scan?q=student+2")
    page = b.open(found.link("Student 2"))
    assert result_of(page) == "ask", "opening a link lets nobody in"
    assert result_of(press(b, page, "Let in")) == "in"
    history = people_page(office, "Student 1").text
    assert "scan: in" in history and "scan: already" in history and "brought a twin" in history
    press(b, b.open(people_page(office, "Student 2").link("Cancel")), "Yes")
    gone = b.submit(b.open("/admin/scan").form("Check in"), code=second["ticket"]["short_code"])
    assert result_of(gone) == "cancelled"
    assert waits["status"] == "waitlisted"


@sqlite
def test_a_replaced_ticket_is_told_apart(office):
    b = office.owner
    old = ticket_of(office, register(office, 1))
    press(b, people_page(office, "Student 1"), "New ticket")
    assert result_of(b.submit(b.open("/admin/scan").form("Check in"), code=old)) == "replaced"


def test_a_team_is_let_in_one_by_one_or_together(office):
    b = office.owner
    team = register(office, 1, QUIZ, team="Owls", members=[{"name": "Ben"}, {"name": "Chitra"}])
    ask = b.submit(b.open("/admin/scan").form("Check in"), code=ticket_of(office, team))
    assert result_of(ask) == "ask" and "Ben" in ask.text
    ben = next(f for f in ask.forms if f.fields.get("who") == "1")
    one = b.submit(ben)
    assert result_of(one) == "in" and "in since" in one.text
    chitra = next(f for f in one.forms if f.fields.get("who") == "2")
    # Ben leaves, so Chitra is where he was; the page at the gate is from before.
    correct = b.open(people_page(office, "Student 1", QUIZ).link("Correct")).form("Save")
    saved = b.submit(correct, **{"members.0.name": "Chitra", "members.1.name": ""})
    assert "Ben" not in saved.text and "Chitra" in saved.text
    ask = b.submit(chitra)
    assert result_of(ask) == "ask" and "Ben" not in ask.text and "in since" not in ask.text
    rest = press(b, ask, "All present")
    assert result_of(rest) == "in" and "All present" not in rest.text
    with office.database() as db:
        assert db.execute("SELECT count(*) FROM attendance").fetchone()[0] == 2
    for page in ("/admin/scan", "/admin/people"):
        assert "Student 1" in b.open(page + "?q=chitra").text, "who is in a team is found by name"


def test_many_gates_at_the_same_moment(office):
    code = register(office, 1)["ticket"]["short_code"]
    forms = [office.owner.open("/admin/scan").form("Check in") for _ in range(24)]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        results = list(pool.map(lambda f: result_of(office.owner.submit(f, code=code)), forms))
    assert sorted(results) == ["already"] * 23 + ["in"]


@sqlite
def test_the_link_of_a_ticket(office):
    code = ticket_of(office, register(office, 1))
    path = "/T/" + code.split("/T/")[1]
    stranger = Browser(office.server).open(path)
    assert "A ticket for Robo Race" in stranger.text and "Student" not in stranger.text
    reply = office.server.request("GET", path, headers=office.owner._headers())
    assert reply.status == 303 and reply.headers["location"].startswith("/admin/scan/")
    page = office.owner.open(reply.headers["location"])
    assert result_of(page) == "ask" and "Student 1" in page.text
    assert result_of(press(office.owner, page, "Let in")) == "in"


# ---- staff, mails, privacy -----------------------------------------------------------------------


@sqlite
def test_users_are_added_and_changed(office):
    b = office.owner
    form = b.open("/admin/users").form("Add")
    bad = b.submit(form, name="", email=f"x@{HOST}", password="long enough here")
    assert bad.status == 422
    unknown = b.submit(form, name="X", email=f"x@{HOST}", events="no-such", password=PASSWORD)
    assert unknown.status == 422 and "no-such" in unknown.text
    assert "Saved" in b.submit(form, name="X", email=f"x@{HOST}", role="desk",
                               password=PASSWORD).text
    assert "one already" in b.submit(form, name="X", email=f"X@{HOST}", password=PASSWORD).text
    desk = log_in(office.server, f"x@{HOST}")
    assert desk.open(f"/admin/events/{RACE}/people").status == 200
    page = b.open("/admin/users")
    mine = next(f for f in page.forms if f.action.endswith("/2"))
    mine.action = "/admin/users/0"
    assert b.send(mine, password=PASSWORD).status == 404
    mine.action = "/admin/users/2"
    assert "Saved" in b.submit(mine, role="viewer", events=QUIZ).text
    desk = log_in(office.server, f"x@{HOST}")
    home = desk.open("/admin")
    assert "Tech Quiz" in home.text and "Robo Race" not in home.text
    assert desk.open(f"/admin/events/{RACE}").status == 403
    own = next(f for f in page.forms if f.action.endswith("/1"))
    assert "Make another owner first" in b.submit(own, role="viewer").text


@sqlite
def test_a_device_is_asked_for_wrongly(office):
    b = office.owner
    form = b.open("/admin/devices").form("Show the code")
    for field, value in (("name", ""), ("hours", "0"), ("events", f"{RACE}, no-such")):
        page = b.submit(form, **{"name": "Gate A", field: value})
        assert page.status == 422 and page.ids[field].get("aria-invalid") == "true", page.text
        assert page.value(field) == value, "what was typed stays"


@sqlite
def test_mails_are_held_back_and_failed_ones_sent_again(office, tmp_path):
    b = office.owner
    paused = press(b, b.open("/admin/mail"), "Pause tickets")
    assert f"The lane mail is paused: paused by user:owner@{HOST}" in paused.text
    register(office, 1, email=f"refuse+1@{HOST}")
    assert "mail queued 1" in b.open("/admin/mail").text
    office.server.stop()
    mail = MailServer(tmp_path, "accept")
    try:
        office.server = b.server = office.serve("--workers", "1", env={"USHER_MAIL_URL": mail.url})
        assert "paused" in b.open("/admin/mail").text, "a pause outlives the server"
        press(b, b.open("/admin/mail"), "Let them go on")
        failed = wait_for("the refusal", lambda: "5.1.1" in (p := b.open("/admin/mail")).text and p)
        person = b.open(next(h for h, _ in failed.links if h.startswith("/admin/people/")))
        assert "failed" in person.text and "5.1.1" in person.text
        assert "queued again" in press(b, failed, "Send again").text
        wait_for("it is refused again", lambda: "5.1.1" in b.open("/admin/mail").text)
        b.submit(b.open(person.link("Correct")).form("Save"), email=f"right@{HOST}")
        wait_for("the mail to the right address", mail.accepted)
        done = b.open("/admin/mail").text
        assert "5.1.1" not in done and "nothing failed" in done, "it needs nobody any more"
    finally:
        mail.stop()
    audit = b.open("/admin/audit").text
    assert all(word in audit for word in ("mail_pause", "mail_resume", "mail_retry", "edit"))


def everything_stored(fest):
    with fest.database() as db:
        tables = [r[0] for r in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'" if fest.is_sqlite else
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        out = [str(cell) for t in tables for row in db.execute(f"SELECT * FROM {t}")
               for cell in row]
    out += [p.read_text(errors="replace") for p in (fest.folder / "outbox").glob("**/*")]
    return "\n".join(out) + fest.server.read_log()


def test_a_person_is_forgotten_everywhere(office):
    b = office.owner
    words = ["Zarathustra", "zara@school.example", "Hohenheim", "peanuts"]
    form = b.open(f"/admin/events/{RACE}/edit").form("Preview")
    b.submit(b.submit(form, step="preview", questions="Allergies").form("Save"), step="save")
    for event in (RACE, QUIZ):
        ben = {"name": "Ben Hohenheim", "email": "ben@school.example"}
        more = {"team": "Hohenheim owls", "members": [ben]} if event == QUIZ else \
            {"answers": [{"question": "Allergies", "answer": "peanuts"}]}
        register(office, 1, event, name="Zarathustra", email="zara@school.example",
                 school="Hohenheim School", **more)
    wait_for("the mails", lambda: len(list_mails(office)) == 2)
    wait_for("they are done", lambda: "running" not in (t := b.open("/admin/mail").text)
             and "queued" not in t)
    for word in words:
        assert word in everything_stored(office), word
    page = b.open("/admin/privacy")
    form = copy.copy(page.form("All data as a file"))
    form.action = "/admin/privacy/export"  # of this button of the form
    data = b.send(form, email="ZARA@school.example").json["registrations"]
    assert [len(d["people"]) for d in data] == [1, 2] and "peanuts" in str(data)
    assert all(d["history"][0]["what"] == "export_person" for d in data)
    of_ben = b.send(form, email="ben@school.example")
    assert [d["people"][0]["name"] for d in of_ben.json["registrations"]] == ["Ben Hohenheim"]
    assert "Zarathustra" not in of_ben.text, "a member is not told about the others"
    assert b.send(form, email="nobody@school.example").json == {"registrations": []}
    assert b.submit(page.form("Erase"), email="zara@school.example").status == 422, "asks once more"
    done = b.submit(page.form("Erase"), email="ZARA@school.example", sure="1")
    assert "2 registrations erased" in done.text
    for word in words:
        assert word not in everything_stored(office), word
    assert "(erased)" in b.open(f"/admin/events/{RACE}/people").text
    assert "clean" in office.usher("verify").stdout


# ---- dashboard -----------------------------------------------------------------------------------


def test_the_dashboard_counts(office):
    for i in range(1, 4):
        register(office, i)
    page = wait_for("a fresh view", lambda: "2 of 2" in (p := office.owner.open("/admin")).text
                    and "3 registrations in the last 30 minutes, at most" in p.html and p)
    assert '<progress max="2" value="2"' in page.html
    assert "99 of 100 within" in page.text, "registering was stored, and that took its time"
    metrics = office.server.get("/metrics").text
    assert float(re.search(r'usher_store_seconds{quantile="1"} ([\d.]+)', metrics)[1]) > 0
    assert 'http-equiv="refresh"' in page.html, "without a script it loads itself again"


@sqlite
def test_the_dashboard_streams(office):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", office.server.port, timeout=at_most(20))
    try:
        connection.request("GET", "/admin/stream", headers=office.owner._headers())
        reply = connection.getresponse()
        assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/event-stream")

        def read_event():
            lines = []
            while True:
                line = reply.readline().decode()
                assert line, "the stream ended"
                if line == "\n" and any(x.startswith("data:") for x in lines):
                    return "".join(x[5:] for x in lines if x.startswith("data:"))
                lines.append(line)

        assert "0 of 2" in read_event()
        register(office, 1)
        wait_for("the news", lambda: "1 of 2" in read_event(), 15)
        press(office.owner, office.owner.open("/admin"), "Log out")
        while reply.readline():  # it ends with the session
            pass
    finally:
        connection.close()

"""What nobody else may learn: tokens stay out of logs, referrers and QR codes, private pages out of
caches; and who is erased leaves no name, address or answer in any table, log or mail."""

import re

from browser import Browser
from conftest import wait_for
from organiser import add_user, log_in
from outbox import mails

RACE = "robo-race"
WORDS = ("Zebulon", "Quixwell", "zebulon.q", "Xylophone High", "Marmalade", "+998877665")


def whole_database(fest):
    """Every value of every table as text."""
    with fest.database() as db:
        if fest.is_sqlite:
            tables = [r[0] for r in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        else:
            tables = [r[0] for r in db.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()]
        out = []
        for table in tables:
            for row in db.execute(f"SELECT * FROM {table}").fetchall():
                out += [(table, bytes(v).decode(errors="replace")
                         if isinstance(v, (bytes, memoryview)) else str(v)) for v in tuple(row)]
    return out


def traces(fest, words):
    found = {f"table {t}: {w}" for t, v in whole_database(fest) for w in words
             if w.lower() in v.lower()}
    for path in [fest.folder / "log", *(fest.folder / "outbox").glob("*")]:
        text = path.read_text(errors="replace").lower()
        found |= {f"{path.name}: {w}" for w in words if w.lower() in text}
    return found


def rich_registration(fest, browser):
    """Somebody with everything that can be stored, whom everything has happened to."""
    form = browser.open(f"/e/{RACE}/register").form("Register")
    ticket = browser.submit(form, name="Zebulon Quixwell", email="zebulon.q@x.example",
                            school="Xylophone High", answers__0__answer="Marmalade")
    edit = browser.open(ticket.link("Correct the details")).form("Save")
    ticket = browser.submit(edit, name="Zebulon B. Quixwell")
    browser.submit(ticket.form("Send the mail again"))
    wait_for("both mails", lambda: len(mails(fest, to="zebulon.q@x.example")) == 2)
    return ticket


def serve(fest):
    fest.add_event(RACE, 5, questions="Jam (optional)")
    return fest.serve("--workers", "1", env={"USHER_LOG_LEVEL": "debug"})


def test_who_is_erased_leaves_no_trace(fest):
    owner = add_user(fest, "owner")
    server = serve(fest)
    browser = Browser(server)
    rich_registration(fest, browser)
    browser.register(RACE, name="Zebulon Quixwell", email="zebulon.q@x.example")  # a duplicate
    assert len(traces(fest, WORDS)) > 5, "the search finds what is there"
    organiser = log_in(server, owner)
    page = organiser.open("/admin/privacy")
    form = next(f for f in page.forms if "email" in f.fields)
    assert "1 registrations erased" in organiser.submit(
        form, email="zebulon.q@x.example", sure="1").text
    assert traces(fest, WORDS) == set()
    assert fest.usher("verify").returncode == 0


def test_a_team_goes_on_when_a_member_is_erased(fest):
    fest.add_event("quiz", 5, kind="team", team_min=2, team_max=3)
    owner = add_user(fest, "owner")
    server = fest.serve("--workers", "1")
    team = server.register("quiz", 1, team="Owls", members=[
        {"name": "Zebulon", "email": "zebulon.q@x.example"}, {"name": "Chitra"}]).json
    organiser = log_in(server, owner)
    form = next(f for f in organiser.open("/admin/privacy").forms if "email" in f.fields)
    assert "1 registrations erased" in organiser.submit(
        form, email="zebulon.q@x.example", sure="1").text
    lead = Browser(server)
    edit = lead.open("/r/" + team["manage_url"].split("/r/")[1] + "/edit").form("Save")
    saved = lead.submit(edit, name="Asha the Lead")
    assert saved.status == 200 and "Asha the Lead" in saved.text, saved.text
    with fest.database() as db:
        rows = db.execute("SELECT name FROM participants ORDER BY position").fetchall()
    assert [r[0] for r in rows] == ["Asha the Lead", "Chitra"]


def test_tokens_stay_private(fest):
    server = serve(fest)
    browser = Browser(server)
    ticket = rich_registration(fest, browser)
    token = ticket.url.removeprefix("/r/")
    for url in (ticket.url, ticket.url + "/edit", ticket.url + "/data", ticket.url + "/data.json",
                ticket.url + "/cancel", ticket.url + "/delete", ticket.url + "/ticket.png"):
        reply = server.get(url, Accept="text/html")
        assert reply.headers["cache-control"] in ("no-store", "private, no-cache"), url
        assert reply.headers["referrer-policy"] in ("no-referrer", "same-origin"), url
        assert reply.headers["x-robots-tag"] == "noindex", url
    assert token not in (fest.folder / "log").read_text()
    qr = browser.open(ticket.url).html
    assert token not in re.search(r"<svg.*?</svg>", qr, re.S).group()
    for other in ("/", f"/e/{RACE}", "/find", "/privacy", f"/api/v1/events/{RACE}"):
        assert token not in server.get(other).text

"""Text of any script and any intent, through every door and to every exit.

Doors: web form, API, event import (CSV and JSON). Exits: ticket page, API, CSV, JSON, mail (header
fields, text, HTML), calendar. What is accepted comes out everywhere as it was typed, but for what a
format has to quote; what is refused is refused at every door, naming the field, and stays typed.
"""

import csv
import html
import io
import json

import pytest

from browser import Browser
from conftest import wait_for
from outbox import mails

EVENT = "text"

# What is typed -> what is stored; None: the same.
ACCEPTED = {
    "emoji": ("Asha 🤖🎉", None),
    "devanagari": ("आशा राव", None),
    "joiner": ("ക്‍ഷ നമ്പ്യാര്‍", None),
    "non-joiner": ("می‌خواهم", None),
    "arabic": ("عائشة بنت محمد", None),
    "hebrew": ("שרה כהן", None),
    "override": ("Asha\u202egpj.exe", "Ashagpj.exe"),
    "isolate": ("\u2067Asha\u2069 Rao", "Asha Rao"),
    "one-letter": ("X", None),
    "null": ("Null", None),
    "apostrophe": ("Miles O'Brien-Ωmega", None),
    "script": ("<script>alert(1)</script>", None),
    "attribute": ("\" onmouseover=\"x", None),
    "template": ("{{name}} ${7*7} %s %n", None),
    "sql": ("Robert'); DROP TABLE registrations;--", None),
    "like": ("100%_\\", None),
    "formula": ("=HYPERLINK(\"http://x\")", None),
    "plus": ("+1 (555) 01", None),
    "full-width": ("＝1＋1", None),
    "csv": ("a,b;\"c\"", None),
    "calendar": ("a;b,c\\nd", None),
    "spaces": ("  Asha Rao ", "Asha Rao"),
    "eight-marks": ("a" + "\u0301\u0302" * 4 + "b", None),
    "120": ("ä" * 120, None),
}

REFUSED = {
    "too-long": "a" * 5000,
    "121": "ä" * 121,
    "only-spaces": "   ",
    "only-zero-width": "\u200b\u200d\u2060",
    "only-marks": "\u0301\u0302",
    "zalgo": "a" + "\u0301" * 40,
    "control": "Asha\x07",
    "nul": "Asha\x00Rao",
    "line": "Asha\r\nBcc: everybody@x.example",
    "line-feed": "Asha\nRao",
}


@pytest.fixture
def text(fest):
    fest.add_event(EVENT, None, questions="Name of your robot (optional)")
    return Browser(fest.serve("--workers", "1", env={
        "USHER_LIMIT_BROWSER": "off", "USHER_LIMIT_ADDR": "off", "USHER_LIMIT_EMAIL": "off"}))


def by_form(text, name, email):
    form = text.open(f"/e/{EVENT}/register").form("Register")
    return text.submit(form, name=name, email=email, school=name, answers__0__answer=name)


def by_api(text, name, email):
    return text.server.request("POST", "/register", {
        "event": EVENT, "name": name, "email": email, "school": name,
        "answers": [{"question": "Name of your robot", "answer": name}]})


def plain(page):
    """What a reader sees: entities are characters, isolates are markup."""
    return html.unescape(page)


def test_what_is_accepted_comes_out_everywhere(fest, text):
    expected = {}
    for i, (case, (typed, stored)) in enumerate(ACCEPTED.items()):
        stored = stored or typed
        for door, send in (("form", by_form), ("api", by_api)):
            email = f"{case}.{door}@school.example"
            reply = send(text, typed, email)
            assert reply.status in (200, 201), (case, door, getattr(reply, "text", ""))
            url = reply.url if door == "form" else reply.json["manage_url"]
            expected[email] = (case, stored, url)
    for email, (case, stored, url) in expected.items():
        page = text.open(url)
        assert stored in plain(page.html), (case, "ticket page")
        assert "<script>" not in page.html and 'onmouseover="x' not in page.html, case
        assert f"<bdi>{html.escape(stored, quote=False)}</bdi>" in page.html.replace(
            "&quot;", '"').replace("&#39;", "'"), (case, "isolated from the text around it")
        data = text.server.get(page.url + "/data.json").json
        assert data["people"][0]["name"] == stored == data["registration"]["school"], case
        assert data["registration"]["answers"] == f"Name of your robot: {stored}", case

    rows = json.loads(fest.usher("reg", "export", "--format", "json").stdout)
    assert {r["email"]: (r["name"], r["school"]) for r in rows} == {
        email: (stored, stored) for email, (_, stored, _) in expected.items()}
    sheet = fest.usher("reg", "export", "--format", "csv").stdout.removeprefix("\ufeff")
    for row in csv.DictReader(io.StringIO(sheet)):
        case, stored, _ = expected[row["email"]]
        guarded = "'" + stored if stored[0] in "=+-@＝＋－＠\t\r" else stored
        assert row["name"] == guarded == row["school"], (case, "CSV")

    wait_for("all mails", lambda: len(mails(fest)) >= len(expected), 90)
    for mail in mails(fest):
        case, stored, _ = expected[mail.to]
        assert stored in mail.text, (case, "mail as text")
        assert stored in plain(mail.part("text/html").get_content()), (case, "mail as HTML")
        assert "<script>" not in mail.part("text/html").get_content(), case
    assert fest.usher("verify").returncode == 0


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_at_every_door(fest, text, case):
    typed = REFUSED[case]
    refused = by_api(text, typed, "asha@school.example")
    assert refused.status == 422, refused.text
    assert "#/name" in {e["pointer"] for e in refused.json["errors"]}, refused.text
    if "\n" not in typed:  # a browser takes line ends out of such a field
        page = by_form(text, typed, "asha@school.example")
        assert page.status == 422 and "#name" in {h for h, _ in page.links}
        if typed.isprintable() and any(c.isalpha() for c in typed):
            assert page.value("name") == typed, "what was typed stays"
    with fest.database() as db:
        assert db.execute("SELECT count(*) FROM registrations").fetchone()[0] == 0


def test_broken_utf_8_and_lone_surrogates(text):
    head = {"Content-Type": "application/json"}
    body = b'{"event":"text","email":"a@school.example","name":"%s"}'
    for broken in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\\ud800",
                   b"\\u0000"):
        reply = text.server.request("POST", "/register", body % broken, head)
        assert reply.status in (400, 422), (broken, reply.text)
    form = text.open(f"/e/{EVENT}/register").form("Register")
    reply = text.server.request(
        "POST", form.action,
        b"name=%FF&email=a%40school.example&rid=" + form.fields["rid"].encode(),
        {"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.status in (400, 422)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_titles_come_through_the_import_to_page_mail_and_calendar(fest, kind):
    cases = {c: (typed, stored or typed) for c, (typed, stored) in ACCEPTED.items()
             if c not in ("spaces",)}
    rows = [{"slug": f"e-{c}", "title": typed, "venue": typed, "summary": typed,
             "starts": "2031-03-14T10:00:00Z", "opens": "2020-01-01T00:00:00Z"}
            for c, (typed, _) in cases.items()]
    path = fest.folder / f"events.{kind}"
    if kind == "json":
        path.write_text(json.dumps(rows))
    else:
        with open(path, "w", newline="") as file:
            sheet = csv.DictWriter(file, rows[0])
            sheet.writeheader()
            sheet.writerows(rows)
    fest.usher("event", "import", str(path), "--yes")
    b = Browser(fest.serve("--workers", "1", env={
        "USHER_LIMIT_BROWSER": "off", "USHER_LIMIT_EMAIL": "off", "USHER_MAIL_PER_HOUR": "0",
        "USHER_MAIL_PER_DAY": "0"}))
    home = plain(b.open("/").html)
    for case, (_, stored) in cases.items():
        assert stored in home, (case, "list")
        ticket = b.register(f"e-{case}", email=f"{case}@school.example")
        assert stored in plain(ticket.html), (case, "ticket")
        entry = b.server.get(ticket.url + "/event.ics").body
        assert all(len(line) <= 75 for line in entry.split(b"\r\n")), (case, "folded")
        lines = entry.decode().replace("\r\n ", "").split("\r\n")
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        escaped = stored.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
        assert fields["SUMMARY"] == escaped == fields["LOCATION"], (case, "calendar")
    wait_for("all mails", lambda: len(mails(fest)) == len(cases), 90)
    for mail in mails(fest):
        stored = cases[mail.to.split("@")[0]][1]
        assert stored in mail.subject, (mail.to, mail.subject)
        assert mail.subject.startswith("Your place: "), "nobody's title makes another subject"


# ---- addresses, phones, schools ------------------------------------------------------------------

ADDRESSES = {
    "asha@münchen.example": "asha@münchen.example",
    " asha@school.example ": "asha@school.example",
    "mailto:mia@school.example": "mia@school.example",
    "O'Brien+fest@school.example": "O'Brien+fest@school.example",
}
NO_ADDRESSES = ("\"a b\"@x.example", "a(comment)@x.example", "a@[127.0.0.1]",
                "a@x.example, b@y.example", "a@x.example b@y.example", "आशा@school.example",
                "asha", "@x.example", "a@", "a@b@c.example", "a" * 65 + "@x.example",
                "a@" + "b" * 300 + ".example")


def test_addresses(fest, text):
    for i, (typed, stored) in enumerate(ADDRESSES.items()):
        page = text.open(by_form(text, f"F{i}", typed).url + "/data")
        assert stored in plain(page.html), typed
        again = by_api(text, f"A{i}", typed)
        assert again.status == 409 and again.json["code"] == "already_registered", typed
    folded = by_api(text, "X", "ASHA@xn--mnchen-3ya.example")
    assert folded.status == 409, "one domain, however it is written"
    for typed in NO_ADDRESSES:
        refused = by_api(text, "Asha", typed)
        assert refused.status == 422, (typed, refused.text)
        assert "#/email" in {e["pointer"] for e in refused.json["errors"]}, typed
        page = by_form(text, "Asha", typed)
        assert page.status == 422 and page.value("email").strip() == typed.strip(), typed


@pytest.mark.parametrize("phone,status", [
    ("+91 (22) 555-0101", 201), ("0225550101", 201), ("12345", 201), ("1234", 422),
    ("call me", 422), ("+" + "1" * 30, 422), ("123;45678", 422)])
def test_phones(text, phone, status):
    reply = text.server.register(EVENT, 1, phone=phone)
    assert reply.status == status, reply.text


def test_one_school_however_it_is_written(fest):
    fest.add_event("limited", 9, school_limit=1)
    b = Browser(fest.serve("--workers", "1"))
    send = lambda n, school: b.server.register("limited", n, school=school)
    assert send(1, "St. Mary's").status == 201
    for n, same in enumerate(("ST MARYS", "st mary’s", "  St.  Mary's "), 2):
        assert send(n, same).json["code"] == "school_limit", same
    assert send(9, "St Martin's").status == 201

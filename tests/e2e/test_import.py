"""Files of events in the browser, without a script: chosen or pasted, checked, then stored."""

import json

import pytest

import raw
from browser import Browser
from organiser import HOST, add_user, log_in

pytestmark = pytest.mark.on("sqlite")  # the database makes no difference


@pytest.fixture
def office(fest):
    add_user(fest, "owner")
    fest.server = fest.serve("--workers", "1")
    fest.owner = log_in(fest.server, f"owner@{HOST}")
    return fest


def test_import_checks_before_it_stores(office):
    b = office.owner
    rows = ("slug,title,starts,capacity\nchess,Chess,2031-03-14 10:00,16\n"
            "robo-race,Robo Race,soon,2\n")
    form = b.open("/admin/events/import").form("Check")
    wrong = b.submit(form, file=rows, step="check")
    assert wrong.status == 422 and "1 new" in wrong.text and "1 wrong" in wrong.text
    assert "is not a time" in wrong.text and b.open("/admin/events/chess").status == 404
    good = b.submit(wrong.form("Check"), file=rows.rsplit("\n", 2)[0] + "\n", step="check")
    assert "1 new, 0 changed" in good.text and b.open("/admin/events/chess").status == 404
    done = b.submit(good.form("Store 1 events"), step="apply")
    assert "The events are stored" in done.text and "Chess" in done.text


FILE = "slug,title,starts,description\r\n"


@pytest.mark.parametrize("file", [
    ("\ufeff" + FILE + 'go,"Go, ἀγών",2031-03-14 10:00,').encode(),
    json.dumps([{"slug": "go", "title": "Go, ἀγών", "starts": "2031-03-14 10:00"}]).encode(),
    ("\ufeff" + FILE.replace(",", ";") + "go;Go, ἀγών;2031-03-14 10:00;").encode(),
], ids=["csv", "json", "semicolons"])
def test_a_chosen_file_is_imported(office, file):
    b = office.owner
    form = b.open("/admin/events/import").form("Check")
    checked = b.submit(form, upload=("fest.csv", file), step="check")
    assert checked.status == 200 and "1 new" in checked.text, checked.text
    assert b.open("/admin/events/go").status == 404
    b.submit(checked.form("Store 1 events"), step="apply")
    assert "Go, ἀγών" in b.open("/admin/events/go").text
    # A file that is chosen for storing has not been checked, so it is checked first.
    other = b.submit(checked.form("Store 1 events"), step="apply",
                     upload=("b.csv", (FILE + "oware,Oware,2031-03-14 10:00,").encode()))
    assert "1 new" in other.text and b.open("/admin/events/oware").status == 404


@pytest.mark.parametrize("file, words", [
    (b"PK\x03\x04\x14\x00\x06", "CSV UTF-8"),
    ("slug,title".encode("utf-16"), "CSV UTF-8"),
    (b"", "choose a file"),
    (b"x" * 5_000_001, "at most 5000000"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"events":' * 2000 + b"1" + b"}" * 2000, "nested too deep"),
    (b"slug,title,starts" + b",c" * 1_000_000 + b"\nrace,Race,2031-03-14 10:00\n" * 999,
     "at most 1,000 columns"),
    (b"slug,title,starts\nrace" + b",Race" * 900_000, "more than 1,000 cells"),
], ids=["xlsx", "utf-16", "none", "too-long", "deep", "deep-json", "wide", "wide-row"])
def test_a_file_that_is_none(office, file, words):
    b = office.owner
    page = b.submit(b.open("/admin/events/import").form("Check"), upload=("a", file), step="check")
    assert page.status == 422 and words in page.text, page.text


def test_the_largest_file(office):
    b = office.owner
    rows = "".join(f"big-{i},Big {i},2031-03-14 10:00,{'&' * 5000}\n" for i in range(950))
    form = b.open("/admin/events/import").form("Check")
    checked = b.submit(form, upload=("big.csv", (FILE + rows).encode()), step="check")
    assert "950 new" in checked.text
    done = b.submit(checked.form("Store 950 events"), step="apply")
    assert "The events are stored" in done.text
    many = "".join(f"few-{i},Few,2031-03-14 10:00,\n" for i in range(1001))
    page = b.submit(form, upload=("many.csv", (FILE + many).encode()), step="check")
    assert page.status == 422 and "here begins the 1,001st event" in page.text
    assert b.send(form, upload=("big.csv", b"x" * (6 << 20)), step="check").status == 413


def test_a_stranger_sends_no_file(office):
    """Who may not import is answered before the file is received."""
    viewer = log_in(office.server, add_user(office, "viewer"))
    for who, status in ((Browser(office.server), 401), (viewer, 403)):
        with raw.Talk(office.server.port) as c:
            cookies = "; ".join(f"{k}={v}" for k, v in who.cookies.items())
            c.send(f"POST /admin/events/import HTTP/1.1\r\nHost: x\r\nCookie: {cookies}\r\n"
                   "Content-Type: multipart/form-data; boundary=b\r\n"
                   "Content-Length: 6000000\r\nExpect: 100-continue\r\n\r\n".encode())
            assert c.read_final().status == status

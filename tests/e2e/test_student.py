"""A student without JavaScript: from the list of events to the mail, and everything that the same
person may do twice."""

import concurrent.futures
import datetime
import re
import time

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

import codes
from browser import Browser
from chromium import Chromium
from conftest import wait_for
from outbox import mails

RACE = "robo-race"


@pytest.fixture(params=[1])
def race(fest, request):
    """A server with one event of five places and a waitlist of three; the browser on it.

    One worker: another one's view of the events may be a second older, and pages would disagree.
    """
    fest.add_event(RACE, 5, 3, summary="Fast robots")
    return Browser(fest.serve("--workers", str(request.param)))


two_workers = pytest.mark.parametrize("race", [2], indirect=True)


def rows(fest, where="true"):
    with fest.database() as db:
        return db.execute(f"SELECT count(*) FROM registrations WHERE {where}").fetchone()[0]


def fill(browser, count, event=RACE, first=1):
    """Registers `count` students; their ticket pages."""
    pages = [browser.register(event, name=f"Student {i}", email=f"s{i}@school.example")
             for i in range(first, first + count)]
    assert all(p.url.startswith("/r/") for p in pages)
    return pages


def in_parallel(calls):
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [f.result() for f in [pool.submit(c) for c in calls]]


def iso(ahead_s):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead_s)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- the way through ----------------------------------------------------------------------------


def test_from_the_list_to_the_mail(fest, race):
    home = race.open("/?fbclid=from-a-chat")
    assert home.status == 200 and "Open" in home.text
    event = race.open(home.link("Robo Race"))
    assert "Fast robots" in event.text and "Hall 1" in event.text and "1970" not in event.text
    assert event.metas["og:title"] == "Robo Race"

    form = race.open(event.link("Register")).form("Register")
    assert form.method == "POST" and {"name", "email"} <= form.required
    reply = race.send(form, name="Asha Rao", email="asha@school.example", school="Green Valley")
    assert reply.status == 303 and not reply.body
    assert "no-store" in reply.headers["cache-control"]

    ticket = race.open(reply.headers["location"])
    assert ticket.status == 200 and "Confirmed" in ticket.text and "You have a place" in ticket.text
    assert "Asha Rao" in ticket.text and "Green Valley" in ticket.text
    code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", ticket.text).group()
    for field, value in {"cache-control": "no-store", "referrer-policy": "no-referrer",
                         "x-robots-tag": "noindex"}.items():
        assert value in ticket.headers[field]
    assert "http-equiv" not in ticket.html, "a confirmed ticket has nothing to wait for"

    png = race.server.get(ticket.link("Save the picture"))
    svg = race.server.get(ticket.url + "/ticket.svg")
    modules = codes.png_modules(png.body)
    assert png.headers["content-type"] == "image/png"
    assert codes.svg_modules(svg.text) == modules == codes.svg_modules(ticket.html)
    camera = codes.read(modules)
    seen = race.open("/T/" + camera.split("/T/")[1])
    assert seen.status == 200 and "A ticket for Robo Race" in seen.text and "Asha" not in seen.html

    mail = wait_for("the mail", lambda: mails(fest, to="asha@school.example"))[0]
    assert mail.structure() == (
        "multipart/mixed",
        ("multipart/alternative", "text/plain", ("multipart/related", "text/html", "image/png")),
        "text/calendar")
    picture = mail.part("image/png")
    assert picture["Content-ID"] == "<qr>"
    assert 'src="cid:qr"' in mail.part("text/html").get_content()
    assert codes.read(codes.png_modules(picture.get_content())) == camera
    assert code in mail.text and "Asha Rao" in mail.text
    assert mail.subject.startswith("Your place: Robo")
    assert re.fullmatch(r"<ticket\.[0-9A-Z]+@\S+>", mail.id)
    assert mail.message["Auto-Submitted"] == "auto-generated" and mail.message["Date"]
    assert race.open(mail.link).html == race.open(ticket.url).html
    check_calendar(mail.part("text/calendar"))
    on_page = race.server.get(ticket.link("Add to calendar"))
    assert on_page.headers["content-type"].startswith("text/calendar")
    of_event = race.server.get(race.open(f"/e/{RACE}").link("Add to calendar"))
    unfolded = of_event.text.replace("\r\n ", "")
    assert f"/e/{RACE}" in unfolded and "SUMMARY:Robo Race" in unfolded and "/r/" not in unfolded
    assert race.open("/e/nothing/event.ics").status == 404

    outbox = race.open("/outbox")
    shown = race.server.get(outbox.link("Your place: Robo Race"))
    assert shown.body == next((fest.folder / "outbox").glob("*.eml")).read_bytes()
    wait_for("the page says that it was sent", lambda: "Mail sent" in race.open(ticket.url).text)


def check_calendar(part):
    assert part.get_params()[1:].count(("method", "PUBLISH")) == 1
    raw = part.get_payload(decode=True)
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))
    lines = raw.decode().replace("\r\n ", "").split("\r\n")
    fields = dict(line.split(":", 1) for line in lines if line)
    assert fields["METHOD"] == "PUBLISH" and fields["STATUS"] == "CONFIRMED"
    assert fields["DTSTART"] == "20310314T100000Z" and fields["DTEND"] == "20310314T120000Z"
    assert fields["SUMMARY"] == "Robo Race" and fields["UID"]


def test_buttons_of_the_ticket_page(fest, race):
    ticket = fill(race, 1)[0]
    again = race.submit(ticket.form("Send the mail again"))
    assert "on its way again" in again.text and again.url.startswith(ticket.url)
    too_soon = race.submit(ticket.form("Send the mail again"))
    assert "wait an hour" in too_soon.text
    wait_for("two mails", lambda: len(mails(fest)) == 2)
    assert {m.kind for m in mails(fest)} == {"ticket", "resend"}
    assert len({m.link for m in mails(fest)}) == 1

    asks = race.open(ticket.link("Cancel the place"))
    assert "Give the place back?" in asks.text and rows(fest, "status = 1") == 1
    gone = race.submit(asks.form("Yes, cancel"))
    assert "Cancelled" in gone.text and rows(fest, "status = 3") == 1 and "qr" not in gone.html
    again = race.submit(asks.form("Yes, cancel"))
    assert again.status == 200, "cancelling twice is the same as once"
    assert race.server.get(ticket.url + "/ticket.png").status == 409
    wait_for("a mail says so", lambda: mails(fest, kind="cancelled"))


def test_private_links_of_nobody(race):
    ticket = fill(race, 1)[0]
    for url in (ticket.url[:-1], ticket.url[:-1] + "?", ticket.url.replace("0", "1", 1), "/r/x",
                "/t/" + "0" * 124, "/T/x"):
        assert race.open(url).status == 404, url


def test_categories_and_search(fest, race):
    fest.add_event("quiz", 5, category="Minds & Words", summary="Forty questions")
    fest.add_event("art", 5, category="Arts", kind="team", team_min=2, team_max=2, grade_min=5)
    home = wait_for("both", lambda: (p := race.open("/")) and "Arts" in p.text and p)
    assert home.text.count("For ") == 1 and "For teams of 2, grades from 5" in home.text
    titles = lambda page: {t for h, t in page.links if h.startswith("/e/")}
    assert len(titles(home)) == 3
    assert titles(race.open(home.link("Minds & Words"))) == {"Quiz"}
    assert titles(race.submit(home.form("Search"), q="FORTY")) == {"Quiz"}
    nothing = race.submit(home.form("Search"), q="<chess>")
    assert "No event fits" in nothing.text
    assert titles(race.open(nothing.link("Show all"))) == titles(home)
    assert nothing.value("q") == "<chess>", "what was searched stays, and stays text"


def test_pages_are_small_and_load_nothing_from_elsewhere(race):
    ticket = fill(race, 1)[0]
    for url in ("/", f"/e/{RACE}", f"/e/{RACE}/register", ticket.url, ticket.url + "/data", "/find",
                "/privacy", "/nothing"):
        page = race.open(url)
        assert len(page.html.encode()) <= 30_000, url
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', page.html):
            assert address.startswith(("/", "#")), (url, address)
        assert "<style" not in page.html and " style=" not in page.html, url


# ---- the same person, more than once -------------------------------------------------------------


@two_workers
def test_double_click(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    click = lambda: race.send(form, name="Asha Rao", email="asha@school.example")
    replies = in_parallel([click] * 8)
    assert {r.status for r in replies} == {303}
    assert len({r.headers["location"] for r in replies}) == 1 and rows(fest) == 1


def test_reload_of_the_result(fest, race):
    ticket = fill(race, 1)[0]
    assert "Confirmed" in race.open(ticket.url).text and "Confirmed" in race.open(ticket.url).text
    assert rows(fest) == 1


def test_back_button_and_a_corrected_name(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    first = race.submit(form, name="Asha Roa", email="asha@school.example", school="GVS")
    asks = race.submit(form, name="Asha Rao", email="asha@school.example", school="GVS")
    assert asks.status == 200 and "You already have this place" in asks.text
    assert asks.value("name") == "Asha Rao" and asks.value("rid") == form.fields["rid"]
    assert race.open(asks.link("show my ticket")).url == first.url
    changed = race.submit(asks.form("Change the details"))
    assert "Asha Rao" in changed.text and "Confirmed" in changed.text and changed.url == first.url
    assert rows(fest) == 1
    # What was on the page is shown as it is now, and the change itself may be repeated.
    assert race.submit(asks.form("Change the details")).url == first.url


def test_corrected_address_makes_a_new_link(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    first = race.submit(form, name="Asha Rao", email="wrong@school.example")
    asks = race.submit(form, name="Asha Rao", email="right@school.example")
    changed = race.submit(asks.form("Change the details"))
    assert changed.status == 200 and changed.url != first.url and race.open(first.url).status == 404
    mail = wait_for("the mail to the new address",
                    lambda: mails(fest, to="right@school.example"))[0]
    assert race.open(mail.link).url == changed.url and rows(fest) == 1


def test_back_button_after_a_fault(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    wrong = race.submit(form, name="Asha Rao", email="asha at school", school="GVS")
    assert wrong.status == 422 and wrong.title.startswith("Error:")
    assert wrong.ids["email"]["aria-invalid"] == "true" and "#email" in [h for h, _ in wrong.links]
    assert wrong.ids["email"]["aria-describedby"].split()[0] in wrong.ids
    assert (wrong.value("name"), wrong.value("email")) == ("Asha Rao", "asha at school")
    assert race.submit(wrong.form("Register"), email="asha@school.example").url.startswith("/r/")
    assert rows(fest) == 1


def test_every_fault_is_shown_at_once(race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    wrong = race.submit(form, name="", email="x", school="s" * 161)
    assert wrong.status == 422
    assert {"#name", "#email", "#school"} <= {href for href, _ in wrong.links}
    assert wrong.value("school") == "s" * 161


def test_two_tabs(fest, race):
    race.register(RACE)
    second = race.register(RACE)
    assert second.status == 409 and "already" in second.text and "mailed to it again" in second.text
    assert second.value("name") == "Asha Rao", "what was typed stays"
    wait_for("the link is mailed again", lambda: mails(fest, kind="resend"))
    third = race.register(RACE)
    assert third.status == 409 and "in its inbox" in third.text and rows(fest) == 1
    assert len(mails(fest, kind="resend")) == 1, "at most hourly"


@two_workers
def test_two_devices_at_once(fest, race):
    forms = [race.open(f"/e/{RACE}/register").form("Register") for _ in range(5)]
    replies = in_parallel([lambda f=f: race.send(f, name="Asha", email="asha@school.example")
                           for f in forms])
    assert sorted(r.status for r in replies) == [303] + [409] * 4 and rows(fest) == 1


def test_pressing_again_in_the_same_tab(fest, race):
    """The connection was lost after sending; meanwhile others took the rest and it has closed."""
    form = race.open(f"/e/{RACE}/register").form("Register")
    typed = {"name": "Asha Rao", "email": "asha@school.example"}
    first = race.send(form, **typed)
    fill(race, 7)
    fest.usher("event", "close", RACE)
    again = race.send(form, **typed)
    assert again.status == 303 and again.headers["location"] == first.headers["location"]


def test_siblings_with_one_address(fest, race):
    fest.add_event("art", 9, dedupe="email_name")
    assert race.register("art", name="Asha Rao").status == 200
    assert race.register("art", name="Ravi Rao").status == 200
    assert race.register("art", name="ASHA  RAO").status == 409
    race.register(RACE, name="Asha Rao")
    refused = race.register(RACE, name="Ravi Rao")
    assert refused.status == 409
    assert "please ask the organisers" in refused.text, "it says whom to ask"


def test_one_person_by_address(fest, race):
    assert race.register(RACE, email="asha+1@school.example").status == 200
    for same in ("asha+2@school.example", "asha@school.example", "ASHA@School.Example"):
        assert race.register(RACE, email=same).status == 409, same
    assert race.register(RACE, email="a.sha@school.example").status == 200, "dots are not folded"
    typed = wait_for("mails", lambda: mails(fest, to="asha+1@school.example"))
    assert typed, "mail goes to the address as it was typed"


def test_plus_addresses_are_people_where_the_setting_says_so(fest):
    fest.add_event(RACE, 5)
    b = Browser(fest.serve(env={"USHER_PLUS_FOLD": "no"}))
    assert b.register(RACE, email="a+1@x.example").status == 200
    assert b.register(RACE, email="a+2@x.example").status == 200


def test_teams(fest, race):
    fest.add_event("quiz", 5, kind="team", team_min=2, team_max=3)
    form = race.open("/e/quiz/register").form("Register")
    assert {"team", "members.0.name"} <= form.required and "members.1.name" not in form.required
    typed = {"name": "Asha", "email": "a@school.example", "members__0__name": "Ravi",
             "members__0__email": "r@school.example"}
    assert race.submit(form, **typed).status == 422, "a team needs a name"
    small = race.submit(form, name="Asha", email="a@school.example", team="Sparks")
    assert small.status == 422 and "at least 2" in small.text
    team = race.submit(form, team="Sparks", **typed)
    assert "Sparks" in team.text and "Asha, Ravi" in team.text.replace(" ,", ",")

    other = race.open("/e/quiz/register").form("Register")
    twice = race.submit(other, team="Bolts", name="Dev", email="d@school.example",
                        members__0__name="Ravi", members__0__email="r@school.example")
    assert twice.status == 409 and "Member 1" in twice.text and "Sparks" not in twice.text
    named = race.submit(other, team="SPARKS", name="Dev", email="d@school.example",
                        members__0__name="Mia", members__0__email="m@school.example")
    assert named.status == 409 and "name" in named.text


def test_cancelled_and_registered_again(fest, race):
    pages = fill(race, 7)
    asks = race.open(pages[0].link("Cancel the place"))
    race.submit(asks.form("Yes, cancel"))
    again = race.register(RACE, name="Student 1", email="s1@school.example")
    assert "number 2 in line" in again.text, "at the end, like everybody"
    assert rows(fest) == 8


def test_an_address_that_belongs_to_somebody_else(fest):
    for i in range(6):
        fest.add_event(f"event-{i}", 5)
    b = Browser(fest.serve())
    for i in range(6):
        assert b.register(f"event-{i}", email="stranger@school.example").status == 200
    b.register("event-0", email="other@school.example")
    wait_for("a mail behind the held ones", lambda: mails(fest, to="other@school.example"))
    got = wait_for("three before it", lambda: len(
        sent := mails(fest, to="stranger@school.example")) >= 3 and sent)
    assert len(got) == 3, "at most three mails an hour"
    assert "If it was not you, please give the place back" in got[0].text
    assert "Give the place back?" in b.open(b.open(got[0].link).link("Cancel the place")).text


def test_ten_events(fest):
    for i in range(10):
        fest.add_event(f"event-{i}", 5)
    b = Browser(fest.serve())
    assert [b.register(f"event-{i}").status for i in range(10)] == [200] * 10


# ---- before, after and in between ----------------------------------------------------------------


def test_before_opening(fest):
    fest.add_event(RACE, 5, opens=iso(3600))
    b = Browser(fest.serve("--workers", "1"))
    event = b.open(f"/e/{RACE}")
    assert "Opens" in event.text
    assert re.search(r"opens in (59 minutes \d+ seconds|1 hour)",
                     event.text), "by the server's clock"
    assert 1 <= int(event.metas["refresh"]) <= 60, "without a script it looks again"
    form = b.open(event.link("Fill in the form already")).form("Register")
    early = b.submit(form, name="Asha Rao", email="asha@school.example")
    assert early.status == 409 and "opens" in early.text and "It is" in early.text
    assert early.value("name") == "Asha Rao" and rows(fest) == 0

    fest.add_event(RACE, 5, opens=iso(-1))
    wait_for("open", lambda: "Register" in [t for _, t in b.open(f"/e/{RACE}").links])
    assert "Confirmed" in b.submit(early.form("Register")).text, "the page from before still works"


def test_full_waitlist_and_capacity(fest, race):
    pages = fill(race, 8)
    assert [p.text.count("Confirmed") for p in pages] == [1] * 5 + [0] * 3
    for number, page in enumerate(pages[5:], 1):
        assert f"You are number {number} in line" in page.text and page.metas["refresh"] == "60"
    full = race.register(RACE)
    assert full.status == 409 and "is full" in full.text and full.value("name") == "Asha Rao"
    wait_for("the list says so", lambda: "Full" in race.open("/").text)

    refused = fest.usher("event", "capacity", RACE, "4", check=False)
    assert refused.returncode == 1 and "5 places are taken" in refused.stderr
    raised = fest.usher("event", "capacity", RACE, "7")
    assert "2 moved up" in raised.stdout
    assert ["Confirmed" in race.open(p.url).text for p in pages] == [True] * 7 + [False]
    assert "number 1 in line" in race.open(pages[7].url).text
    wait_for("mails of promotion", lambda: len(mails(fest, kind="promoted")) == 2)
    assert {m.to for m in mails(fest, kind="promoted")} == {"s6@school.example",
                                                            "s7@school.example"}

    race.submit(race.open(pages[0].link("Cancel the place")).form("Yes, cancel"))
    assert "Confirmed" in race.open(pages[7].url).text, "the longest waiting moves up at once"
    assert fest.usher("verify").returncode == 0


def test_closed_in_between(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    ticket = fill(race, 1)[0]
    fest.usher("event", "close", RACE)
    late = race.submit(form, name="Asha Rao", email="asha@school.example")
    assert late.status == 409 and "closed" in late.text and late.value("name") == "Asha Rao"
    assert "Confirmed" in race.open(ticket.url).text
    wait_for("seen", lambda: "Closed" in race.open("/").text)
    fest.usher("event", "open", RACE)
    wait_for("open", lambda: "Open" in race.open("/").text)
    assert "Confirmed" in race.submit(late.form("Register")).text


def test_cancelled_event(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    fill(race, 2)
    fest.usher("event", "cancel", RACE, "--yes")
    late = race.submit(form, name="Asha Rao", email="asha@school.example")
    assert late.status == 410 and "cancelled" in late.text
    wait_for("seen", lambda: race.open(f"/e/{RACE}").status == 410)
    assert race.open(f"/e/{RACE}/register").status == 410
    wait_for("everybody is told", lambda: len(mails(fest, kind="event_cancelled")) == 2)


def test_one_browser_that_never_stops(fest):
    fest.add_event("big", 50)
    server = fest.serve("--workers", "2")
    pages = [Browser(server), Browser(server)]
    began, placed = time.monotonic(), 0
    while (page := pages[0].register("big", email=f"a{placed}@school.example")).status == 200:
        placed += 1
    took = time.monotonic() - began
    assert page.status == 429 and 20 <= placed <= 20 + took / 3, "one more each three seconds"
    refused = page
    assert refused.value("email") == f"a{placed}@school.example", "what was typed stays"
    assert "again in" in refused.text and 1 <= int(refused.headers["retry-after"]) <= 60
    assert pages[1].register("big", email="b@school.example").status == 200, "another phone"


# ---- what forms are not for ----------------------------------------------------------------------


def test_form_from_another_site(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    pairs = race.fill(form, name="Asha", email="asha@school.example")
    for headers, status in (({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
                            ({"Origin": "http://127.0.0.1:1"}, 403),
                            ({"Origin": None, "Sec-Fetch-Site": "cross-site"}, 403)):
        assert race.server.form(form.action, pairs, headers).status == status, headers
    assert rows(fest) == 0
    old = race.server.form(form.action, pairs, {"Origin": None})
    assert old.status == 303, "an old browser sends no Origin"


def test_scripts_that_fill_every_field(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    reply = race.send(form, name="Bot", email="bot@spam.example", website="http://spam.example")
    assert reply.status == 303 and rows(fest) == 0


def test_the_same_field_twice(fest, race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    pairs = race.fill(form, name="Asha", email="asha@school.example") + [("name", "Ravi")]
    assert race.server.form(form.action, pairs).status == 422 and rows(fest) == 0


def test_a_mistyped_address_is_asked_about_once(race):
    form = race.open(f"/e/{RACE}/register").form("Register")
    asks = race.submit(form, name="Asha", email="asha@gmial.com")
    assert "Did you mean" in asks.text and "gmail.com" in asks.text
    assert race.submit(asks.form("Register")).url.startswith("/r/")


def test_unknown_pages(race):
    for url in ("/nothing", "/e/nothing", "/e/nothing/register", "/outbox/nothing.eml",
                "/outbox/usher.key"):
        page = race.open(url)
        assert page.status == 404 and page.links, url


# ---- the same in a real browser ------------------------------------------------------------------


@pytest.fixture
def chromium(tmp_path):
    with Chromium(tmp_path / "chromium", scripts=False) as b:
        yield b.driver


def test_in_chromium_with_scripts_disabled(fest, race, chromium):
    site = f"http://127.0.0.1:{race.server.port}"
    chromium.get("data:text/html,<title>off</title><script>document.title='on'</script>")
    assert chromium.title == "off"
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                             {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True})

    def shows(words):
        """Waits until the page has come that says so, and looks that it fits a phone."""
        def seen():
            try:
                return words in chromium.find_element(By.TAG_NAME, "body").text
            except WebDriverException:
                return False  # one page goes, the next comes
        wait_for(words, seen)
        layout = chromium.execute_cdp_cmd("Page.getLayoutMetrics", {})
        assert layout["cssContentSize"]["width"] <= 320, f"{words}: it scrolls sideways"

    def press(words):
        chromium.find_element(By.XPATH, f"//button[contains(., '{words}')]").click()

    def typed(**fields):
        for name, value in fields.items():
            box = chromium.find_element(By.NAME, name)
            box.clear()
            box.send_keys(value)

    chromium.get(site + "/")
    shows("Robo Race")
    chromium.find_element(By.LINK_TEXT, "Robo Race").click()
    shows("Fast robots")
    chromium.find_element(By.LINK_TEXT, "Register").click()
    typed(name="Asha Rao", email="asha@gmial.com", school="GVS")
    press("Register")
    shows("Did you mean gmail.com?")
    typed(email="asha@gmail.com")
    press("Register")
    shows("Confirmed")
    assert "/r/" in chromium.current_url
    box = chromium.find_element(By.CSS_SELECTOR, ".qr svg").size
    assert box["width"] >= 200 and box["width"] == box["height"]
    ticket = chromium.current_url
    chromium.refresh()
    assert chromium.current_url == ticket and rows(fest) == 1

    chromium.back()
    chromium.back()
    typed(name="Asha Devi Rao", email="asha@gmail.com")
    press("Register")
    shows("You already have this place")
    press("Change the details")
    shows("Asha Devi Rao")
    assert rows(fest) == 1

    wait_for("the mail", lambda: mails(fest))
    chromium.get(site + "/outbox")
    chromium.find_element(By.PARTIAL_LINK_TEXT, "Your place: Robo Race").click()
    wait_for("the mail is shown", lambda: "Message-ID:" in chromium.page_source)
    chromium.get(mails(fest)[0].link)
    chromium.find_element(By.LINK_TEXT, "Cancel the place").click()
    press("Yes, cancel")
    shows("Cancelled")
    assert rows(fest, "status = 3") == 1

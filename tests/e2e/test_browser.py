"""Pages in a real Chromium: that everybody can use them, and what a browser sees of a rush."""

import concurrent.futures
import datetime
import json
import re
import subprocess
import threading

import pytest
from selenium.webdriver.common.keys import Keys

from browser import Browser
from chromium import DESKTOP, PHONE, Chromium
from conftest import BUILD, at_most, wait_for
from organiser import PASSWORD, add_user, log_in

RACE = "robo-race"
pytestmark = pytest.mark.on("sqlite")  # what a page looks like does not depend on the database


@pytest.fixture
def chromium(tmp_path):
    with Chromium(tmp_path / "chromium") as b:
        yield b


def site(server):
    return f"http://127.0.0.1:{server.port}"


def test_pages_of_students_are_accessible(fest, chromium):
    fest.add_event(RACE, 1, 1, summary="Fast robots", category="Robots", grade_min=5, grade_max=12)
    fest.add_event("quiz", 9, kind="team", team_min=2, team_max=4, category="Minds")
    fest.add_event("soon", 9, opens="2030-01-01T00:00:00Z")
    server = fest.serve("--workers", "1")
    plain = Browser(server)
    ticket = plain.register(RACE, grade="9").url
    waits = plain.register(RACE, grade="9", name="Ravi", email="ravi@school.example").url
    pages = ["/", f"/e/{RACE}", "/e/soon", "/e/soon/register", "/e/quiz/register", ticket, waits,
             ticket + "/edit", ticket + "/cancel", ticket + "/data", ticket + "/delete", "/find",
             "/privacy", "/nothing", "/admin/login", "/docs"]
    faults = []
    for size in (PHONE, DESKTOP):
        for dark in (False, True):
            chromium.screen(size, dark)
            for page in pages:
                chromium.open(site(server) + page)
                faults += [f"{page} {size[0]} {'dark' if dark else 'light'}: {f}"
                           for f in chromium.audit()]
    chromium.open(site(server) + f"/e/{RACE}/register").type(name="Asha", email="x@y", grade="3")
    chromium.driver.execute_script("document.querySelector('main form').noValidate = true")
    chromium.press("Register").shows("Please look at this again")
    faults += [f"with faults: {f}" for f in chromium.audit()]
    assert not faults, "\n".join(sorted(set(faults)))


def test_pages_of_organisers_are_accessible(fest, chromium):
    fest.add_event(RACE, 1, 1, summary="Fast robots", category="Robots")
    email = add_user(fest, "owner")
    server = fest.serve("--workers", "1")
    plain = Browser(server)
    plain.register(RACE)
    plain.register(RACE, name="Ravi", email="ravi@school.example")
    owner = log_in(server, email)
    person = owner.open(f"/admin/events/{RACE}/people").link("Ravi")
    code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}", owner.open(person).text)[0]
    chromium.open(site(server) + "/admin/login").type(email=email, password=PASSWORD)
    chromium.press("Log in").shows("Dashboard")
    event = f"/admin/events/{RACE}"
    pages = ["/admin", "/admin/events", "/admin/events/new", "/admin/events/import", event,
             event + "/edit", event + "/cancel", event + "/announce", event + "/people",
             event + "/export", "/admin/people", person, person + "/edit",
             person + "?ask=erase", event + "/entry", "/admin/scan", f"/admin/scan/{code}",
             "/admin/mail", "/admin/devices",
             "/admin/users", "/admin/audit", "/admin/privacy"]
    faults = []
    for size, dark in ((PHONE, False), (DESKTOP, True)):
        chromium.screen(size, dark)
        for page in pages:
            chromium.open(site(server) + page)
            assert "nothing here" not in chromium.text, page
            faults += [f"{page} {size[0]} {'dark' if dark else 'light'}: {f}"
                       for f in chromium.audit()]
    assert not faults, "\n".join(sorted(set(faults)))


def test_the_audit_sees_faults(chromium):
    chromium.screen(PHONE)
    chromium.open("data:text/html,<body style='background:white'><input name=a>"
                  "<p style='color:%23999'>pale</p>"
                  "<a href='/' style='display:block;height:9px'>x</a>"
                  "<div style='width:900px'>wide</div><h3>deep</h3>"
                  "<h2 style='width:2em;overflow-wrap:anywhere'>Registration</h2>")
    found = " | ".join(chromium.audit())
    for words in ("no name", "contrast 2.8", "target", "wide on", "leaves out", "no language",
                  "not one h1", "no title", "word Registration is broken"):
        assert words in found, (words, found)


def test_with_the_keyboard_alone(fest, chromium):
    fest.add_event(RACE, 5)
    server = fest.serve("--workers", "1")
    chromium.open(site(server) + f"/e/{RACE}/register")
    first = chromium.tab_to(lambda e: True)
    assert "Skip to the content" in first.get_attribute("textContent")
    chromium.tab_to(lambda e: e.get_attribute("name") == "name").send_keys("Asha Rao")
    chromium.tab_to(lambda e: e.get_attribute("name") == "email").send_keys("asha at school")
    chromium.driver.execute_script("document.querySelector('main form').noValidate = true")
    chromium.focused.send_keys(Keys.ENTER)
    chromium.shows("Please look at this again")
    assert chromium.driver.title.startswith("Error:")
    assert chromium.focused.get_attribute("id") == "faults", "focus is on the summary of faults"
    chromium.tab_to(lambda e: e.get_attribute("href").endswith("#email")).send_keys(Keys.ENTER)
    box = chromium.focused
    assert box.get_attribute("name") == "email", "the link leads into the field"
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("asha@school.example")
    chromium.tab_to(lambda e: e.tag_name == "button").send_keys(Keys.ENTER)
    chromium.shows("You have a place")


def test_the_countdown_goes_by_the_servers_clock(fest, chromium):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
        seconds=min(at_most(6), 30))
    fest.add_event(RACE, 5, opens=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    server = fest.serve("--workers", "1")
    chromium.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {
        "source": "Date.now = () => 0;"})  # a phone whose clock is wrong
    chromium.open(site(server) + f"/e/{RACE}/register").type(name="Asha", email="a@school.example")
    chromium.shows("second").shows("press the button again")
    assert chromium.value("name") == "Asha", "the page did not load itself again"
    chromium.press("Register").shows("You have a place")


# ---- a rush --------------------------------------------------------------------------------------


def test_a_rush_as_browsers_see_it(fest, chromium):
    """Four browsers have the form filled in; at the opening second 10,000 clients come with
    them."""
    opens = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=10)
    fest.add_event(RACE, 600, 200, opens=opens.strftime("%Y-%m-%dT%H:%M:%SZ"))
    server = fest.serve("--workers", "2", env={"USHER_MAX_CONNECTIONS": "24000"})
    windows = []
    for i in range(4):
        if i:
            chromium.driver.switch_to.new_window("window")
        chromium.open(site(server) + f"/e/{RACE}/register")
        chromium.type(name=f"Browser {i}", email=f"browser{i}@school.example")
        windows.append(chromium.driver.current_window_handle)
    api = f"/api/v1/events/{RACE}/availability"
    wait_for("it opens", lambda: server.get(api).json["state"] == "open")
    rush = subprocess.Popen(
        [str(BUILD / "bench/rush"), "--port", str(server.port), "--event", RACE, "--connections",
         "10000", "--total", "10000"], stdout=subprocess.PIPE, text=True)
    shown = {}
    for i, window in enumerate(windows):
        chromium.driver.switch_to.window(window)
        chromium.press("Register")
    for i, window in enumerate(windows):
        chromium.driver.switch_to.window(window)
        wait_for("an answer", lambda: any(
            w in chromium.text for w in ("You have a place", "in line", "is full", "Too many")))
        while "Too many people at this moment" in chromium.text:
            assert chromium.value("email") == f"browser{i}@school.example", "what was typed stays"
            chromium.press("Try again")
            wait_for("an answer", lambda: chromium.text)
        shown[f"browser{i}@school.example"] = chromium.text
    got = json.loads(rush.communicate(timeout=at_most(120))[0])
    assert got["answered"] == 10000 and got["broken"] == 0, got

    with fest.database() as db:
        stored = dict(db.execute(
            "SELECT p.email, r.status FROM registrations r JOIN participants p"
            " ON p.registration_id = r.id WHERE p.email LIKE 'browser%'").fetchall())
        taken = db.execute("SELECT count(*) FROM registrations WHERE status = 1").fetchone()[0]
    assert taken == 600 and fest.usher("verify").returncode == 0
    for email, text in shown.items():
        words = {1: "You have a place", 2: "in line", None: "is full"}[stored.get(email)]
        assert words in text, (email, stored.get(email), text)


def test_overload_shows_the_form_again(fest, chromium):
    fest.add_event(RACE, 5)
    # Nobody is told that their time is over, however long the browser takes: they would be stored.
    server = fest.serve("--workers", "1", env={
        "USHER_QUEUE_MAX": "1", "USHER_LIMIT_EMAIL": "off", "USHER_REQUEST_TIMEOUT_MS": "600000"})
    chromium.open(site(server) + f"/e/{RACE}/register")
    chromium.type(name="Asha Rao", email="asha@school.example", school="GVS")
    heard, is_over = [], threading.Event()

    def ask_on(number):
        while not is_over.is_set():
            heard.append(server.register(RACE, number).status)
            is_over.wait(0.02)

    with concurrent.futures.ThreadPoolExecutor(8) as others:
        with fest.held_changes(server):
            asking = [others.submit(ask_on, i) for i in range(8)]
            try:
                wait_for("the queue is full", lambda: 503 in heard)
                chromium.press("Register").shows("Too many people at this moment")
                assert (chromium.value("name"), chromium.value("school")) == ("Asha Rao", "GVS")
            finally:
                is_over.set()
        for f in asking:
            f.result()
    stored = heard.count(201)
    assert stored < 5
    chromium.press("Try again").shows("You have a place")
    with fest.database() as db:
        (count,) = db.execute("SELECT count(*) FROM registrations").fetchone()
    assert count == stored + 1

"""The lab's scenes show what they say, in a real run: each claim is asserted from what was measured.

Runs are scaled, so that two seconds take a fiftieth; upper limits leave room for a busy machine,
lower limits do not need any.
"""

import json
import re
import signal
import subprocess

import pytest

from chromium import DESKTOP, PHONE, Chromium
from conftest import ENVIRON, ROOT, USHER, Server, wait_for

STUDENTS, SCALE, MAIL_S = 50, 50, 2.0


def lab(*args, ok=True):
    done = subprocess.run([str(USHER), "lab", *map(str, args)], cwd=ROOT, env=ENVIRON, text=True,
                          capture_output=True, timeout=120)
    assert (done.returncode == 0) == ok, done.stderr
    return done


def run(scene, *args):
    return json.loads(lab("run", scene, "--json", "--students", STUDENTS, "--scale", SCALE, *args).stdout)


def at_once(shown, what="waits"):
    """The most pieces of the timeline that lie over each other."""
    edges = [(p["from_s"], 1) for p in shown["timeline"] if p["what"] == what]
    edges += [(p["to_s"], -1) for p in shown["timeline"] if p["what"] == what]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def test_lab_lists_its_scenes_and_says_what_it_does_not_know():
    listed = lab().stdout
    for scene in json.loads(lab("--json").stdout):
        assert re.search(rf"^  {re.escape(scene['scene'])} +\S", listed, flags=re.M)
    assert "no scene" in lab("run", "nosuch", ok=False).stderr
    assert "--scale is 1 to" in lab("run", "tasks", "--scale", 0, ok=False).stderr


# scene, options, calls at once, threads, processes, rounds of two seconds
MODELS = [("blocking", (), 1, 1, 1, STUDENTS),
          ("workers", ("--lab-workers", 4), 4, 5, 5, STUDENTS / 4),
          ("thread-per-request", (), STUDENTS, STUDENTS + 1, 1, 1),
          ("thread-pool", ("--threads", 10), 10, 11, 1, STUDENTS / 10),
          ("event-loop", (), STUDENTS, 1, 1, 1),
          ("tasks", (), STUDENTS, 1, 1, 1),
          ("4x250", ("--lab-workers", 2), STUDENTS, 3, 3, 1)]


@pytest.mark.parametrize("scene,options,calls,threads,processes,rounds", MODELS)
def test_a_model_takes_as_many_rounds_as_it_must(scene, options, calls, threads, processes, rounds):
    shown = run(scene, *options)
    [row] = shown["rows"]
    assert shown["notes"] == ""
    assert (row["threads"], row["processes"]) == (threads, processes)
    assert rounds * MAIL_S <= row["total, s"] < rounds * MAIL_S * 1.6 + 25, row
    assert row["first, s"] >= MAIL_S and row["last, s"] == row["total, s"]
    # The picture is that of the run: everybody is in it, and as many wait at once as can.
    assert {p["student"] for p in shown["timeline"]} == set(range(1, STUDENTS + 1))
    if calls < STUDENTS:
        assert at_once(shown) == calls
    else:
        assert at_once(shown) > STUDENTS / 2


def test_one_process_makes_the_hundredth_wait_two_hundred_seconds():
    [row] = json.loads(lab("run", "blocking", "--json", "--students", 100, "--scale", 100).stdout)["rows"]
    assert 200 <= row["last, s"] < 260


def test_what_a_model_cannot_do_is_said():
    shown = json.loads(lab("run", "blocking", "--json", "--students", 10000, "--scale", 1).stdout)
    assert shown["rows"][0]["total, s"] is None
    assert "10000 students are 10000 rounds" in shown["notes"]


def test_timeline_as_lines_and_as_svg(tmp_path):
    svg = tmp_path / "tasks.svg"
    text = lab("run", "tasks", "--scale", 20, "--svg", svg).stdout
    assert "Run 20 times faster than told" in text and "total, s" in text
    rows = re.findall(r"^ +\d+ +1  [.# -]+$", text, flags=re.M)
    assert len(rows) == 20 and all("-" in r for r in rows)
    drawn = svg.read_text()
    assert drawn.startswith("<svg ") and drawn.count("<rect ") > 100 and "<script" not in drawn


# ---- the page -----------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path):
    server = Server(tmp_path, [str(USHER), "lab", "serve", "--on", "127.0.0.1:0"])
    yield server
    server.stop(signal.SIGKILL)


def test_a_scene_is_run_for_a_page_without_scripts(page):
    shown = page.get("/scene/workers?students=20&lab-workers=2&scale=100").text
    assert "Several blocking processes" in shown and "One blocking process" not in shown
    assert 'value="20"' in shown and "<svg " in shown and "blocking worker processes</th>" in shown
    assert "static int serve(struct lab *l, int worker)" in shown
    assert page.get("/scene/nosuch").status == 404
    assert "This run failed" in page.get("/scene/tasks?students=0&part=1").text
    assert page.get("/").text.count('<section class="scene"') == len(json.loads(lab("--json").stdout))


def test_the_page_is_for_phone_keyboard_and_eye(page, tmp_path):
    faults = []
    with Chromium(tmp_path / "chromium") as b:
        for size in (PHONE, DESKTOP):
            for dark in (False, True):
                b.screen(size, dark)
                b.open(f"http://127.0.0.1:{page.port}/scene/tasks?students=20&scale=100")
                faults += [f"{size[0]} {'dark' if dark else 'light'}: {f}" for f in b.audit()]
        assert not faults, "\n".join(sorted(set(faults)))
        # Another number, by keyboard; the script puts the new run into the same page.
        before = b.driver.execute_script("return document.querySelector('.result svg').outerHTML")
        field = b.tab_to(lambda e: e.get_attribute("name") == "students")
        field.clear()
        field.send_keys("7")
        b.tab_to(lambda e: e.tag_name == "button").send_keys("\n")
        wait_for("a new picture", lambda: b.driver.execute_script(
            "const svg = document.querySelector('.result svg');"
            "return svg && svg.outerHTML !== arguments[0]"
            "  && !document.querySelector('[aria-busy]')", before), 30)
        drawn = b.driver.find_element("css selector", ".result svg").get_attribute("outerHTML")
        assert "student 6<" in drawn and "student 11<" not in drawn
        assert "students=7" not in b.driver.current_url
        # And all of them run by themselves as they come into view.
        b.open(f"http://127.0.0.1:{page.port}/#tasks")
        wait_for("the scene in view", lambda: b.driver.find_elements("css selector", "#tasks .result svg"), 60)

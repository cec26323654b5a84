"""The lab's scenes show what they say, in a real run: each claim is asserted from what was measured.

Runs are scaled, so that two seconds take a fiftieth; upper limits leave room for a busy machine,
lower limits do not need any.
"""

import json
import re
import subprocess

import pytest

from conftest import ENVIRON, ROOT, USHER

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

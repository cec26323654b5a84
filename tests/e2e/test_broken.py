"""The explorer finds what it is for: sources with one thing broken, each found in seconds.

A row breaks one place of a real source file. The scenario of tests/sim that watches over it is
linked with the broken file instead of the right one and explored with each strategy. Nothing of
this is in the product; and a row whose text is no longer in its file fails, so the table cannot
grow old.
"""

import os
import re
import subprocess

import pytest

from conftest import BUILD, ENVIRON, ROOT, at_most

LIMIT_S = at_most(20)
BATCH, SYNC, OPS = "src/task/batch.c", "src/task/sync.c", "src/jobs/ops.c"
SEATS, PLACES, REGISTER = "app/domain/seats.c", "app/domain/places.c", "app/domain/register.c"
# scenario -> test program, schedules at most
SCENARIOS = {"scope-calm": ("scope_test", 5000), "scope": ("scope_test", 5000),
             "sync": ("sync_test", 5000), "jobs": ("jobs_test", 1000),
             "late-end": ("jobs_test", 300),
             "desk": ("app_desk_test", 300), "transfer": ("transfer_test", 5000),
             "door": ("app_door_test", 200),
             "drain": ("drain_test", 2000)}
# what is broken, file, scenario, text, what it becomes
BROKEN = [
    ("a cancelled scope reaches into a shield", "src/task/scope.c", "scope-calm",
     "        if (!inner->shield)\n", ""),
    ("a scope opened in a cancelled one is not cancelled", "src/task/scope.c", "scope",
     "        s->reason = s->outer->reason;\n", ""),
    ("the last failure is told instead of the first", "src/task/scope.c", "scope-calm",
     "        if (s->first_error == 0)\n", ""),
    ("a batch lets go of an item it has taken", BATCH, "sync",
     "    if (item->state != WAITING)\n        return false;\n", ""),
    ("a batch flushes once and forgets what came meanwhile", BATCH, "sync",
     "    while (b->count > 0) {\n        size_t n = take(b);",
     "    if (b->count > 0) {\n        size_t n = take(b);"),
    ("a mutex wakes the next but is not handed over", SYNC, "sync",
     "    m->holder = next;\n", "    m->holder = NULL;\n"),
    ("a semaphore gives one permit to two", SYNC, "sync",
     "        ush__wake(next, 0);\n        return;\n    }\n    assert(s->free < s->limit);",
     "        ush__wake(next, 0);\n    }\n    if (s->free < s->limit)"),
    ("a channel forgets what a waiting sender holds", SYNC, "sync",
     "        put(c, sender->wait_data);\n", ""),
    ("the fence lets an old claim through", OPS, "jobs",
     "if (r[i].id != id || r[i].claim != number)", "if (r[i].id != id || r[i].claim < 0)"),
    ("a claim does not raise the claim number", OPS, "jobs",
     "claim = claim + 1,", "claim = max(claim, 1),"),
    ("an ambiguous end is not counted when a worker dies", OPS, "jobs",
     "CASE WHEN mark = 2 THEN 1 ELSE 0 END,", "CASE WHEN mark = 3 THEN 1 ELSE 0 END,"),
    ("the mark comes after the final dot", "tests/sim/jobs_test.c", "jobs",
     "    USH_TRY(ush_job_mark(job, 2, USH_NONE));\n    run->",
     "    run->was_accepted = true;\n    USH_TRY(ush_job_mark(job, 2, USH_NONE));\n    run->"),
    ("an end that cannot be stored is given up", "src/jobs/job.c", "late-end",
     "        if (gives_up)\n            return;",
     "        if (gives_up || is_over)\n            return;"),
    ("the event is asked whether it is full before the replay", SEATS, "desk",
     "if (d->made_by != SEATS_NONE) {", "if (d->made_by != SEATS_NONE && has_free_place(seats)) {"),
    ("a newcomer overtakes the waitlist", SEATS, "desk",
     "if (s->waiting == 0 && has_free_place(s))", "if (has_free_place(s))"),
    ("a promotion is left to another transaction", PLACES, "desk",
     "    if (waiting_moves(tx, s))\n", "    if (0)\n"),
    ("a cancelled registration keeps its address", PLACES, "desk",
     "    USH_TRY(ush_exec_later(tx, &sql_people_release, USH_VALUES(registration)));\n", ""),
    ("an operation that is sent again is not recognised", REGISTER, "desk",
     "row->submit_id == in->submit_id && ", ""),
    ("a scan that is sent again counts anew", "app/domain/checkin.c", "door",
     "    if (found) {\n        out->result = known.result;",
     "    if (0) {\n        out->result = known.result;"),
    ("two gates are both told that they were first", "app/domain/checkin.c", "door",
     'why = n > 0 ? "in" : "already";', 'why = "in";'),
    ("a drain cuts the handlers at once", "src/http/server.c", "drain",
     "    end_connections(h, STREAMS);", "    end_connections(h, ALL);"),
    ("a drain forgets to wake up when the last one leaves", "src/http/server.c", "drain",
     "    if (h->is_draining && is_empty(h))\n",
     "    if (h->is_draining && h->connections == 1)\n"),
    ("two locks are taken in the order of need", "tests/sim/transfer_test.c", "transfer",
     "*first = from < to ? from : to, *second = from < to ? to : from;",
     "*first = from, *second = to;"),
]
STRATEGIES = ("random", "pct", "all")
# Where a scenario draws a whole program, "all" would spend its schedules on small programs.
DRAWN = ("scope", "scope-calm", "jobs", "desk", "late-end", "door", "drain")


def build(name, path, program, old, new):
    text = (ROOT / path).read_text()
    assert text.count(old) == 1, f"{path} has {text.count(old)} times: {old}"
    folder = BUILD / "broken" / name
    folder.mkdir(parents=True, exist_ok=True)
    broken = text.replace(old, new)
    if not (folder / "broken.c").exists() or (folder / "broken.c").read_text() != broken:
        (folder / "broken.c").write_text(broken)
    of = "" if path.startswith("tests/") else f"{BUILD}/tests/sim/{program}.c.o"
    # What is broken may leave something unused: no warning is an error here.
    make = ["make", "-s", "CI=", f"BUILD={os.environ.get('TESTED_BUILD', 'build')}",
            f"WHERE={os.path.dirname(path)}", f"OF={of}",
            f"{BUILD.relative_to(ROOT)}/broken/{name}/explore"]
    made = subprocess.run(make, cwd=ROOT, text=True, capture_output=True)
    assert made.returncode == 0, made.stderr
    return folder / "explore"


def explore(program, scenario, strategy, schedules):
    """Schedules to the first failure, or None."""
    env = {**ENVIRON, "EXPLORE_AS": f"{scenario} {strategy} {schedules}", "CK_FORK": "no"}
    try:
        done = subprocess.run([str(program)], cwd=ROOT, env=env, text=True, capture_output=True,
                              timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return None, "out of time"
    crash = re.search(r"schedule (\d+) ends the program", done.stderr)
    if crash:
        return int(crash[1]), "a crash"
    line = re.search(r"^explored: (-?\d+) after (\d+), (\d+) of (\d+) choices left: (.*)$",
                     done.stdout, flags=re.M)
    assert line, done.stdout[-2000:] + done.stderr[-2000:]
    return (int(line[2]), f"{line[4]} -> {line[3]}: {line[5]}") if line[1] == "1" else (None,
                                                                                        line[5])


def test_each_broken_variant_is_found(capsys):
    rows, missed = [], []
    for number, (what, path, scenario, old, new) in enumerate(BROKEN):
        test, schedules = SCENARIOS[scenario]
        program = build(str(number), path, test, old, new)
        found = {s: explore(program, scenario, s, schedules) for s in STRATEGIES
                 if s != "all" or scenario not in DRAWN}
        rows.append((what, scenario, *(str(found[s][0] or f"> {schedules}") if s in found else "-"
                                       for s in STRATEGIES)))
        if not any(f[0] for f in found.values()):
            missed.append(f"{what}: {found}")
    table = ["| schedules to the first failure | scenario | " + " | ".join(STRATEGIES) + " |",
             "|---|---|" + "---:|" * len(STRATEGIES)]
    table += ["| " + " | ".join(row) + " |" for row in rows]
    with capsys.disabled():
        print("", *table, sep="\n")
    assert not missed, "\n".join(missed)
    # The document has the same lines; how many schedules it took may be another day's.
    shown = (ROOT / "docs/explore.md").read_text().split("<!-- broken: begin -->\n")[1]
    shown = shown.split("<!-- broken: end -->")[0].splitlines()
    assert [line.split(" | ")[:2] for line in shown] == [line.split(" | ")[:2] for line in table], (
        "docs/explore.md has another table of broken sources than the one above")

"""What docs/operate.md tells operators to do, done: the copy of the database beside a running server."""

import contextlib
import re
import shutil
import sqlite3
import subprocess

import pytest

from conftest import ROOT
from test_rush import RACE, Rush


def documented(pattern):
    found = re.search(pattern, (ROOT / "docs/operate.md").read_text())
    assert found, f"docs/operate.md has no {pattern}"
    return found[1]


def count_rows(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM registrations").fetchone()[0]


@pytest.mark.on("sqlite")
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="sqlite3 is not installed")
def test_a_copy_made_in_a_rush_is_whole(fest):
    """It holds what was there when it began, counts right, and the rush goes on meanwhile."""
    fest.add_event(RACE, 500, "unlimited")
    rush = Rush(fest, fest.serve("--workers", "2"), 6000)
    assert rush.until(1500)
    before = count_rows(fest.folder / "usher.db")
    sql = documented(r'sqlite3 -readonly \S+ "([^"]*)"').replace("/var/lib/usher/", "")
    subprocess.run(["sqlite3", "-readonly", "usher.db", sql], cwd=fest.folder, check=True, timeout=60)
    count = rush.end()
    assert count["broken"] == count["overloaded"] == 0
    shutil.copy(fest.folder / "usher.key", fest.folder / "copy.key")
    options = documented(r"usher verify (--database-url \S+ --secret-file \S+)").split()
    assert 0 < before <= count_rows(fest.folder / "copy.db") <= count_rows(fest.folder / "usher.db")
    verified = fest.usher("verify", *options, check=False)
    assert verified.returncode == 0, verified.stdout

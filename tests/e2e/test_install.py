"""`make install`: what a stranger has afterwards, and a server of theirs on the library."""

import os
import re
import shlex
import shutil
import signal
import subprocess

import pytest

from conftest import BUILD, ROOT, Server, at_most

pytestmark = pytest.mark.skipif("san" in BUILD.name, reason="the plain build is installed")


def run(*command, cwd=ROOT):
    done = subprocess.run([str(c) for c in command], cwd=cwd, text=True, capture_output=True,
                          timeout=at_most(120), env={**os.environ, "MAKEFLAGS": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    run("make", "install", f"DESTDIR={root}", "PREFIX=/opt/usher", f"BUILD={BUILD}")
    return root / "opt/usher"


def test_the_program_runs_from_there(installed, tmp_path):
    assert run(installed / "bin/usher", "version") == run(BUILD / "usher", "version")
    assert (installed / "share/usher/down/503.html").read_text().startswith("<!doctype html>")


def test_a_server_is_built_on_the_library(installed, tmp_path):
    """With the line of docs/runtime.md, from nothing but what was installed."""
    line = re.search(r"^cc .* libusher\).*$", (ROOT / "docs/runtime.md").read_text(), re.M)[0]
    found = ["pkg-config", f"--define-variable=prefix={installed}"]
    flags = run("env", f"PKG_CONFIG_PATH={installed}/lib/pkgconfig", *found,
                "--cflags", "--libs", "libusher")
    shutil.copy(ROOT / "examples/hello.c", tmp_path / "my.c")
    run(*shlex.split(re.sub(r"\$\(pkg-config [^)]*\)", flags.strip(), line)), cwd=tmp_path)
    server = Server(tmp_path, [str(tmp_path / "my"), "127.0.0.1:0"])
    try:
        assert server.get("/hello/Asha").text == "Hello, Asha!\n"
    finally:
        server.stop(signal.SIGKILL)


def test_the_manual_has_every_command(installed):
    page = (installed / "share/man/man1/usher.1").read_text()
    listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", run(BUILD / "usher", "--help"), re.M)
    assert len(listed) > 30
    assert re.findall(r"^\.SS usher (.*?) *$", page, re.M) == listed


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_the_manual_can_be_read(installed):
    page = installed / "share/man/man1/usher.1"
    shown = run("groff", "-man", "-k", "-ww", "-Tutf8", "-P-c", page)
    assert "--dry-run" in shown and "USHER_DATABASE_URL" in shown
    warned = subprocess.run(["groff", "-man", "-k", "-ww", "-Tutf8", "-z", str(page)], text=True,
                            capture_output=True)
    assert warned.stderr == ""

"""The runtime on the other processor that it has a switch for: what needs no libraries is built for
aarch64 and run by an emulator, and says what it says here."""

import subprocess

import pytest

from conftest import BUILD, ROOT, at_most

ARM = ["aarch64-linux-gnu-gcc", "-std=gnu17", "-O2", "-g", "-fno-strict-aliasing",
       "-fno-omit-frame-pointer", "-D_GNU_SOURCE", f"-ffile-prefix-map={ROOT}/=",
       f"-I{ROOT}/include", f"-I{ROOT}/src", "-pthread"]
PARTS = ["src/base/*.c", "src/task/*.c", "src/task/switch_aarch64.S", "src/explore/*.c"]


def emulated(*command):
    done = subprocess.run(["qemu-aarch64", *command], text=True, capture_output=True,
                          timeout=at_most(60))
    assert not done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Makes a program of a source."""
    folder = tmp_path_factory.mktemp("aarch64")
    sources = [path for pattern in PARTS for path in ROOT.glob(pattern)]
    subprocess.run([*ARM, "-c", *sources], cwd=folder, check=True)

    def build(source):
        program = folder / source.stem
        subprocess.run([*ARM, "-static", "-o", program, source, *folder.glob("*.o")], check=True)
        return program
    return build


@pytest.mark.parametrize("name", ["gather", "scopes", "race"])
def test_the_same_is_said(built, name):
    """By a thousand seeds, too, and by who waits for whom."""
    here = subprocess.run([BUILD / "examples" / name], text=True, capture_output=True,
                          timeout=at_most(60))
    there = emulated(built(ROOT / f"examples/{name}.c"))
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout)


def test_registers_are_kept(built):
    done = emulated(built(ROOT / "tests/e2e/registers.c"))
    assert (done.returncode, done.stdout) == (0, "50 tasks, 0 wrong\n")

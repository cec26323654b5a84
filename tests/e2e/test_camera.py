"""The door with a camera. Debian's Chromium on Linux has no BarcodeDetector, so two things are
tested: what the page says in such a browser, and, with a stand-in for the detector, all of our own
code on real frames of a (false) camera: permission, video, scans, results. The stand-in hands each
frame to this test, where zbar reads the code. What is not covered is the decoder of a browser that
has one.
"""

import base64

import pytest
from pyzbar import pyzbar

import codes
from browser import Browser
from chromium import Chromium
from conftest import wait_for
from organiser import PASSWORD, add_user

RACE = "robo-race"
WIDTH, HEIGHT = 640, 480
pytestmark = pytest.mark.on("sqlite")

STAND_IN = """
window.BarcodeDetector = class {
    static async getSupportedFormats() { return ["qr_code"]; }
    async detect(video) {
        window.video = video;
        return window.seen ? [{rawValue: window.seen}] : [];
    }
};
"""
FRAME = """
if (!window.video || !window.video.videoWidth) return null;
const c = document.createElement("canvas"), w = c.width = video.videoWidth;
const h = c.height = video.videoHeight, brush = c.getContext("2d");
brush.drawImage(video, 0, 0);
const grey = brush.getImageData(0, 0, w, h).data.filter((_, i) => i % 4 === 1);
let text = "";
for (let i = 0; i < grey.length; i += 8192)
    text += String.fromCharCode(...grey.subarray(i, i + 8192));
return [w, h, btoa(text)];
"""


def film(path, modules):
    """A camera that looks at the code: frames of YUV4MPEG2."""
    scale = HEIGHT * 3 // 4 // len(modules)
    left, top = (WIDTH - scale * len(modules)) // 2, (HEIGHT - scale * len(modules)) // 2
    luma = bytearray(b"\xeb" * (WIDTH * HEIGHT))
    for y, row in enumerate(modules):
        for x, dark in enumerate(row):
            for i in range(scale if dark else 0):
                at = (top + y * scale + i) * WIDTH + left + x * scale
                luma[at:at + scale] = b"\x10" * scale
    frame = b"FRAME\n" + bytes(luma) + b"\x80" * (WIDTH * HEIGHT // 2)
    path.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode() + frame * 2)


def read_frame(chromium):
    """What zbar reads in the frame that the page would decode; None while there is none."""
    got = chromium.driver.execute_script(FRAME)
    found = got and pyzbar.decode((base64.b64decode(got[2]), got[0], got[1]),
                                  symbols=[pyzbar.ZBarSymbol.QRCODE])
    return found[0].data.decode() if found else None


@pytest.fixture
def door(fest):
    """A race with a ticket; somebody at the desk."""
    fest.add_event(RACE, 5)
    add_user(fest, "desk")
    fest.server = fest.serve("--workers", "1")
    fest.site = f"http://127.0.0.1:{fest.server.port}"
    fest.ticket = Browser(fest.server).register(RACE).url
    return fest


def open_door(door, chromium):
    chromium.open(door.site + "/admin/login").type(email="desk@school.example", password=PASSWORD)
    chromium.press("Log in").shows("Log out")
    chromium.open(door.site + "/admin/scan").shows("Check-in")


def test_a_browser_that_cannot_decode_says_what_to_do(door, tmp_path):
    with Chromium(tmp_path / "chromium") as b:
        open_door(door, b)
        b.shows("This browser does not read QR codes by itself").shows("own camera app opens")
        assert "Use the camera" not in b.text
        assert not b.audit()


def test_the_camera_checks_in(door, tmp_path):
    ticket = door.server.get(door.ticket + "/ticket.svg").text
    film(tmp_path / "ticket.y4m", codes.svg_modules(ticket))
    with Chromium(tmp_path / "chromium", arguments=(
            "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={tmp_path / 'ticket.y4m'}")) as b:
        b.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STAND_IN})
        open_door(door, b)
        assert "does not read" not in b.text
        b.press("Use the camera").shows("Stop the camera")
        link = wait_for("a code in the picture", lambda: read_frame(b))
        b.driver.execute_script("window.seen = arguments[0]", link)
        b.shows("Welcome").shows("Asha Rao")
        assert not b.audit()
        b.driver.execute_script("window.seen = 'HTTPS://OTHER.EXAMPLE/'")
        b.shows("Not a ticket")
        b.driver.execute_script("window.seen = arguments[0]", link)
        b.shows("Already in")
        b.driver.execute_script("window.seen = null; window.track = video.srcObject.getTracks()[0]")
        b.press("Stop the camera").shows("Use the camera")
        assert b.driver.execute_script("return window.track.readyState") == "ended"
        refused = "return navigator.mediaDevices.getUserMedia({video: true}).then(" \
                  "() => 'allowed', (why) => why.name)"
        assert b.driver.execute_script(refused) == "allowed"
        for page in ("/", door.ticket, "/admin"):
            b.open(door.site + page)
            assert b.driver.execute_script(refused) == "NotAllowedError", page
    with door.database() as db:
        assert db.execute("SELECT count(*) FROM attendance").fetchone()[0] == 1


def test_a_camera_that_is_refused(door, tmp_path):
    with Chromium(tmp_path / "chromium", arguments=("--deny-permission-prompts",)) as b:
        b.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STAND_IN})
        open_door(door, b)
        b.press("Use the camera").shows("The camera cannot be used").shows("search by name")

"""Names and titles of any script, length and mischief, through the headers and bodies of mails to a
mail server, read back by Python's own parser: what was typed is what is read."""

import email
import html
import json
import re
from email.header import decode_header, make_header

import pytest

from conftest import wait_for
from outbox import Mail, mails
from test_mails_killed import MailServer

TEXTS = {
    "plain": "O'Brien-Smith",
    "latin": "Łukasz Çelik-Nuñez Ægir Þórsdóttir",
    "devanagari": "श्रीमती क्‍षमा त्रिवेदी",  # with a joiner
    "malayalam": "നമ്മുടെ കുട്ടികള്‍ക്ക്",
    "tamil": "தமிழ்ச்செல்வி அண்ணாமலை",
    "bengali": "শ্রেয়সী বন্দ্যোপাধ্যায়",
    "arabic": "محمّد عبد الرحمٰن",
    "hebrew": "שָׁלוֹם בן־גוריון",
    "both-ways": "Robo שלום 2031 محمد Cup",
    "thai": "สมชาย ใจดีมาก",
    "han": "张伟 髙橋 김민준",
    "georgian": "გიორგი კაპანაძე",
    "emoji": "👩🏽‍🚀 Zoë 👨‍👩‍👧‍👦 🇮🇳 ❤️",
    "one-word": "x" * 120,
    "wide": "𝔘" * 120,
    "four-bytes": "🎉" * 110 + " end",
    "many-words": "a b " * 29 + "end",
    "encoded-word": "=?utf-8?q?=42cc=3A_x=40y?= and =?x",
    "markup": "<b>&amp;</b> \"q\" 'p' \\ %s ${x} {{y}} 100%",
    "dots": "..dots at the front",
    "equals": "a=b=20=3D c=",
    "header-like": "Bcc: a@b.example; Subject: x",
}


def line_lengths(raw):
    return [len(line) for line in raw.split(b"\r\n")]


def check_form(raw):
    head, _, _ = raw.partition(b"\r\n\r\n")
    assert raw.isascii() and max(line_lengths(raw)) <= 78, "RFC 5322 §2.1.1"
    for word in re.findall(rb"=\?[^?]+\?[^?]+\?[^?]*\?=", head):
        assert len(word) <= 75, "RFC 2047 §2"


def calendar_summary(mail):
    text = mail.part("text/calendar").get_content()
    line = re.search(r"^SUMMARY:(.*?)\r?$", re.sub(r"\r?\n ", "", text), re.M)[1]
    return re.sub(r"\\(.)", r"\1", line)


@pytest.mark.on("sqlite")
def test_what_was_typed_is_what_is_read(fest, tmp_path):
    rows = [{"slug": slug, "title": text, "starts": "2031-03-14T10:00:00Z", "venue": "Hall",
             "ends": "2031-03-14T12:00:00Z", "opens": "2020-01-01T00:00:00Z"}
            for slug, text in TEXTS.items()]
    (fest.folder / "events.json").write_text(json.dumps(rows))
    fest.usher("event", "import", "events.json", "--yes")
    sink = MailServer(tmp_path, "accept")
    try:
        server = fest.serve("--workers", "1", env={
            "USHER_MAIL_URL": sink.url, "USHER_MAIL_FROM": "desk@example.org",
            "USHER_LIMIT_ADDR": "off", "USHER_MAIL_CONNECTIONS": "4"})
        for slug, text in TEXTS.items():
            reply = server.request("POST", "/register", {
                "event": slug, "name": text, "email": f"{slug}@münchen.example", "school": text})
            assert reply.status == 201, reply.text
        wait_for("all", lambda: len(sink.accepted()) == len(TEXTS))
        assert server.stop() == 0
        received = [json.loads(line) for line in sink.path.read_text().splitlines()]
    finally:
        sink.stop()
    for r in received:
        raw = r["bytes"].encode("latin-1")
        check_form(raw)
        mail, slug = Mail(raw), r["to"][0].split("@")[0]
        text = TEXTS[slug]
        assert r["to"] == [mail.to] == [f"{slug}@xn--mnchen-3ya.example"]
        assert mail.subject.startswith(f"Your place: {text}, "), slug
        assert set(mail.message.keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "Content-Language", "Auto-Submitted",
            "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"}
        assert mail.text.count(text) >= 2, slug  # the event, the person
        markup = mail.part("text/html").get_content()
        assert html.unescape(markup).count(text) >= 2 and "<b>&amp;" not in markup, slug
        assert calendar_summary(mail) == text, slug


def sender(raw):
    """The display name. Python's newer reader puts a space between adjacent encoded words of a
    name, against RFC 2047 §6.2; its older one does not."""
    value = str(make_header(decode_header(email.message_from_bytes(raw)["From"])))
    return re.fullmatch(r"(.*?)\s*<usher@localhost>", value.replace("\r\n", ""), re.S)[1]


@pytest.mark.on("sqlite")
def test_the_name_of_the_fest_is_the_senders(fest):
    expected = set()
    for text in TEXTS.values():
        assert fest.usher("mail", "test", "me@x.example", "--name", text)
        kept = "".join(c for c in text if c not in '@:,;"\\<>()[].')
        while len(kept.encode()) > 75:
            kept = kept[:-1]
        expected.add(kept.strip())
    written = [path.read_bytes() for path in (fest.folder / "outbox").iterdir()]
    for raw in written:
        check_form(raw)
    assert {sender(raw) for raw in written} == expected and len(written) == len(TEXTS)


@pytest.mark.on("sqlite")
@pytest.mark.parametrize("contact, reply_to", [
    ("club@school.example", "club@school.example"),
    ("Robotics Club <club@school.example>", None),
    ("Ms. O'Hara, club@school.example, room 12", None),
])
def test_who_is_asked_may_be_more_than_an_address(fest, contact, reply_to):
    fest.add_event("race", 5)
    server = fest.serve("--workers", "1", env={"USHER_CONTACT": contact})
    assert server.register("race", 1).status == 201
    mail = wait_for("the ticket", lambda: mails(fest, kind="ticket"))[0]
    assert mail.message["Reply-To"] == reply_to and contact in mail.text


@pytest.mark.on("sqlite")
def test_what_cannot_be_written_is_not_called_sent(fest):
    fest.add_event("race", 5)
    server = fest.serve("--workers", "1", env={"USHER_BASE_URL": "http://school,example"})
    assert server.register("race", 1).status == 201
    wait_for("a failed mail", lambda: "cannot be written" in fest.usher("mail", "status").stdout)

"""The folder that mails are written to, read with Python's own mail parser."""

import email
import email.policy
import re

LINK = re.compile(r"http://\S+/r/\w+")


class Mail:
    def __init__(self, raw):
        assert b"\n" not in raw.replace(b"\r\n", b""), "a line does not end with CR LF"
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        self.message = email.message_from_bytes(raw, policy=email.policy.default)
        assert not [d for p in self.message.walk() for d in p.defects]
        self.to = self.message["To"].addresses[0].addr_spec
        self.subject, self.id = self.message["Subject"], self.message["Message-ID"].strip()
        self.kind = self.id[1:].split(".")[0]

    def structure(self, part=None):
        """The nesting as tuples of content types."""
        part = part or self.message
        if not part.is_multipart():
            return part.get_content_type()
        return (part.get_content_type(), *map(self.structure, part.iter_parts()))

    def part(self, content_type):
        return next(p for p in self.message.walk() if p.get_content_type() == content_type)

    @property
    def text(self):
        return self.part("text/plain").get_content()

    @property
    def link(self):
        return LINK.search(self.text).group()


def mails(fest, to=None, kind=None):
    """Every mail in the outbox; a file that is still being written has another name."""
    found = [Mail(p.read_bytes()) for p in sorted((fest.folder / "outbox").glob("*.eml"))]
    return [m for m in found if to in (None, m.to) and kind in (None, m.kind)]

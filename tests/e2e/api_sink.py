#!/usr/bin/python3
"""A provider's mail API for tests: takes requests, journals them, and misbehaves on demand.

    api_sink.py [--seconds S] [--mode MODE] [--journal FILE] [--token TOKEN] [--forgets]
                [--cert FILE (with its key)]

It prints `127.0.0.1:PORT` once it listens and serves until its standard input ends or it is
killed. Each request is a JSON line in the journal, flushed before the answer: {"connection": n,
"at_once": requests under way with this one, "key": ..., "status": ..., "delivered": whether a mail
went out by it, "to": ..., "message_id": ..., "bytes": ...}.

It knows an Idempotency-Key again: a request with a key that was delivered gets 200 and delivers
nothing, unless --forgets. Every answer takes S seconds. A request without the token gets 401.

What it does is the mode, or the recipient's local part up to a '+', when that names one:

    accept    202
    refuse    422
    busy      429 with Retry-After: 3600
    later     503 with Retry-After: 1
    fail      delivered, but the answer to the first request is 500
    drop      delivered, but the first request gets no answer: its connection is closed
    hang      delivered, and the first request is never answered
"""

import argparse
import asyncio
import base64
import email
import json
import ssl
import sys

MODES = ("accept", "refuse", "busy", "later", "fail", "drop", "hang")


class Sink:
    def __init__(self, options):
        self.o = options
        self.journal = open(options.journal, "a", encoding="utf-8") if options.journal else None
        self.connections = self.at_once = 0
        self.delivered, self.seen = set(), set()

    def mode_of(self, to):
        wanted = to.split("@")[0].split("+")[0]
        return wanted if wanted in MODES else self.o.mode

    def judge(self, headers, mail):
        """Status, whether a mail goes out, and what is done instead of answering."""
        key, mode = headers.get("idempotency-key"), self.mode_of(mail["envelope"]["to"][0])
        if self.o.token and headers.get("authorization") != "Bearer " + self.o.token:
            return 401, False, None
        if mode in ("refuse", "busy", "later"):
            return {"refuse": 422, "busy": 429, "later": 503}[mode], False, None
        is_first = key not in self.seen
        is_new = self.o.forgets or key not in self.delivered
        self.seen.add(key)
        self.delivered.add(key)
        if is_first and mode in ("fail", "drop", "hang"):
            return (500 if mode == "fail" else 0), is_new, mode
        return (202 if is_new else 200), is_new, None

    def write(self, number, headers, mail, status, delivered):
        if not self.journal:
            return
        raw = base64.b64decode(mail["raw"], validate=True)
        self.journal.write(json.dumps({
            "connection": number, "at_once": self.at_once, "status": status,
            "delivered": delivered, "key": headers.get("idempotency-key"),
            "from": mail["envelope"]["from"], "to": mail["envelope"]["to"],
            "message_id": email.message_from_bytes(raw)["Message-ID"],
            "bytes": raw.decode("latin-1")}) + "\n")
        self.journal.flush()

    async def answer(self, number, head, body, writer):
        headers = {k.strip().lower(): v.strip() for k, _, v in
                   (line.partition(":") for line in head.split("\r\n")[1:] if line)}
        assert head.startswith("POST ") and headers["content-type"] == "application/json"
        mail = json.loads(body)
        status, delivered, instead = self.judge(headers, mail)
        self.write(number, headers, mail, status, delivered)
        if instead == "hang":
            await asyncio.sleep(3600)
        await asyncio.sleep(self.o.seconds)
        if instead == "drop":
            return writer.transport.abort()
        after = {429: "Retry-After: 3600\r\n", 503: "Retry-After: 1\r\n"}.get(status, "")
        text = json.dumps({"messageId": len(self.delivered)})
        writer.write(
            f"HTTP/1.1 {status} x\r\n{after}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        await writer.drain()

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(int(line.split(":")[1]) for line in head.split("\r\n")
                              if line.lower().startswith("content-length:"))
                body = await reader.readexactly(length)
                self.at_once += 1
                try:
                    await self.answer(number, head, body, writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=0)
    options.add_argument("--mode", choices=MODES, default="accept")
    options.add_argument("--journal")
    options.add_argument("--token")
    options.add_argument("--forgets", action="store_true")
    options.add_argument("--cert")
    sink = Sink(options.parse_args())
    tls = None
    if sink.o.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(sink.o.cert)
    listener = await asyncio.start_server(sink.serve, "127.0.0.1", 0, backlog=2048, ssl=tls)
    print("127.0.0.1:%d" % listener.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


if __name__ == "__main__":
    asyncio.run(main())

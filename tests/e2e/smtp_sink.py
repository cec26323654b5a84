#!/usr/bin/python3
"""A mail server for tests: takes messages, journals them, and misbehaves on demand.

    smtp_sink.py [--port N] [--mode MODE] [--journal FILE [--digest: of the bytes]]
                 [--seconds S]
                 [--cert FILE (with its key): STARTTLS is offered] [--smtps: TLS from the start]
                 [--login USER:PASSWORD is asked for, behind STARTTLS where that is offered]
                 [--folder DIR: each message is a file there] [--host ADDRESS]
                 [--stay: also when standard input ends]
                 [--notes: the journal says too when it has hung up before the dot]

It prints `127.0.0.1:PORT` once it listens and serves until its standard input ends or it is
killed. Every accepted message is one JSON line in the journal, flushed to disk *before* the 250:
{"connection": n, "from": ..., "to": [...], "message_id": ..., "bytes": ...}.

What it does to a message is the mode, or the recipient's local part up to a '+', when that names
one ("refuse+17@example.org"):

    accept           250
    delay            journalled at once, 250 after S seconds (0.3)
    refuse           550 5.1.1 to RCPT
    tempfail         451 4.3.0 to RCPT
    quota            550 5.4.5 to the final dot, as providers answer above a daily limit
    late-refuse      554 5.6.0 to the final dot
    late-tempfail    452 4.3.1 to the final dot
    drop-before-dot  the connection is closed in the middle of DATA
    drop-after-dot   the message is journalled, the connection is closed without an answer
    hang             no answer after the final dot
    hang-after-dot   the same, but the message is journalled
    goodbye          250, and then the connection is closed without a word
"""

import argparse
import asyncio
import email
import hashlib
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

MODES = ("accept", "delay", "refuse", "tempfail", "quota", "late-refuse", "late-tempfail",
         "drop-before-dot", "drop-after-dot", "hang", "hang-after-dot", "goodbye")


class Sink:
    def __init__(self, mode, journal, folder, seconds):
        self.mode, self.folder, self.seconds, self.count = mode, folder, seconds, 0
        self.journal = open(journal, "a", encoding="utf-8") if journal else None
        self.connections = 0
        self.digest = self.notes = False

    def mode_of(self, envelope):
        for to in envelope.rcpt_tos:
            wanted = to.split("@")[0].split("+")[0]
            if wanted in MODES:
                return wanted
        return self.mode

    async def handle_RCPT(self, server, session, envelope, address, options):
        envelope.rcpt_tos.append(address)
        mode = self.mode_of(envelope)
        if mode in ("refuse", "tempfail"):
            envelope.rcpt_tos.pop()
            return ("550 5.1.1 <%s>: no such user" % address if mode == "refuse"
                    else "451 4.3.0 try again later")
        return "250 2.1.5 OK"

    def write(self, server, envelope):
        if self.folder:
            self.count += 1
            # Seen by its name only once it is whole.
            path = os.path.join(self.folder, "%05d.eml" % self.count)
            with open(path + ".part", "wb") as file:
                file.write(envelope.content)
            os.rename(path + ".part", path)
        if not self.journal:
            return
        message = email.message_from_bytes(envelope.content)
        self.journal.write(json.dumps({
            "connection": server.number,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message_id": message["Message-ID"],
            "bytes": hashlib.sha256(envelope.content).hexdigest() if self.digest
            else envelope.content.decode("latin-1"),
        }) + "\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())

    async def handle_DATA(self, server, session, envelope):
        mode = self.mode_of(envelope)
        if mode == "late-refuse":
            return "554 5.6.0 not like this"
        if mode == "late-tempfail":
            return "452 4.3.1 no room"
        if mode == "quota":
            return "550 5.4.5 Daily user sending quota exceeded"
        if mode == "hang":
            await asyncio.sleep(3600)
        self.write(server, envelope)
        if mode == "delay":
            await asyncio.sleep(self.seconds)
        if mode == "hang-after-dot":
            await asyncio.sleep(3600)
        if mode == "drop-after-dot":
            server.transport.abort()
        if mode == "goodbye":
            asyncio.get_running_loop().call_later(0.05, self.hang_up, server.transport, True)
        return "250 2.0.0 queued as %d" % os.getpid()


    def hang_up(self, transport, is_noted):
        """The end itself comes in the next turn of the loop, before what is asked for behind it."""
        transport.abort()
        if is_noted:
            asyncio.get_running_loop().call_soon(self.note, {"goodbye": "has hung up"})

    def note(self, entry):
        self.journal.write(json.dumps(entry) + "\n")
        self.journal.flush()


class Server(SMTP):
    async def smtp_DATA(self, arg):
        if self.event_handler.mode_of(self.envelope) == "drop-before-dot":
            await self.push("354 go on")
            await self._reader.readline()
            self.event_handler.hang_up(self.transport, self.event_handler.notes)
            raise asyncio.CancelledError
        await super().smtp_DATA(arg)


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--mode", choices=MODES, default="accept")
    options.add_argument("--journal")
    options.add_argument("--seconds", type=float, default=0.3)
    options.add_argument("--digest", action="store_true")
    options.add_argument("--notes", action="store_true")
    options.add_argument("--cert")
    options.add_argument("--smtps", action="store_true")
    options.add_argument("--login")
    options.add_argument("--folder")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--stay", action="store_true")
    options = options.parse_args()
    sink = Sink(options.mode, options.journal, options.folder, options.seconds)
    sink.digest, sink.notes = options.digest, options.notes

    tls = None
    if options.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.cert)

    def check(server, session, envelope, mechanism, login):
        given = login.login.decode() + ":" + login.password.decode()
        return AuthResult(success=given == options.login, handled=False)

    def accept():
        server = Server(sink, hostname="sink", enable_SMTPUTF8=True,
                        tls_context=None if options.smtps else tls,
                        auth_required=bool(options.login), authenticator=check,
                        auth_require_tls=bool(tls and not options.smtps))
        sink.connections += 1
        server.number = sink.connections
        return server

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(accept, options.host, options.port, backlog=1024,
                                         ssl=tls if options.smtps else None)
    print("%s:%d" % listener.sockets[0].getsockname()[:2], flush=True)
    if options.stay:
        await loop.create_future()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


if __name__ == "__main__":
    asyncio.run(main())

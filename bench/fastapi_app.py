"""The same registration as a web application is usually written: FastAPI, a model that is checked,
a connection pool, one transaction per request. It keeps the promises that the desk keeps (a request
that comes twice, a person who is there already, a full event), in the tables of Usher, and waits
for its commit before it answers. Served by Gunicorn with Uvicorn workers; see measure.py.

    DATABASE_URL=postgresql://... gunicorn -k uvicorn.workers.UvicornWorker fastapi_app:app
"""

import hashlib
import os
import time
import uuid

import asyncpg
from fastapi import FastAPI, Header, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Extra, constr

app = FastAPI()
SECRET = os.urandom(32) if "SECRET" not in os.environ else os.environ["SECRET"].encode()


class Registration(BaseModel, extra=Extra.forbid):
    event: constr(regex=r"^[a-z0-9-]+$", max_length=60)
    name: constr(strip_whitespace=True, min_length=1, max_length=120)
    email: constr(regex=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)
    school: constr(max_length=160) | None = None


LOCK = """SELECT capacity, taken, next_seq, opens_at, closes_at, gate FROM event_seats
           WHERE event_id = $1 FOR UPDATE"""
REQUEST = "SELECT id FROM registrations WHERE request_key = $1"
PERSON = "SELECT registration_id FROM participants WHERE dedupe_key = $1"
REGISTER = """INSERT INTO registrations (id, status, request_key, request_fp, submit_id, source,
                                         guardian_ok, created_at, updated_at, school)
              VALUES ($1, 1, $2, $3, 1, 2, 0, $4, $4, $5)"""
PARTICIPANT = """INSERT INTO participants (registration_id, position, name, email, dedupe_key)
                 VALUES ($1, 0, $2, $3, $4)"""
JOB = """INSERT INTO jobs (kind, lane, subject, payload, due_at, created_at)
         VALUES ('ticket', 'mail', $1, '', $2, $2)"""
SEATS = "UPDATE event_seats SET taken = taken + 1, next_seq = next_seq + 1 WHERE event_id = $1"


def key(*parts):
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16, key=SECRET).digest()


@app.on_event("startup")
async def start():
    # A few connections per worker: on one hot row more of them only wait for each other. The
    # planner is told what Usher tells it, or it would keep plans made for empty tables.
    app.state.pool = await asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=4, max_size=4,
        server_settings={"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan",
                         "jit": "off"})
    rows = await app.state.pool.fetch("SELECT id, slug FROM events")
    app.state.events = {r["slug"]: r["id"] for r in rows}


def answer(registration, replayed=False):
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return JSONResponse({"id": f"{registration:016x}", "status": "confirmed"}, 201, headers)


def problem(status, code):
    return JSONResponse({"code": code, "status": status}, status,
                        media_type="application/problem+json")


@app.get("/livez")
async def livez():
    return Response("alive\n")


@app.post("/register", status_code=201)
async def register(r: Registration, idempotency_key: str | None = Header(None, max_length=200)):
    event = app.state.events.get(r.event)
    if event is None:
        return problem(404, "not_found")
    request = key("request", idempotency_key or uuid.uuid4().hex)
    person = key("person", str(event), r.email.lower())
    async with app.state.pool.acquire() as c, c.transaction():
        seats = await c.fetchrow(LOCK, event)
        known = await c.fetchval(REQUEST, request)
        if known is not None:
            return answer(known, replayed=True)
        now_ms = int(time.time() * 1000)
        if seats["gate"] != 1 or not seats["opens_at"] <= now_ms < seats["closes_at"]:
            return problem(409, "closed")
        if await c.fetchval(PERSON, person) is not None:
            return problem(409, "already_registered")
        if seats["capacity"] is not None and seats["taken"] >= seats["capacity"]:
            return problem(409, "sold_out")
        registration = event << 32 | seats["next_seq"]
        await c.execute(REGISTER, registration, request, key("body", r.json()), now_ms, r.school)
        await c.execute(PARTICIPANT, registration, r.name, r.email, person)
        await c.execute(JOB, registration, now_ms)
        await c.execute(SEATS, event)
    return answer(registration)

"""What an event asks beyond the usual: in the form, through the API, on the ticket, in the export,
and gone with the rest when somebody is erased."""

import html
import json
import re

import pytest

from browser import Browser

EVENT = "camp"
QUESTIONS = "T-shirt size: S | M | L\nName of your robot\nAllergies (optional)"


@pytest.fixture
def camp(fest):
    fest.add_event(EVENT, 9, questions=QUESTIONS)
    return Browser(fest.serve("--workers", "1"))


def post(camp, answers, number=1):
    return camp.server.register(EVENT, number, answers=answers)


def test_schools_that_the_form_suggests(fest):
    fest.add_event(EVENT, 9)
    names = ["St. Mary's", "Hill <Top> Academy", "École №7"]
    b = Browser(fest.serve("--workers", "1", env={"USHER_SCHOOLS": f" ; {'; '.join(names)};"}))
    page = b.open(f"/e/{EVENT}/register")
    options = re.findall(r'<option value="([^"]*)">', page.html)
    assert [html.unescape(o) for o in options] == names and page.ids["school"]["list"] == "schools"
    assert "typed name" in b.register(EVENT, school="A typed name").text
    assert "typed name" not in b.open(f"/e/{EVENT}/register").html
    b.server.stop()
    most = ";".join(["Green Valley School"] * 300)
    server = fest.serve("--workers", "1", env={"USHER_SCHOOLS": most})
    assert len(Browser(server).open(f"/e/{EVENT}/register").html.encode()) <= 30_000
    for few in (most + ";x", "x" * 6001):
        done = fest.usher("version", check=False, env={"USHER_SCHOOLS": few})
        assert done.returncode == 2 and "every form carries" in done.stderr


def test_through_the_form(fest, camp):
    form = camp.open(f"/e/{EVENT}/register").form("Register")
    assert {"answers.0.answer", "answers.1.answer"} <= form.required
    assert "answers.2.answer" not in form.required
    typed = {"name": "Asha Rao", "email": "asha@school.example"}
    wrong = camp.submit(form, **typed, answers__0__answer="XXL")
    assert wrong.status == 422 and {"#answers.0.answer", "#answers.1.answer"} <= {
        h for h, _ in wrong.links}
    assert "not one of the choices" in wrong.text
    ticket = camp.submit(form, **typed, answers__0__answer="M", answers__1__answer="Ro: Bo | 2")
    assert "T-shirt size: M" in ticket.text and "Name of your robot: Ro: Bo | 2" in ticket.text
    assert "Allergies" not in ticket.text

    edit = camp.open(ticket.link("Correct the details")).form("Save")
    assert edit.fields["answers.0.answer"] == "M"
    assert edit.fields["answers.1.answer"] == "Ro: Bo | 2"
    saved = camp.submit(edit, answers__0__answer="L", answers__2__answer="nuts")
    assert "T-shirt size: L" in saved.text and "Allergies: nuts" in saved.text
    assert "Allergies: nuts" in camp.open(saved.link("What is stored")).text
    exported = json.loads(fest.usher("reg", "export", "--event", EVENT, "--format", "json").stdout)
    assert exported[0]["answers"].splitlines() == [
        "T-shirt size: L", "Name of your robot: Ro: Bo | 2", "Allergies: nuts"]


def test_through_the_api(camp):
    size, robot = ({"question": "T-shirt size", "answer": "M"},
                   {"question": "Name of your robot", "answer": "Robo"})
    assert post(camp, [robot, size]).status == 201, "in any order"
    for answers, pointers in (([], {"#/answers/0/answer", "#/answers/1/answer"}),
                              ([robot, {**size, "answer": "XXL"}], {"#/answers/0/answer"}),
                              ([robot, size, {"question": "Age", "answer": "9"}], {"#/answers"})):
        refused = post(camp, answers, 2)
        assert refused.status == 422
        assert {e["pointer"] for e in refused.json["errors"]} == pointers
    assert camp.server.register(EVENT, 2).status == 422


def test_the_same_key_with_another_answer_is_another_request(camp):
    answers = [{"question": "T-shirt size", "answer": "M"},
               {"question": "Name of your robot", "answer": "Robo"}]
    send = lambda a: camp.server.register(EVENT, 1, key="a-key-of-its-own", answers=a)
    assert [send(answers).status, send(answers).status] == [201, 201]
    answers[0]["answer"] = "L"
    assert send(answers).status == 422


def test_an_organiser_hears_what_is_wrong_with_a_question(fest):
    path = fest.folder / "bad.json"
    path.write_text(json.dumps([{"slug": "x", "title": "X", "starts": "2031-03-14 10:00",
                                 "questions": "Size: M |"}]))
    refused = fest.usher("event", "import", str(path), "--yes", check=False)
    assert refused.returncode != 0 and "single choice" in refused.stdout + refused.stderr


def test_erased_with_the_rest(fest, camp):
    form = camp.open(f"/e/{EVENT}/register").form("Register")
    ticket = camp.submit(form, name="Asha", email="a@school.example", answers__0__answer="M",
                         answers__1__answer="Robo", answers__2__answer="nuts")
    camp.submit(camp.open(ticket.link("Delete it")).form("Yes, delete everything"))
    with fest.database() as db:
        assert db.execute("SELECT answers FROM registrations").fetchone()[0] is None

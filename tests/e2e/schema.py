"""The part of JSON Schema 2020-12 that /openapi.json uses; anything else is an error, so a schema
that says more than is checked does not pass unseen."""

import datetime
import json
import re

ANNOTATIONS = {"description", "examples", "format", "title", "writeOnly"}
TYPES = {"string": str, "array": list, "object": dict, "null": type(None)}


def _is(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, TYPES[kind])


class Document:
    def __init__(self, tree):
        self.tree = tree

    def resolve(self, ref):
        assert ref.startswith("#/"), ref
        at = self.tree
        for name in ref[2:].split("/"):
            at = at[name.replace("~1", "/").replace("~0", "~")]
        return at

    def references(self):
        def walk(at):
            if isinstance(at, dict):
                if isinstance(at.get("$ref"), str):
                    yield at["$ref"]
                for inner in at.values():
                    yield from walk(inner)
            elif isinstance(at, list):
                for inner in at:
                    yield from walk(inner)
        return set(walk(self.tree))

    def check(self, value, schema, where="#"):
        """Asserts that `value` is what `schema` describes."""
        for word, want in schema.items():
            if word in ANNOTATIONS:
                continue
            getattr(self, "_" + word.lstrip("$"))(value, want, schema, where)
        if schema.get("format") == "date-time" and value is not None:
            datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))

    def check_named(self, value, name):
        self.check(value, {"$ref": f"#/components/schemas/{name}"})

    def _ref(self, value, want, _, where):
        self.check(value, self.resolve(want), where)

    def _anyOf(self, value, want, _, where):
        faults = []
        for one in want:
            try:
                return self.check(value, one, where)
            except AssertionError as fault:
                faults.append(str(fault))
        raise AssertionError("; ".join(faults))

    def _type(self, value, want, _, where):
        kinds = want if isinstance(want, list) else [want]
        assert any(_is(value, k) for k in kinds), f"{where}: {value!r} is no {kinds}"

    def _enum(self, value, want, _, where):
        assert value in want, f"{where}: {value!r} is none of {want}"

    def _properties(self, value, want, _, where):
        for name, inner in want.items():
            if isinstance(value, dict) and name in value:
                self.check(value[name], inner, f"{where}/{name}")

    def _required(self, value, want, _, where):
        assert not isinstance(value, dict) or set(want) <= set(value), f"{where}: lacks {want}"

    def _additionalProperties(self, value, want, schema, where):
        assert want is False
        extra = set(value or {}) - set(schema["properties"]) if isinstance(value, dict) else None
        assert not extra, f"{where}: {extra} is not described"

    def _items(self, value, want, _, where):
        for i, inner in enumerate(value if isinstance(value, list) else []):
            self.check(inner, want, f"{where}/{i}")

    def _pattern(self, value, want, _, where):
        assert not isinstance(value, str) or re.search(want, value), f"{where}: {value!r} {want}"

    @staticmethod
    def _bound(kind, measure, good, name):
        def check(self, value, want, _, where):
            if isinstance(value, kind) and not isinstance(value, bool):
                assert good(measure(value),
                            want), f"{where}: {json.dumps(value)} breaks {name} {want}"
        return check


for _name, _kind, _measure, _good in (
        ("minLength", str, len, int.__ge__), ("maxLength", str, len, int.__le__),
        ("minItems", list, len, int.__ge__), ("maxItems", list, len, int.__le__),
        ("minimum", int, int, int.__ge__), ("maximum", int, int, int.__le__)):
    setattr(Document, "_" + _name, Document._bound(_kind, _measure, _good, _name))

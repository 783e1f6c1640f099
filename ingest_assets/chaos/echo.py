"""What an API repeats of a request, as careless ones do: in errors, in pages, in URLs; and every form of a secret."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.made import put
from ingest_assets.chaos.server import Answer


def forms(text: str) -> list[str]:
    """A text as it may turn up: plain, percent-encoded, as a form, escaped in JSON, in base64.

    >>> forms("a b/c")
    ['a b/c', 'a%20b%2Fc', 'a%20b/c', 'a+b%2Fc', 'YSBiL2M=']
    """
    raw = text.encode()
    found = [text, quote(text, safe=""), quote(text), quote_plus(text), json.dumps(text)[1:-1]]
    found += [base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    return list(dict.fromkeys(found))


def repeated(asked: Asked) -> str:
    """What was sent, in every form: credentials first."""
    sent = [
        asked.headers.get("authorization", ""),
        asked.target,
        *asked.headers.values(),
        asked.body.decode("utf-8", "replace"),
    ]
    sent += [value for _, value in asked.query]
    return " ".join(form for text in dict.fromkeys(sent) if text for form in forms(text))


def refusal(status: int, asked: Asked, paths: Sequence[str], headers: Mapping[str, str] | None = None) -> Answer:
    """An error that repeats what was sent, also where the source file lets errors be quoted."""
    body: Any = {"error": {"message": repeated(asked)}}
    for path in paths:
        body = put(body, path, repeated(asked))
    told = {"Content-Type": "application/json", **(headers or {})}
    return Answer(json.dumps(body).encode(), status, told)


def echoing(answer: Answer, asked: Asked) -> Answer:
    """The same answer, an object, with what was sent in it."""
    return replace(answer, body=json.dumps({"echo": repeated(asked), **json.loads(answer.body)}).encode())


def found_in(values: Iterable[str], outputs: Mapping[str, bytes]) -> list[str]:
    """Where any form of a value stands: the names of the outputs."""
    wanted = [form.encode() for value in values for form in forms(value)]
    return [name for name, text in outputs.items() if any(form in text for form in wanted)]

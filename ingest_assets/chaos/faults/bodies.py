"""Bodies that are cut, slow, or of another format or charset; connections that break; redirects; credentials."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.echo import echoing, refusal
from ingest_assets.chaos.faults.fault import Fault, Struck
from ingest_assets.chaos.gate import SIGN_IN
from ingest_assets.chaos.server import Answer, How
from ingest_assets.http.decoders import Json
from ingest_assets.http.decoders.json_lines import JsonLines
from ingest_assets.source import Endpoint

_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>"
_STALLED_SECONDS = 5.0
_SLOW_SECONDS = 0.2
_COUNT = "name where the API counts its records: `total:` or `count:`"

Sent = Callable[[Answer, Struck, Asked], Answer]


def _struck(change: Sent, times: int | None = 1) -> Sent:
    return lambda answer, struck, asked: (
        change(answer, struck, asked) if struck.aimed and (times is None or struck.times <= times) else answer
    )


def _how(how: How, seconds: float = 0.0, times: int | None = 1) -> Sent:
    return _struck(lambda answer, _, __: replace(answer, how=how, seconds=seconds), times)


def _with_body(body: bytes, kind: str | None = None) -> Sent:
    headers = {"Content-Type": kind} if kind else {}
    return _struck(lambda answer, _, __: replace(answer, body=body, headers={**answer.headers, **headers}), None)


def _headed(**headers: str) -> Sent:
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    return _struck(lambda answer, _, __: replace(answer, headers={**answer.headers, **told}), None)


def _packed(answer: Answer, _: Struck, __: Asked) -> Answer:
    return replace(answer, body=gzip.compress(answer.body), headers={**answer.headers, "Content-Encoding": "gzip"})


def _latin(answer: Answer, _: Struck, __: Asked) -> Answer:
    return replace(answer, body=answer.body.decode("utf-8", "replace").encode("latin-1", "replace"))


def _invalid(answer: Answer, _: Struck, __: Asked) -> Answer:
    return replace(answer, body=answer.body.replace(b'"', b"", 1))


def _error_inside(answer: Answer, struck: Struck, asked: Asked) -> Answer:
    refused = refusal(HTTPStatus.OK, asked, struck.error_message)
    return replace(answer, body=refused.body)


def _to(url: Callable[[Struck, Asked], str], status: int = 307, times: int | None = 1) -> Sent:
    return _struck(lambda _, struck, asked: Answer(b"", status, {"Location": url(struck, asked)}), times)


def _beside(_: Struck, asked: Asked) -> str:
    return asked.target + ("&" if "?" in asked.target else "?") + "redirected=1"


def _is_json(endpoint: Endpoint, _: int) -> bool:
    return isinstance(endpoint.decoder, Json)


def _is_json_object(endpoint: Endpoint, _: int) -> bool:
    return isinstance(endpoint.decoder, Json) and bool(endpoint.records.keys)


def _nothing_is_told(endpoint: Endpoint) -> bool:
    """Whether a body that holds nothing is told from one without records."""
    counted = endpoint.total is not None or endpoint.count is not None or endpoint.paginator.records_total is not None
    empty = endpoint.records.absent == "empty" or isinstance(endpoint.decoder, JsonLines) or not endpoint.records.keys
    return counted or not empty


BODIES = (
    Fault("cut_once", "body", "a body ends before its length, and then comes whole", harmless=True, answer=_how("cut")),
    Fault("cut_for_good", "body", "a body ends before its length, again and again", answer=_how("cut", times=None)),
    Fault(
        "cut_chunks",
        "body",
        "a body of chunks ends early, and then comes whole",
        harmless=True,
        answer=_how("cut_chunked"),
        fits=lambda endpoint, _: endpoint.decoder.tells_cuts,
    ),
    Fault(
        "cut_unmarked",
        "body",
        "a body without a length ends early",
        answer=_how("cut_unmarked"),
        seen=lambda endpoint: endpoint.decoder.tells_cuts is False or endpoint.decoder.type in ("json", "xml"),
    ),
    Fault("chunks", "body", "a body comes in chunks", harmless=True, answer=_how("chunked", times=None)),
    Fault("slow", "body", "a body comes slowly", harmless=True, answer=_how("slow", _SLOW_SECONDS)),
    Fault(
        "stalled",
        "body",
        "a body stops coming, and then comes whole",
        harmless=True,
        answer=_how("stalled", _STALLED_SECONDS),
    ),
    Fault("reset_once", "body", "the connection breaks before an answer, once", harmless=True, answer=_how("reset")),
    Fault(
        "reset_in_body", "body", "the connection breaks in a body, once", harmless=True, answer=_how("reset_in_body")
    ),
    Fault("reset_for_good", "body", "the connection breaks, again and again", answer=_how("reset", times=None)),
    Fault("gzip", "body", "a body is packed", harmless=True, answer=_struck(_packed, None)),
    Fault("no_gzip", "body", "a body says that it is packed, and is not", answer=_headed(Content_Encoding="gzip")),
    Fault(
        "content_type",
        "body",
        "a body says that it is a web page, and is not",
        harmless=True,
        answer=_headed(Content_Type="text/html"),
    ),
    Fault("html", "body", "a web page comes instead", answer=_with_body(_HTML, "text/html")),
    Fault(
        "latin_1",
        "body",
        "a body is in another charset",
        answer=_struck(_latin, None),
        fits=lambda endpoint, _: isinstance(endpoint.decoder, Json | JsonLines),
    ),
    Fault("invalid", "body", "a body is no JSON", answer=_struck(_invalid, None), fits=_is_json),
    Fault("nothing", "body", "a body is empty", answer=_with_body(b""), seen=_nothing_is_told, advice=_COUNT),
    Fault(
        "null",
        "body",
        "a body is null",
        answer=_with_body(b"null"),
        fits=_is_json,
        seen=_nothing_is_told,
        advice=_COUNT,
    ),
    Fault(
        "object",
        "body",
        "a body is an empty object",
        answer=_with_body(b"{}"),
        fits=_is_json,
        seen=_nothing_is_told,
        advice=_COUNT,
    ),
    Fault(
        "list",
        "body",
        "a body is an empty list",
        answer=_with_body(b"[]"),
        fits=_is_json,
        seen=_nothing_is_told,
        advice=_COUNT,
    ),
    Fault(
        "error_in_200",
        "body",
        "an error comes with status 200",
        answer=_struck(_error_inside, None),
        fits=_is_json,
        seen=_nothing_is_told,
        advice="name where errors are told: `errors:`",
    ),
)

REDIRECTS = (
    Fault("redirected", "redirect", "a request is sent on, to the same origin", harmless=True, answer=_to(_beside)),
    Fault(
        "redirected_elsewhere",
        "redirect",
        "a request is sent on, to another origin",
        answer=_to(lambda struck, asked: f"{struck.elsewhere}{asked.path}"),
    ),
    Fault(
        "redirected_with_secret",
        "redirect",
        "a request is sent on, to another origin, with all that it held",
        answer=_to(lambda struck, asked: f"{struck.elsewhere}{asked.target}"),
    ),
    Fault(
        "redirected_in_circles",
        "redirect",
        "a request is sent on to itself, again and again",
        answer=_to(lambda _, asked: asked.target, times=None),
    ),
    Fault(
        "redirected_to_login",
        "redirect",
        "a request is sent on to a page to sign in at",
        answer=_to(lambda *_: SIGN_IN, 302),
    ),
)

CREDENTIALS = (
    Fault(
        "echo",
        "credential",
        "a page repeats what was sent, credentials among it",
        harmless=True,
        fits=_is_json_object,
        answer=_struck(lambda answer, _, asked: echoing(answer, asked), None),
    ),
    Fault(
        "status_401_for_good",
        "credential",
        "the credential is refused, again and again",
        answer=_struck(lambda _, struck, asked: refusal(401, asked, struck.error_message), None),
    ),
    Fault(
        "expired",
        "credential",
        "the credential is another one from now on",
        harmless=True,
        answer=_struck(lambda answer, struck, asked: struck.expire(asked) or answer),
        needs_renewal=True,
    ),
)

"""The sandbox's server: one process, one port, all APIs, and the pages that tell about it.

request ─► seen ─► credential ─► limits ─► faults ─► the API's answer ─► whole or broken body

/__health  /__truth/SOURCE/ENDPOINT  /__seen  /__limits  /__faults  /__advance?days=N
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ingest_assets.sandbox import ecb, github, mixpanel, open_meteo, stripe, synthetic, zendesk
from ingest_assets.sandbox.answers import Answer, Api, Asked, encode, values_of
from ingest_assets.sandbox.bodies import body_of, cut, cut_chunked, paced, slow, whole
from ingest_assets.sandbox.faults import FAILURES, PAGES, Faults, Strike
from ingest_assets.sandbox.limits import Limits, Refusal
from ingest_assets.sandbox.truth import truth
from ingest_assets.sandbox.world import World, iso, world

SEEN_MAX = 500_000
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


APIS = (stripe.API, zendesk.API, mixpanel.API, github.API, open_meteo.API, ecb.API)


@dataclass
class State:
    """All that changes while a server runs."""

    world: World
    limits: Limits
    faults: Faults = field(default_factory=Faults)
    seen: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SEEN_MAX))
    requests: int = 0


def app(at: World, factor: float = 1.0) -> Starlette:
    """The server as an ASGI application."""
    everything = {name: limit for api in APIS for name, limit in api.limits.items()}
    state = State(at, Limits(everything, factor))

    async def serve(request: Request) -> Response:
        return await _serve(state, request)

    async def own(request: Request) -> Response:
        return await _own(state, request)

    return Starlette(
        routes=[Route("/__{rest:path}", own, methods=METHODS), Route("/{rest:path}", serve, methods=METHODS)]
    )


def _api_of(path: str) -> Api | None:
    for api in APIS:
        if path.startswith(f"{api.prefix}/"):
            return api
    return synthetic.API if path.startswith(synthetic.PREFIXES) else None


async def _serve(state: State, request: Request) -> Response:
    path = request.url.path
    api = _api_of(path)
    if api is None:
        return Response(b'{"error":"no such API in this sandbox"}', 404, media_type="application/json")
    query = values_of(request.url.query)
    body = await request.body()
    query = {**query, **_values_of_body(request, body)}
    base = f"{request.url.scheme}://{request.url.netloc}"
    asked = Asked(state.world, request.method, path[len(api.prefix) :], query, request.headers, base)
    state.requests += 1
    note: dict[str, Any] = {
        "time": time.monotonic(),
        "method": request.method,
        "path": path,
        "query": {name: values[0] if len(values) == 1 else values for name, values in query.items()},
        "authorization": "authorization" in request.headers,
        "credential": None,
        "bucket": None,
        "fault": None,
        "status": None,
    }
    state.seen.append(note)
    response = _respond(state, api, asked, note, path)
    note["status"] = response.status_code
    return response


def _values_of_body(request: Request, body: bytes) -> dict[str, list[str]]:
    """The values of a form, and of a GraphQL request's variables, as if they were in the query."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        return values_of(body.decode())
    if not kind.startswith("application/json") or not body:
        return {}
    try:
        sent = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
    values = {**sent, **(sent.get("variables") or {})}
    return {name: [str(value)] for name, value in values.items() if isinstance(value, str | int)}


def _respond(state: State, api: Api, asked: Asked, note: dict[str, Any], path: str) -> Response:
    headers = api.headers(asked, state.requests)
    gzip = "gzip" in asked.headers.get("accept-encoding", "")
    who = api.credential(asked)
    if isinstance(who, Answer):
        return whole(who, headers, gzip=gzip)
    asked = replace(asked, world=api.world_of(asked.world, who))
    buckets = api.buckets(asked.path, who)
    note |= {"credential": who, "bucket": buckets[-1] if buckets else None}
    taken = state.limits.take(buckets)
    if isinstance(taken, Refusal):
        wait = max(1.0, taken.wait_seconds) if api.tells_wait else None
        return whole(api.throttled(asked, taken.bucket, wait), headers, gzip=gzip)
    if buckets:
        headers |= api.rate_headers(taken)
    strike = state.faults.strike(path, asked.query)
    if strike is None:
        return whole(api.answer(asked), headers, gzip=gzip)
    note["fault"] = strike.fault
    return _struck(api, asked, strike, buckets, headers, gzip=gzip)


def _struck(
    api: Api, asked: Asked, strike: Strike, buckets: tuple[str, ...], headers: Mapping[str, str], *, gzip: bool
) -> Response:
    """The response to a request that a fault strikes."""
    fault = strike.fault
    if fault == "429_storm":
        bucket = buckets[0] if buckets else ""
        wait = strike.retry_after if strike.retry_after is not None or not api.tells_wait else 1.0
        return whole(api.throttled(asked, bucket, wait), headers, gzip=gzip)
    if fault == "expired_token":
        return whole(api.expired, headers, gzip=gzip)
    if fault == "502":  # a proxy in front of the API speaks for itself
        return whole(Answer(b"<html><h1>502 Bad Gateway</h1></html>", 502, media="text/html"), headers, gzip=gzip)
    if fault in FAILURES:
        broken = api.broken(asked, FAILURES[fault])
        retry = {} if strike.retry_after is None else {"Retry-After": f"{strike.retry_after:.0f}"}
        return whole(broken, {**headers, **retry}, gzip=gzip)
    if fault == "errors_in_200":
        return whole(_error_in_200(api, asked), headers, gzip=gzip)
    answer = api.answer(replace(asked, fault=fault if fault in PAGES else None))
    if fault == "slow_body":
        return slow(answer, headers, gzip=gzip, seconds=strike.seconds)
    if fault == "cut_body":
        return cut(answer, headers)
    if fault == "cut_body_chunked":
        return cut_chunked(answer, headers, gzip=gzip)
    if fault == "terminated_early":
        answer = replace(answer, body=mixpanel.terminated(body_of(answer)))
    return whole(answer, headers, gzip=gzip)


def _error_in_200(api: Api, asked: Asked) -> Answer:
    if asked.path == "/graphql":
        message = {"message": "Throttled", "extensions": {"code": "THROTTLED"}, "path": ["items"]}
        return Answer(encode({"data": None, "errors": [message]}))
    return replace(api.broken(asked, 500), status=200)


async def _own(state: State, request: Request) -> Response:
    """The pages about the sandbox itself: no credential, no limits."""
    method, rest = request.method, request.path_params["rest"]
    name, _, below = rest.partition("/")
    if name == "health":
        return _json(_health(state.world))
    if name == "truth":
        source, _, endpoint = below.partition("/")
        lines = truth(state.world, source, endpoint, values_of(request.url.query))
        return StreamingResponse(paced(lines, 0.0), media_type="application/x-ndjson") if lines else _json({}, 404)
    if name == "seen":
        if method == "DELETE":
            state.seen.clear()
        return Response(b"".join([encode(note) + b"\n" for note in state.seen]), media_type="application/x-ndjson")
    if name == "limits":
        return _json(state.limits.told())
    if name == "faults":
        return _faults(state.faults, method, await request.body())
    if name == "advance" and method == "POST":
        days = request.query_params.get("days", "1")
        if not days.isdigit():
            return _json({"error": "days must be a number of days"}, 400)
        state.world = state.world.advanced(int(days))
        return _json(_health(state.world))
    return _json({"error": "no such page"}, 404)


def _health(at: World) -> dict[str, Any]:
    laws = at.laws
    return {"ok": True, "now": iso(at.now), "start": iso(at.start), "seed": laws.seed, "scale": laws.scale}


def _json(value: object, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _faults(faults: Faults, method: str, body: bytes) -> Response:
    if method == "DELETE":
        faults.clear()
    if method == "POST":
        try:
            faults.switch_on(msgspec.json.decode(body, type=dict[str, Any]))
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 400)
    return _json(faults.told())


def today() -> date:
    """The day that began at the last UTC midnight."""
    return datetime.now(UTC).date()


def _print(url: str) -> None:
    print(url, flush=True)


def run(
    port: int = 0,
    seed: int = 7,
    now: date | None = None,
    scale: float = 1.0,
    factor: float = 1.0,
    start: date | None = None,
    *,
    host: str = "127.0.0.1",
    while_stdin_open: bool = False,
    tell: Callable[[str], None] = _print,
) -> None:
    """Serves until SIGINT or SIGTERM; tells the URL once requests are accepted: prints it, alone on a line.

    Port 0 takes a free one. `now` is a UTC midnight, by default the last one; `factor` multiplies the limits.
    """
    at = world(now or today(), seed, scale, start)
    gc.freeze()
    gc.set_threshold(20_000, 20, 1000)  # records are trees: going through the kept ones again finds nothing
    with socket.create_server((host, port), backlog=256) as listening:
        # Else a small answer can wait 40 ms for the caller's delayed acknowledgement (RFC 1122 §4.2.3.2).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        url = f"http://{host}:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            app(at, factor), log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises a signal again after its own clean end; to us that end is all there is.
            signal.signal(number, lambda *_: None)
        told = partial(tell, url)
        asyncio.run(_until_ended(uvicorn.Server(config), listening, told, while_stdin_open=while_stdin_open))


async def _until_ended(
    server: uvicorn.Server, listening: socket.socket, tell: Callable[[], None], *, while_stdin_open: bool
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    tell()
    if while_stdin_open:
        _end_with_stdin(server)
    await serving


def _end_with_stdin(server: uvicorn.Server) -> None:
    """Ends the server when whoever started it is gone, however it went."""

    def ended() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            server.should_exit = True
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())

    with contextlib.suppress(PermissionError):  # a regular file is no pipe that could break
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended)

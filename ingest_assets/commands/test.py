"""`ingest test`: a source file against an API on loopback that does everything wrong that APIs do."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.status import Status

from ingest_assets import catalog
from ingest_assets.chaos.recorded import Finding, findings
from ingest_assets.chaos.stand_in import made_up
from ingest_assets.chaos.trial import Tried, Verdict
from ingest_assets.chaos.trials import Chosen, trials
from ingest_assets.commands.check import named
from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import counted, facts, note, table
from ingest_assets.errors import ConfigError
from ingest_assets.source import Source

_SIGNS: dict[Verdict, str] = {
    "kept": "✓",
    "refused": "✓ refused",
    "unseen": "! unseen",
    "broken": "✗ broken",
}
_LEGEND = (
    ("✓", "all records came, each once"),
    ("✓ refused", "a failure that says why; nothing counts as done, and the next run brings all"),
    ("! unseen", "records can be lost, and nothing in the file would show it"),
    ("✗ broken", "the promise is broken"),
)
_MOST_IN_A_ROW = 6
_RECORDED = "recorded"


def chosen(text: str) -> tuple[Source, tuple[str, ...]]:
    """The source that a text names, by its name or file, and the endpoint, where it names one."""
    if text.endswith((".yaml", ".yml")):
        return named(text), ()
    name, _, endpoint = text.partition(".")
    source = named(name)
    if endpoint and endpoint not in source.endpoints:
        raise ConfigError(f"{text!r} is no endpoint; {catalog.hint(endpoint, source.endpoints)}")
    return source, (endpoint,) if endpoint else ()


@dataclass(frozen=True)
class Looked:
    """What the stored responses of an endpoint say against the file."""

    endpoint: str
    pages: int
    findings: list[Finding]


def try_faults(source: Source, chosen: Chosen, data: Path, out: Output, *, details: bool = False) -> bool:
    """Try all faults, look at what is stored, and print what came of it; whether all is well."""
    found = list[Tried]()
    with Status("", console=out.progress) as status:

        def began(name: str, fault: str) -> None:
            status.update(f"{source.name}.{name}: {fault} ({counted(len(found), 'trial')} done)")

        if [*chosen.only] != [_RECORDED]:
            found += trials(source, replace(chosen, only=[one for one in chosen.only if one != _RECORDED]), began)
    looked = _looked_at(source, chosen, data) if not chosen.only or _RECORDED in chosen.only else []
    good = all(one.good for one in found) and not any(one.findings for one in looked)
    if found:
        out.console.print()
        _print(found, out, details=details)
    for one in looked:
        _print_looked(one, out)
    if looked and not any(one.pages for one in looked):
        out.console.print("No stored responses to compare the file with: `ingest run` stores them")
    told = {"trials": [asdict(one) for one in found], "recorded": [asdict(one) for one in looked]}
    out.document({"source": source.name, "seed": chosen.seed, **told}, ok=good)
    return good


def _looked_at(source: Source, chosen: Chosen, data: Path) -> list[Looked]:
    """What is stored of each endpoint, against the file."""
    settled = catalog.settled(source, {**made_up(source), **os.environ})
    names = chosen.endpoints or source.endpoints
    return [Looked(f"{source.name}.{name}", *findings(settled, name, data)) for name in names]


def _print_looked(one: Looked, out: Output) -> None:
    if one.pages:
        told = "nothing against the file" if not one.findings else counted(len(one.findings), "finding")
        out.console.print(f"{one.endpoint}: {counted(one.pages, 'stored page')}: {told}")
    for found in one.findings:
        out.console.print(note("✗", f"{found.endpoint}: {found.field}: {found.found}"))
        if found.todo:
            out.console.print(note(" ", f"→ {found.todo}"))


def _print(found: Sequence[Tried], out: Output, *, details: bool) -> None:
    names = list(dict.fromkeys(one.endpoint for one in found))
    if details or len(names) > _MOST_IN_A_ROW:
        rows = [[one.endpoint, one.fault, _SIGNS[one.verdict], one.happened] for one in found]
        out.console.print(table(["endpoint", "fault", "verdict", "what happened"], rows))
    else:
        out.console.print(_matrix(found, names))
    out.console.print()
    shown = {_SIGNS[one.verdict] for one in found}
    out.console.print(facts([(sign, told) for sign, told in _LEGEND if sign in shown]))
    for verdict, sign in (("unseen", "!"), ("broken", "✗")):
        for fault, some in _by_fault([one for one in found if one.verdict == verdict]):
            where = ", ".join(one.endpoint for one in some)
            out.console.print(note(sign, f"{fault} ({some[0].says}): {where}: {some[0].happened}"))
            if some[0].todo:
                out.console.print(note(" ", f"→ {some[0].todo}"))
    told = Counter(one.verdict for one in found)
    counts = ", ".join(f"{told[verdict]} {verdict}" for verdict in _SIGNS if told[verdict])
    seconds = sum(one.seconds for one in found)
    out.console.print(f"{counted(len(found), 'trial')}: {counts or 'none'}; {seconds:.1f} s")


def _matrix(found: Sequence[Tried], names: Sequence[str]) -> object:
    """A row a fault, a column an endpoint."""
    verdicts = {(one.fault, one.endpoint): _SIGNS[one.verdict] for one in found}
    faults = list(dict.fromkeys((one.fault, one.says) for one in found))
    rows = [[fault, says, *(verdicts.get((fault, name), "") for name in names)] for fault, says in faults]
    return table(["fault", "the API", *(name.partition(".")[2] for name in names)], rows)


def _by_fault(found: Sequence[Tried]) -> list[tuple[str, list[Tried]]]:
    """What came of each fault, where it came to the same."""
    grouped: dict[tuple[str, str], list[Tried]] = {}
    for one in found:
        grouped.setdefault((one.fault, one.todo), []).append(one)
    return [(fault, some) for (fault, _), some in grouped.items()]

"""Records, and what an answer says beside them, written as the endpoint's decoder reads it."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET  # only ever written here

from ingest_assets.chaos.made import put
from ingest_assets.chaos.values import as_text
from ingest_assets.http.decoders.json_lines import JsonLines
from ingest_assets.http.decoders.separated import Separated
from ingest_assets.http.decoders.xml import Xml
from ingest_assets.http.selector import Selector
from ingest_assets.source import Endpoint

Beside = Sequence[tuple[str, Any]]
"""What an answer says beside its records: a value at a path, one after another."""


def written(endpoint: Endpoint, records: Sequence[Mapping[str, Any]], beside: Beside) -> tuple[bytes, str]:
    """The body, and its content type."""
    decoder = endpoint.decoder
    if isinstance(decoder, JsonLines):
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        return lines.encode(), "application/x-ndjson"
    if isinstance(decoder, Separated):
        return _separated(decoder, records), f"text/csv; charset={decoder.encoding}"
    if isinstance(decoder, Xml):
        return _xml(decoder, endpoint.records, records, beside), "application/xml"
    body: Any = selected(endpoint.records, records)
    for path, given in beside:
        body = put(body, path, given) if isinstance(body, Mapping) else body
    return json.dumps(body, ensure_ascii=False).encode(), "application/json"


def selected(selector: Selector, records: Sequence[Mapping[str, Any]]) -> Any:
    """A body that holds records where a selector finds them.

    >>> selected(Selector(path="days[].items[]", keep="day"), [{"day": 1, "id": 2}])
    {'days': [{'day': 1, 'items': [{'id': 2}]}]}
    >>> selected(Selector(path="rates{}", key="of", value="rate"), [{"of": "EUR", "rate": 1.1}])
    {'rates': {'EUR': 1.1}}
    """
    if selector.layout == "columns":
        names = list(records[0]) if records else []
        found: Any = {name: [record[name] for record in records] for name in names}
    else:
        found = _stepped(selector, selector.steps, list(records), 0)
    return _nested(selector.keys, found)


def _nested(keys: Iterable[str], found: Any) -> Any:
    for key in reversed(tuple(keys)):
        found = {key: found}
    return found


def _stepped(
    selector: Selector, steps: Sequence[tuple[str, tuple[str, ...]]], records: list[Mapping[str, Any]], taken: int
) -> Any:
    if not steps:
        return [*records]
    (mark, keys), rest = steps[0], steps[1:]
    if mark == "[]":
        if not rest:
            return [_nested(keys, record) for record in records]
        return [
            {**kept, **_nested(keys, _stepped(selector, rest, [_without(one, kept) for one in some], taken))}
            for kept, some in _kept(selector, records)
        ]
    key = selector.key[taken]
    groups = [(name, list(some)) for name, some in groupby(records, lambda record: as_text(record.get(key)))]
    if not rest:
        return {name: _nested(keys, _bare(selector, _without(some[0], {key: None}))) for name, some in groups}
    return {
        name: _nested(keys, _stepped(selector, rest, [_without(one, {key: None}) for one in some], taken + 1))
        for name, some in groups
    }


def _kept(selector: Selector, records: list[Mapping[str, Any]]) -> list[tuple[dict[str, Any], list[Mapping[str, Any]]]]:
    """Records by the fields that stand in the elements around them."""
    told = [({name: record.get(name) for name in selector.keep}, record) for record in records]
    return [(kept, [record for _, record in some]) for kept, some in groupby(told, lambda pair: pair[0])]


def _without(record: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given for name, given in record.items() if name not in names}


def _bare(selector: Selector, record: Mapping[str, Any]) -> Any:
    return record[selector.value] if [*record] == [selector.value] else record


def _separated(decoder: Separated, records: Sequence[Mapping[str, Any]]) -> bytes:
    names = list(decoder.names) or list(dict.fromkeys(name for record in records for name in record)) or ["id"]
    text = io.StringIO()
    told = {name: given for name, given in decoder.dialect.items() if name not in ("strict", "skipinitialspace")}
    writer = csv.writer(text, lineterminator="\n", **told)
    text.write("passed over\n" * decoder.skip_lines)
    if not decoder.names:
        writer.writerow(names)
    writer.writerows([as_text(record.get(name)) for name in names] for record in records)
    return text.getvalue().encode(decoder.encoding, "xmlcharrefreplace")


def _xml(decoder: Xml, selector: Selector, records: Sequence[Mapping[str, Any]], beside: Beside) -> bytes:
    root_name, *way, last = selector.path.replace("[]", "").split(".")
    root = ET.Element(root_name, {f"xmlns:{p}" if p else "xmlns": uri for p, uri in decoder.namespaces.items()})
    above, holder_name = root, None
    for name in way[:-1]:
        above = ET.SubElement(above, name)
    holder_name = way[-1] if way else None
    for kept, some in _kept(selector, list(records)) or [({}, [])]:
        holder = ET.SubElement(above, holder_name) if holder_name else root
        for name, given in kept.items():
            holder.set(name.removeprefix("@"), as_text(given))
        for record in some:
            _element(ET.SubElement(holder, last), _without(record, kept))
    for path, given in beside:
        _put_element(root, path.split(".")[1:], given)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _element(element: ET.Element, told: Mapping[str, Any]) -> None:
    for name, given in told.items():
        if name.startswith("@"):
            element.set(name.removeprefix("@"), as_text(given))
        elif name == "value":
            element.text = as_text(given)
        elif isinstance(given, Mapping):
            _element(ET.SubElement(element, name), given)
        else:
            for one in given if isinstance(given, list) else [given]:
                inner = ET.SubElement(element, name)
                if isinstance(one, Mapping):
                    _element(inner, one)
                else:
                    inner.text = as_text(one)


def _put_element(element: ET.Element, steps: Sequence[str], given: Any) -> None:
    """A value at a path below an element: elements, `[@rel=next]`, and `@attribute` at the end."""
    if given is None:
        return
    for step in steps:
        if step.startswith("@"):
            element.set(step.removeprefix("@"), as_text(given))
            return
        name, _, choice = step.partition("[")
        found = element.find(name) if not choice else None
        element = ET.SubElement(element, name) if found is None else found
        if "=" in choice:
            attribute, _, wanted = choice.removesuffix("]").partition("=")
            element.set(attribute.removeprefix("@"), wanted)
    element.text = as_text(given)

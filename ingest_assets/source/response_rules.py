"""What has to fit together between rules on responses and what they are for: pages, credentials."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest_assets.http.rule_problems import OF_RECORDS
from ingest_assets.source.model import Problem

if TYPE_CHECKING:  # an endpoint and a source are checked by these rules as they are made
    from ingest_assets.source.endpoint import Endpoint
    from ingest_assets.source.source import Source

_NO_AUTH = "there is no credential to renew: the file names no `auth`"


def response_problems(endpoint: "Endpoint") -> Iterator[Problem]:
    """All that is broken in the rules of an endpoint."""
    for place, rule in enumerate(endpoint.responses):
        if rule.means == "end" and endpoint.paginator.type == "none":
            told = "one page is read, so there is no end to be told of: say how the endpoint pages by `paginator`"
            yield ("responses", place, "means"), told
        whole = endpoint.write == "replace" and endpoint.parent is None
        if rule.means == "empty" and rule.by_status_alone and whole and {404, 410} & set(rule.status):
            told = (
                "a path that is wrong is answered so, too, and with write: replace that would empty the table: say by "
                "path, header, text or jmespath which answers are meant"
            )
            yield ("responses", place, "status"), told
        if rule.means == "skip_parent" and endpoint.parent is None:
            told = "it has no parents to skip: its request names no field of another endpoint, such as {customers.id}"
            yield ("responses", place, "means"), told
        if rule.means == "skip_parent" and endpoint.parents.batch > 1:
            told = f"a request asks for {endpoint.parents.batch} parents, and its answer cannot skip one: say batch: 1"
            yield ("responses", place, "means"), told


def source_response_problems(source: "Source") -> Iterator[Problem]:
    """All that is broken in the rules of a source, and in those that need what the source says."""
    for place, rule in enumerate(source.responses):
        if rule.means in OF_RECORDS:
            told = f"{rule.means} is a matter of one endpoint: say it under `responses` there"
            yield ("responses", place, "means"), told
        if rule.means == "new_credential" and all(auth.type == "none" for auth in source.ways_in):
            yield ("responses", place, "means"), _NO_AUTH
    for name, endpoint in source.endpoints.items():
        for place, rule in enumerate(endpoint.responses):
            if rule.means == "new_credential" and (endpoint.auth or source.auth).type == "none":
                yield ("endpoints", name, "responses", place, "means"), _NO_AUTH

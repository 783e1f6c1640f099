"""What a fetch asked for and by which code it was loaded, as each of its rows can be joined with."""

from importlib.metadata import version
from urllib.parse import urlsplit

from ingest_assets.contract import NORMALIZATION
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Endpoint

CODE = f"{version('ingest-assets')}/{NORMALIZATION}"
"""The version of the package, and of its rules of normalization."""


def asked_url(snapshot: Snapshot, endpoint: Endpoint) -> str | None:
    """The URL that a fetch asked, without its query; None where no page is stored.

    Of children, the path is as the file has it: whose they are stands in the rows, where `ingest forget` finds it. The
    whole request of each page is in the snapshot, and `ingest why` shows it.
    """
    if not snapshot.pages:
        return None
    url = urlsplit(snapshot.pages[0].request.url)
    path = url.path if endpoint.parent is None else endpoint.path
    return f"{url.scheme}://{url.netloc}/{path.lstrip('/')}"

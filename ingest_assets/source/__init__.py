"""The source file: everything an API differs in, as data.

    Source                      one API: where it is, how to get in, how fast one may ask
    └── Endpoint                one collection: what is asked, how it changes, what its table promises
        ├── Count               a request that says how many records there are
        ├── Job                 an export that has to be made first: see `ingest_assets.source.job`
        ├── Window | Feed       how it can be asked for a part; neither of them: a listing   (changes)
        ├── Partitions          which parts are fetched, loaded and backfilled as one: periods, accounts, or both
        └── Contract            see `ingest_assets.contract`

Models, and beside them the rules that they are checked by: reading files is `ingest_assets.catalog`, and what each
part does stands with its model in `ingest_assets.http`.
"""

from ingest_assets.source.changes import Cap, Changes, Feed, FeedCursor, Lookback, SeenByFeed, Window
from ingest_assets.source.count import Count
from ingest_assets.source.cron import cron
from ingest_assets.source.cut_list import CutList
from ingest_assets.source.endpoint import Endpoint, listed
from ingest_assets.source.model import NAME, PLACEHOLDER
from ingest_assets.source.parents import Above, Parents
from ingest_assets.source.source import Setting, Source
from ingest_assets.source.source_rules import RESERVED_NAMES, listings
from ingest_assets.source.volume import Volume

__all__ = [
    "NAME",
    "PLACEHOLDER",
    "RESERVED_NAMES",
    "Above",
    "Cap",
    "Changes",
    "Count",
    "CutList",
    "Endpoint",
    "Feed",
    "FeedCursor",
    "Lookback",
    "Parents",
    "SeenByFeed",
    "Setting",
    "Source",
    "Volume",
    "Window",
    "cron",
    "listed",
    "listings",
]

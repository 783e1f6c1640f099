"""From the bytes of a page to its records, each as the text that the API sent, in blocks of a few megabytes.

Nothing is parsed but the *envelope*, which is the body without the records. A body is read once, from begin to
end, and memory does not grow with it:

    {"has_more": true, "data": [ {…}, {…}, {…}, {…} ], "total": 4}
     └──── envelope ─────────┘  └ block ┘ └ block ┘ └── envelope ┘

    decoded         what all kinds give: blocks of records, the envelope, the last record
    pieces          a body piece by piece
    parsing         JSON parsed in part, or exactly
    envelope        what a page says beside its records
    json_list       records in one list               ┐
    json_places     … in several places, or columns   │ JSON
    json_document   which of these                    ┘
    json_lines      JSON lines
    separated       CSV and TSV; `texts` is a body line by line
    xml             XML; `elements` reads it
    markup          web pages where something else was due
    kind            what the models of all kinds are
"""

from typing import Annotated

from ingest_assets.http.decoders.decoded import MAX_RECORD_BYTES, Block, Decoded
from ingest_assets.http.decoders.json_document import Json
from ingest_assets.http.decoders.kind import DecoderModel
from ingest_assets.http.one_of import OneOf

__all__ = ["MAX_RECORD_BYTES", "Block", "Decoded", "Decoder", "Json"]

Decoder = Annotated[
    DecoderModel,
    OneOf(
        "ingest_assets.http.decoders",
        json="json_document.Json",
        jsonl="json_lines.JsonLines",
        csv="separated.Separated",
        tsv="separated.Separated",
        xml="xml.Xml",
    ),
]

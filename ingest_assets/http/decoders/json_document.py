"""One JSON document a body; where in it the records are decides how it is read."""

from typing import BinaryIO, Literal

from ingest_assets.http.decoders.decoded import MAX_RECORD_BYTES, Decoded
from ingest_assets.http.decoders.json_list import JsonPage
from ingest_assets.http.decoders.kind import DecoderModel
from ingest_assets.http.selector import Selector


class Json(DecoderModel):
    """The body is one JSON document."""

    type: Literal["json"] = "json"

    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        """The page's blocks. While they are iterated this is raised:

        TransientFailure where the body is cut: empty, its structure not closed, or followed by more;
        RequestFailed where it is no JSON, or the records are not where the selector says.

        >>> import io
        >>> page = Json().decode(io.BytesIO(b'{"data": [{"id": 1}], "has_more": false}'), Selector(path="data"))
        >>> [block.text for block in page], page.records, page.envelope, page.last_record
        ([b'[{"id": 1}]'], 1, {'has_more': False}, {'id': 1})
        >>> body = io.BytesIO(b'{"hourly": {"time": [1, 2], "rain": [0.0, null]}}')
        >>> page = Json().decode(body, Selector(path="hourly", layout="columns"))
        >>> [block.text for block in page]
        [b'[{"time":1,"rain":0.0},{"time":2,"rain":null}]']
        """
        if selector.layout != "columns" and not selector.steps:
            return JsonPage(body, selector, max_record_bytes)
        from ingest_assets.http.decoders.json_places import ColumnsPage, NestedPage

        made = ColumnsPage if selector.layout == "columns" else NestedPage
        return made(body, selector, max_record_bytes)

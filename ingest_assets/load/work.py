"""What is loaded: an endpoint, and what its table promises."""

from msgspec import Struct

from ingest_assets.contract import Contract
from ingest_assets.source import Endpoint


class Work(Struct, frozen=True):
    """An endpoint to load: its source's name, its own, and what its file says of it."""

    source: str
    endpoint: str
    model: Endpoint

    @property
    def contract(self) -> Contract:
        """What the table promises."""
        return self.model.contract

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.source}.{self.endpoint}"

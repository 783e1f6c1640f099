"""What every kind of decoder is: a frozen model, and two facts about what it gives."""

from abc import abstractmethod
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ingest_assets.http.decoders.decoded import MAX_RECORD_BYTES, Decoded
from ingest_assets.http.selector import Selector


class DecoderModel(BaseModel):
    """How a body is written.

    `makes`: its records stand nowhere in the body as they are given, so that none can be taken out of it.
    `texts`: all values arrive as texts, and the contract says what they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    makes: ClassVar[bool] = False
    texts: ClassVar[bool] = False

    if TYPE_CHECKING:
        type: str

    @abstractmethod
    def decode(self, body: BinaryIO, selector: Selector, max_record_bytes: int = MAX_RECORD_BYTES) -> Decoded:
        """The page's blocks."""

    @property
    def tells_cuts(self) -> bool:
        """Whether a body that is cut can be told from a whole one by itself, wherever that is."""
        return True

    @property
    def read_as(self) -> str | None:
        """The encoding that a body without a byte order mark is read in; None where it says so itself."""
        return "utf-8"

    def refused(self, _selector: Selector) -> str | None:
        """Why records cannot be looked for in a body as this says, if so."""
        return None


class LinesModel(DecoderModel):
    """A body of lines: cut between two of them, it looks whole."""

    unmarked_end: Literal["refuse", "accept"] = Field(
        "refuse",
        description="'accept' where the server says nowhere how long a body is, and counts no records: what is cut "
        "between two lines is taken for whole then",
    )

    @property
    def tells_cuts(self) -> bool:
        """Only where it was said that this is fine."""
        return self.unmarked_end == "accept"

"""How many records of a partition are usual, and what is too far from it."""

from pydantic import Field, model_validator

from ingest_assets.source.model import Model


class Volume(Model):
    """What is unusual is told and stops nothing: a partition is compared with earlier ones of its kind.

    A day is compared with the same weekday's, an hour with the same hour's of that weekday, and whatever is fetched as
    a whole with its earlier fetches.
    """

    least: float = Field(0.5, ge=0, lt=1, description="a smaller share of the usual number of records is unusual")
    most: float = Field(2.0, gt=1, description="a greater share of the usual number of records is unusual")
    of: int = Field(8, ge=2, description="the usual number is the median of so many earlier ones")
    history: int = Field(4, ge=2, description="with fewer earlier ones than these nothing is called unusual")

    @model_validator(mode="after")
    def _enough(self) -> "Volume":
        if self.history > self.of:
            raise ValueError(f"history is {self.history} and of is {self.of}: the median is never of so many")
        return self

"""The name of a secret: where its value is, never the value."""

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest_assets.durations import Duration

# A shorter value would also be found, and replaced, in text that has nothing to do with it.
SHORTEST = 6
_KINDS = ("env", "file", "vault", "aws_secret")
_HOW = (
    "write {env: NAME} for an environment variable, {file: PATH} for a file, {vault: PATH, field: NAME} or "
    "{aws_secret: NAME, field: NAME} for a store: a secret never stands in the file"
)


class _NotNamed:
    """Stands for what a file gave instead of a secret's name, so that no error message can show it."""

    def __repr__(self) -> str:
        return "hidden"


class Secret(BaseModel):
    """A secret by name: an environment variable, a file that holds the value and nothing else, or a store's entry."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        hide_input_in_errors=True,
        json_schema_extra={
            "oneOf": [
                {"required": ["env"]},
                {"required": ["file"]},
                {"required": ["vault", "field"]},
                {"required": ["aws_secret"]},
            ]
        },
    )

    env: str | None = Field(None, description="name of the environment variable that holds the value")
    file: str | None = Field(None, description="path of the file that holds the value; one newline at its end is cut")
    vault: str | None = Field(
        None, description="path in the Vault at VAULT_ADDR, as `vault kv get` takes it, such as secret/shop"
    )
    aws_secret: str | None = Field(None, description="name or ARN of a secret in AWS Secrets Manager")
    field: str | None = Field(
        None, min_length=1, description="the entry's field that holds the value; of AWS without it the whole text"
    )
    cached_for: Duration = Field(
        timedelta(minutes=5), description="how long a store's answer is used; it is asked again at once after a 401"
    )

    # The two run from the last to the first: the text is gone before anything can complain about it.
    @model_validator(mode="before")
    @classmethod
    def _refuse_literals(cls, given: Any) -> Any:
        if isinstance(given, _NotNamed):
            raise ValueError(_HOW)  # noqa: TRY004 -- pydantic reports ValueErrors with their place
        return given

    @model_validator(mode="before")
    @classmethod
    def _hide_literals(cls, given: Any) -> Any:
        return given if isinstance(given, Secret) or _is_name(given) else _NotNamed()

    @model_validator(mode="after")
    def _fields_go_with_stores(self) -> "Secret":
        if self.vault is not None and self.field is None:
            raise ValueError("vault: say which field of the entry holds the value: {vault: PATH, field: NAME}")
        if self.vault is not None and not re.fullmatch(r"[^/]+(/[^/]+)+", self.vault):
            raise ValueError("vault: expected the engine's mount and a path in it, such as secret/shop")
        given = {"field", "cached_for"} & self.model_fields_set
        if given and not self.is_in_store:
            raise ValueError(f"{min(given)} goes with vault and aws_secret only")
        return self

    @property
    def is_in_store(self) -> bool:
        """Whether a server is asked for it."""
        return self.vault is not None or self.aws_secret is not None

    @property
    def place(self) -> str:
        """The variable, the path, or `path#field` of a store's entry."""
        where = self.env or self.file or self.vault or self.aws_secret or ""
        return f"{where}#{self.field}" if self.field else where

    @property
    def name(self) -> str:
        """What messages and markers call it, in letters, digits and underscores.

        >>> Secret(env="STRIPE_API_KEY").name, Secret(file="/run/secrets/my-key.txt").name
        ('STRIPE_API_KEY', 'my_key_5d78843c')
        >>> Secret(vault="secret/shop", field="token").name
        'shop_token_39d853ee'
        """
        if self.env is not None:
            return self.env
        stem = Path(self.file or self.vault or self.aws_secret or "").stem + (f"_{self.field}" if self.field else "")
        return re.sub(r"\W", "_", stem, flags=re.ASCII) + "_" + hashlib.sha256(self.place.encode()).hexdigest()[:8]

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        store = f"Vault {self.vault}" if self.vault is not None else f"AWS secret {self.aws_secret}"
        return f"{store}, field {self.field}" if self.field else store


def _is_name(given: Any) -> bool:
    if not isinstance(given, Mapping) or not set(given) <= {*_KINDS, "field", "cached_for"}:
        return False
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1 or not isinstance(given[kinds[0]], str) or not given[kinds[0]]:
        return False
    return kinds != ["env"] or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", given["env"]) is not None

"""Who the client is by a certificate (mutual TLS), and which authority a server's certificate is taken from."""

import ssl
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest_assets.errors import ConfigError


class Tls(BaseModel):
    """Paths of files in PEM; the key's file holds no password."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    certificate: str | None = Field(None, min_length=1, description="path of the client's certificate, with its chain")
    key: str | None = Field(None, min_length=1, description="path of its private key; left out: in the same file")
    authority: str | None = Field(
        None, min_length=1, description="path of the certificates that the server's is to be signed by, and no others"
    )

    @model_validator(mode="after")
    def _something(self) -> "Tls":
        if self.certificate is None and self.authority is None:
            raise ValueError("expected certificate (the client's) or authority (whose servers are trusted)")
        if self.key is not None and self.certificate is None:
            raise ValueError("key: expected certificate beside it")
        return self

    def refuse_unusable(self) -> None:
        """ConfigError where a file cannot be read, is no PEM, needs a password, or key and certificate do not fit."""
        for name, path in (("certificate", self.certificate), ("key", self.key), ("authority", self.authority)):
            if path is not None and not Path(path).is_file():
                raise ConfigError(f"tls: {name}: there is no file {path}")
        context, name = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "authority"
        try:
            if self.authority is not None:
                context.load_verify_locations(self.authority)
            name = "certificate"
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password=b"")
        except (OSError, ValueError) as error:  # without a password given, a person would be asked for one
            raise ConfigError(
                f"tls: {name}: cannot be used: {getattr(error, 'reason', None) or type(error).__name__}. Expected PEM, "
                "a key that fits its certificate, and no password"
            ) from None

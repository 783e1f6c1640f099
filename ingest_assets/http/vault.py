"""Reads secrets of a HashiCorp Vault or OpenBao, as its own command line does.

VAULT_ADDR says where it is; VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID (AppRole), say who asks. Errors of hvac
hold URLs and what the server says, so each is told anew and none is kept as a cause.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from ingest_assets.errors import ConfigError, IngestError, TransientFailure

_TIMEOUT_SECONDS = 10
# A token of AppRole is not used in the last tenth of its life.
_USED_SHARE = 0.9
_WHO = "set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID (AppRole), before you start"


class Vault:
    """One server, asked as one client; `remember` is told of the credentials that it is asked with."""

    def __init__(
        self,
        environ: Mapping[str, str],
        remember: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ, self._remember, self._clock = environ, remember, clock
        self._client: Any = None
        self._until = 0.0

    def fields(self, path: str) -> dict[str, str]:
        """The texts of an entry by field, of either version of the KV engine.

        Raises ConfigError where path, permission or credential is wrong, TransientFailure where it is sealed or
        does not answer.
        """
        named = f"Vault {path}"
        client = self._logged_in(named)
        try:
            found = _asked(named, lambda: self._entry(client, path))
        except ConfigError:
            if self._environ.get("VAULT_TOKEN") or client is not self._client:
                raise
            self._client = None  # a token of AppRole may have been revoked: one more
            found = _asked(named, lambda: self._entry(self._logged_in(named), path))
        if found is None:
            raise ConfigError(f"{named}: there is no such entry at {self._address}, or it was deleted")
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def _entry(self, client: Any, path: str) -> Any:
        """What is stored at a path; where its engine has versions, the newest."""
        # hvac would end the path at a # or ?, and so ask for another entry.
        mount = client.adapter.request("GET", f"/v1/sys/internal/ui/mounts/{quote(path)}")["data"]
        is_versioned = (mount.get("options") or {}).get("version") == "2"
        inside = path.removeprefix(mount["path"])
        answer = client.read(quote(f"{mount['path']}data/{inside}" if is_versioned else path))
        if answer is None:
            return None
        return answer["data"]["data"] if is_versioned else answer["data"]

    @property
    def _address(self) -> str:
        return self._environ.get("VAULT_ADDR", "").partition("?")[0].rpartition("@")[2]

    def _logged_in(self, named: str) -> Any:
        if self._client is None or self._clock() >= self._until:
            self._client, self._until = self._made(named)
        return self._client

    def _made(self, named: str) -> tuple[Any, float]:
        told = self._environ
        if not told.get("VAULT_ADDR"):
            raise ConfigError(f"{named}: set VAULT_ADDR to where the Vault is, such as https://vault.example.com:8200")
        client = _hvac(named).Client(
            url=told["VAULT_ADDR"],
            token=told.get("VAULT_TOKEN", ""),
            namespace=told.get("VAULT_NAMESPACE") or None,
            verify=told.get("VAULT_CACERT") or True,
            timeout=_TIMEOUT_SECONDS,
        )
        if told.get("VAULT_TOKEN"):
            self._remember("VAULT_TOKEN", told["VAULT_TOKEN"])
            return client, float("inf")
        if not told.get("VAULT_ROLE_ID") or not told.get("VAULT_SECRET_ID"):
            raise ConfigError(f"{named}: {_WHO}")
        return client, self._clock() + self._by_role(client, named)

    def _by_role(self, client: Any, named: str) -> float:
        """Log in by AppRole; how many seconds that serves."""
        role, secret = self._environ["VAULT_ROLE_ID"], self._environ["VAULT_SECRET_ID"]
        self._remember("VAULT_SECRET_ID", secret)
        mount = self._environ.get("VAULT_APPROLE_PATH") or "approle"
        given = _asked(f"{named}: login by AppRole", lambda: client.auth.approle.login(role, secret, mount_point=mount))
        self._remember("VAULT_approle_token", given["auth"]["client_token"])
        return _USED_SHARE * given["auth"]["lease_duration"] or float("inf")  # 0: it lives for ever


def _hvac(named: str) -> Any:
    try:
        import hvac
    except ModuleNotFoundError:
        raise ConfigError(f"{named}: needs the package hvac: pip install 'ingest-assets[vault]'") from None
    return hvac


def _asked(named: str, ask: Callable[[], Any]) -> Any:
    """What `ask` gives; what goes wrong is told in our own words, after the error was let go."""
    import hvac.exceptions as wrong
    import requests

    failure: IngestError
    try:
        return ask()
    except wrong.Forbidden:
        failure = ConfigError(
            f"{named}: permission denied: the credential is wrong or over, there is no such engine, or its policy "
            "lacks `read` on this path"
        )
    except wrong.InvalidRequest:
        failure = ConfigError(f"{named}: the Vault refuses the request (400): check VAULT_ROLE_ID and VAULT_SECRET_ID")
    except wrong.InvalidPath:
        failure = ConfigError(f"{named}: there is no such path")
    except wrong.VaultDown:
        failure = TransientFailure(f"{named}: the Vault is sealed or in maintenance (503): unseal it")
    except wrong.VaultError as error:
        failure = TransientFailure(f"{named}: the Vault did not answer as it should: {type(error).__name__}")
    except requests.exceptions.SSLError:
        failure = ConfigError(f"{named}: the Vault's certificate is not trusted: name its authority in VAULT_CACERT")
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        failure = TransientFailure(f"{named}: no answer of the Vault at VAULT_ADDR: {type(error).__name__}")
    except (requests.exceptions.RequestException, KeyError, TypeError, ValueError) as error:
        failure = ConfigError(f"{named}: what answers at VAULT_ADDR is no Vault: {type(error).__name__}")
    raise failure

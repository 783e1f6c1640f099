"""How messages name a request, and whose credential goes with it: the origin of a client, and what is hidden."""

from functools import lru_cache
from urllib.parse import urlsplit

from ingest_assets.errors import ConfigError
from ingest_assets.http.page import PageRequest, SignedRequest, origin
from ingest_assets.http.secrets import Redactor, Secrets
from ingest_assets.http.transport import url_of


class Naming:
    """Names requests without secrets; the credential belongs to the origin of `base_url`. ConfigError for no such."""

    def __init__(self, base_url: str, secrets: Secrets) -> None:
        self.origin = _own_origin(base_url)
        self._secrets = secrets
        self._newest: tuple[PageRequest, Redactor, str] | None = None

    @property
    def redactor(self) -> Redactor:
        """What takes the secrets in use out of texts."""
        return self._secrets.redactor()

    def is_own(self, request: PageRequest) -> bool:
        """Whether a request goes to the origin whose credential this is."""
        return origin_of(request.url) == self.origin

    def shown(self, request: PageRequest) -> str:
        """The request's URL without secrets; without its query where that is a signature, or may be one elsewhere."""
        if isinstance(request, SignedRequest) or not self.is_own(request):
            return self.redactor.text(request.url.partition("?")[0])
        redactor, newest = self.redactor, self._newest
        if newest is None or newest[0] is not request or newest[1] is not redactor:
            newest = self._newest = request, redactor, redactor.text(url_of(request))
        return newest[2]

    def named(self, request: PageRequest) -> str:
        """What messages call the request."""
        return f"{request.method} {self.shown(request)}"


@lru_cache(maxsize=256)
def origin_of(url: str) -> str | None:
    """The origin of an http or https URL; None for anything else.

    >>> origin_of("https://x.example/a"), origin_of("file:///etc/passwd"), origin_of("http://[::1")
    ('https://x.example:443', None, None)
    """
    try:
        parts = urlsplit(url)
        return origin(url) if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def _own_origin(base_url: str) -> str:
    found = origin_of(base_url)
    if found is None:
        raise ConfigError(f"base_url: expected http:// or https:// and a host, found {base_url.partition('?')[0]!r}")
    if "@" in urlsplit(base_url).netloc:
        raise ConfigError("base_url: a user or password does not go there; write `auth: {type: basic, …}`")
    if not base_url.isascii():
        raise ConfigError("base_url: write the host in ASCII (xn--…), and other characters percent-encoded")
    return found

"""Where secrets come from, and how their values are kept out of everything that is written.

A source file only names a secret. Its value is looked up when a request needs it, and from then on is
*in use*: the redactor replaces it, in whatever encoding it turns up, by a marker that names it:

    https://api.example.com/v1?key=abc%2Fdef  →  https://api.example.com/v1?key=~hidden.KEY.percent.

Markers are made of characters that neither JSON nor URLs change, so that what is stored stays readable, and
they can be put back when a walk goes on from a stored page.
"""

import base64
import contextlib
import json
import logging
import re
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import chain
from urllib.parse import quote, quote_plus

from ingest_assets.errors import ConfigError
from ingest_assets.http.secret import SHORTEST, Secret
from ingest_assets.http.stores import Stores

# A token lives on for a moment after it was renewed, and may still turn up; earlier ones are dead.
_FORMER_VALUES = 4
_PLAIN = re.compile(r"([A-Za-z0-9._~-]+)")  # what is written as it is wherever anything is escaped
_IN_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
_OLD_ENCODINGS = ("cp1252", "iso8859-15", "cp1250", "cp1251", "cp437", "cp850", "mac-roman")
_MARKED = "~hidden."
_MARKER = re.compile(rb"~hidden\.(\w+)\.[a-z0-9]+\.")
_QUERY = re.compile(r"\?[^\s\"]+")


def _percent_forms(value: str) -> Iterator[tuple[str, str]]:
    # Who encodes decides what stays: RFC 3986 nothing reserved, Python's default '/', JavaScript !*'().
    for name, safe in (("percent", ""), ("percentpath", "/"), ("percentjs", "!*'()")):
        yield name, quote(value, safe=safe)
    yield "percenttwice", quote(quote(value, safe=""), safe="")  # in a URL that is a parameter of another one
    yield "plus", quote_plus(value)


def _lower_hex(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _json_forms(value: str) -> Iterator[tuple[str, str]]:
    text = json.dumps(value)[1:-1]
    yield "json", text
    yield "jsonutf8", json.dumps(value, ensure_ascii=False)[1:-1]
    yield "jsonslash", text.replace("/", "\\/")


def _base64_forms(value: str) -> Iterator[tuple[str, str]]:
    raw = value.encode()
    for kind, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        whole = encode(raw).decode()
        yield kind, whole
        yield kind + "bare", whole.rstrip("=")
        # Inside a longer text the value begins at one of three places; what is certain is between its ends.
        for shift in range(3):
            first, last = -(-8 * shift // 6), 8 * (shift + len(raw)) // 6
            yield f"{kind}at{shift}", encode(bytes(shift) + raw).decode()[first:last]


def _forms(value: str) -> Iterator[tuple[str, str, str]]:
    """Each encoding of a value: its name, the text as it is found, and that text once JSON has been decoded."""
    yield "plain", value, value
    for name, text in _percent_forms(value):
        yield name, text, text
        yield name + "lower", _lower_hex(text), _lower_hex(text)
    for name, text in _json_forms(value):
        yield name, text, value
        yield name + "twice", json.dumps(text)[1:-1], text  # a body that was repeated as a text of another
    for name, text in _base64_forms(value):
        yield name, text, text
        yield name + "slash", text.replace("/", "\\/"), text


@lru_cache(maxsize=256)
def _spellings(letter: str) -> frozenset[str]:
    """How JSON and URLs, each also within another one, markup and CSV may write a character."""
    escape, number = json.dumps(letter)[1:-1], ord(letter)
    in_json, elsewhere = {escape, escape.replace("/", "\\/")}, {letter, f"&#{number};", f"&#{number:03};"}
    for digits in (str.lower, str.upper):
        in_json.add(re.sub("(.{4})", r"\\u\1", digits(letter.encode("utf-16-be").hex())))
        elsewhere |= {re.sub("(..)", sign, digits(letter.encode().hex())) for sign in (r"%\1", r"%25\1")}
        elsewhere.add(f"&#x{digits(f'{number:x}')};")
    elsewhere |= {_IN_MARKUP.get(letter, letter), {'"': '""', " ": "+"}.get(letter, letter)}
    return frozenset(in_json | {json.dumps(one)[1:-1] for one in in_json} | elsewhere)


def _in_utf_8(text: str) -> set[bytes]:
    """A spelling as bytes; of what is no ASCII also as encodings of one byte a character write it."""
    found = {text.encode()}
    for encoding in () if text.isascii() else _OLD_ENCODINGS:
        with contextlib.suppress(UnicodeEncodeError):
            found.add(text.encode(encoding))
    return found


def _in_utf_16(text: str) -> set[bytes]:
    return {text.encode("utf-16-be")}


def _between_zeros(text: bytes) -> bytes:
    """What UTF-16 of either byte order has of a text in Latin-1, of that which sets the zeros first.

    >>> _between_zeros("abc".encode("utf-16-be")) in "abc".encode("utf-16-le")
    True
    """
    return text.removeprefix(b"\0")


class _Loose:
    """Finds a text however its characters are written, each by itself.

    `anchor` is the longest part of it that is never escaped: where that is not found, nothing else is looked for.
    """

    def __init__(self, text: str, marker: bytes, encoded: Callable[[str], set[bytes]]) -> None:
        self.marker, self.least = marker, len(text.encode())
        parts = [
            {code for spelling in spellings for code in encoded(spelling)}
            for part in filter(None, _PLAIN.split(text))
            for spellings in ([{part}] if _PLAIN.fullmatch(part) else map(_spellings, part))
        ]
        parts[0] = set(map(_between_zeros, parts[0]))
        self.longest = sum(max(map(len, part)) for part in parts)
        self.anchor = max((next(iter(part)) for part in parts if len(part) == 1), key=len, default=b"")
        first, *rest = parts
        end = b"".join(b"(?:%b)" % b"|".join(map(re.escape, sorted(part))) for part in rest)
        # Each way begins with a byte of its own: so the search passes quickly over bytes that begin none.
        self.pattern = b"|".join(re.escape(begin) + end for begin in sorted(first))

    @cached_property
    def _compiled(self) -> re.Pattern[bytes]:
        return re.compile(self.pattern)

    def occurs(self, text: bytes) -> bool:
        """Whether it stands in a text."""
        return self.anchor in text and self._compiled.search(text) is not None

    def is_whole(self, text: bytes) -> bool:
        """Whether a text is this one and nothing else."""
        return self._compiled.fullmatch(text) is not None


def is_marked(text: str) -> bool:
    """Whether a marker may stand in a text: where none does, nothing is put back."""
    return _MARKED in text


class Redactor:
    """Replaces values by markers and back; the same values and the same input give the same output.

    `former` are values that a name had before, the newest first: hidden by the same marker, and put back as the
    value that it has now.

    >>> redactor = Redactor({"KEY": "abc/def"})
    >>> redactor.text("https://x.example/?key=abc%2Fdef&page=2")
    'https://x.example/?key=~hidden.KEY.percent.&page=2'
    >>> redactor.restore("https://x.example/?key=~hidden.KEY.percent.&page=2")
    'https://x.example/?key=abc%2Fdef&page=2'
    """

    def __init__(self, values: Mapping[str, str], former: Iterable[tuple[str, str]] = ()) -> None:
        self._markers: dict[bytes, bytes] = {}
        self._texts: dict[bytes, bytes] = {}
        self._decoded: dict[bytes, bytes] = {}
        self._values = dict(values)
        self._loose: dict[bytes, _Loose] = {}
        self._in_utf_16: dict[bytes, _Loose] = {}
        for name, value in (*sorted(values.items()), *former):
            for form, text, decoded in _forms(value):
                self._add(f"~hidden.{name}.{form}.".encode(), text.encode(), decoded.encode())
            for form, text in (("plain", value), *_base64_forms(value)):
                self._add_loose(f"~hidden.{name}.{form}.", text)
        self._refuse_values_in_markers(values)
        longest = [len(text) for text in self._markers] + [loose.longest for loose in self._all_loose]
        self._longest = max(longest, default=1)
        plain = [text for text in self._markers if _PLAIN.fullmatch(text.decode())]
        self._needles = [text for text in plain if not any(other in text for other in plain if other != text)]
        self._apart = [loose for loose in self._loose.values() if not any(n in loose.anchor for n in self._needles)]

    def _add(self, marker: bytes, text: bytes, decoded: bytes) -> None:
        if text not in self._markers:
            self._markers[text] = marker
            self._texts.setdefault(marker, text)
            self._decoded.setdefault(marker, decoded)

    def _add_loose(self, marker: str, text: str) -> None:
        if not _PLAIN.fullmatch(text):
            loose = _Loose(text, marker.encode(), _in_utf_8)
            self._loose.setdefault(loose.pattern, loose)
        loose = _Loose(text, _between_zeros(marker.encode("utf-16-be")), _in_utf_16)
        self._in_utf_16.setdefault(loose.pattern, loose)

    @cached_property
    def _all_loose(self) -> list[_Loose]:
        return sorted(
            [*self._loose.values(), *self._in_utf_16.values()], key=lambda loose: (-loose.least, loose.pattern)
        )

    @cached_property
    def _any(self) -> re.Pattern[bytes]:
        """What finds any of the texts, the longest first; compiled once there is one."""
        exact = [(-len(text), 0, re.escape(text)) for text in self._markers]
        loose = [(-loose.least, 1, loose.pattern) for loose in self._all_loose]
        return re.compile(b"|".join(pattern for *_, pattern in sorted([*exact, *loose])) or b"(?!)")

    def _refuse_values_in_markers(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            if any(value.encode() in marker for marker in self._texts):
                raise ConfigError(f"secret {name}: its value is a part of a marker that hides values; choose another")

    def _replace(self, found: re.Match[bytes]) -> bytes:
        marker = self._markers.get(found[0])
        return marker or next(loose.marker for loose in self._all_loose if loose.is_whole(found[0]))

    def _occurs(self, text: bytes) -> bool:
        for needle in self._needles:  # no any(): it makes a generator, for each of many short texts
            if needle in text:
                return True
        for loose in self._apart:
            if loose.occurs(text):
                return True
        return b"\0" in text and any(loose.occurs(text) for loose in self._in_utf_16.values())

    def texts(self, texts: Mapping[str, str]) -> dict[str, str]:
        """These texts, each with every value replaced by its marker; looked through as one where none holds any."""
        whole = "\n".join(texts.values())
        if not self._occurs(whole.encode("utf-8", "surrogatepass")):
            return dict(texts)
        return {name: self.text(text) for name, text in texts.items()}

    def text(self, text: str) -> str:
        """The text with every value replaced by its marker."""
        encoded = text.encode("utf-8", "surrogatepass")
        if not self._occurs(encoded):
            return text
        return self._any.sub(self._replace, encoded).decode("utf-8", "surrogatepass")

    def stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks with every value replaced, also where it lies across chunks; holds no more than one back.

        The output, joined, is that of the whole text at once, however it is cut into chunks.
        """
        held = b""
        for chunk in chunks:
            ready, rest = self._settled(held) if held else (b"", b"")
            if ready:
                yield ready
            held = rest + chunk
        if held:
            yield self._any.sub(self._replace, held) if self._occurs(held) else held

    def _settled(self, text: bytes) -> tuple[bytes, bytes]:
        """The part of the text that later bytes cannot change, with values replaced, and the rest as it is."""
        end = max(0, len(text) - self._longest + 1)
        if not self._occurs(text):
            return text[:end], text[end:]
        parts, done = [], 0
        for found in self._any.finditer(text):
            if found.start() >= end:
                break
            parts += [text[done : found.start()], self._replace(found)]
            done = found.end()
        rest = max(done, end)
        return b"".join([*parts, text[done:rest]]), text[rest:]

    def restore(self, text: str) -> str:
        """The text with the values put back, each in the encoding its marker names."""
        return self._put_back(text, self._texts)

    def restore_decoded(self, text: str) -> str:
        r"""The same for a string that was decoded from JSON, where JSON's own escapes are gone.

        >>> Redactor({"KEY": "abc/def"}).restore_decoded("~hidden.KEY.jsonslash.")
        'abc/def'
        """
        return self._put_back(text, self._decoded)

    def foreign(self, text: str, carried: Collection[str]) -> str | None:
        """The first secret that a marker in the text names and whose value is none of those of `carried`; else None.

        What looks like a marker may have come over the wire, so it says nothing of where its secret belongs.

        >>> redactor = Redactor({"KEY": "abc/def", "TOKEN": "ghi/jkl"})
        >>> redactor.foreign("~hidden.TOKEN.plain.&~hidden.KEY.plain.", {"TOKEN"})
        'KEY'
        """
        if not is_marked(text):
            return None
        values = {self._values.get(name) for name in carried}
        named = (found[1].decode() for found in _MARKER.finditer(text.encode("utf-8", "surrogatepass")))
        return next((name for name in named if name in self._values and self._values[name] not in values), None)

    def _put_back(self, text: str, texts: Mapping[bytes, bytes]) -> str:
        if not is_marked(text):
            return text
        raw = text.encode("utf-8", "surrogatepass")
        return _MARKER.sub(lambda found: texts.get(found[0], found[0]), raw).decode("utf-8", "surrogatepass")

    def redacted(self, error: BaseException) -> str:
        """The error's text, on one line, with every value replaced.

        >>> Redactor({"KEY": "abc/def"}).redacted(ValueError("bad: abc/def"))
        'ValueError: bad: ~hidden.KEY.plain.'
        """
        return self.text(" ".join("".join(traceback.format_exception_only(error)).split()))


class Secrets:
    """Looks secrets up, late, and remembers each value that is in use.

    `overrides` give values by place (a variable's name, a file's path, `path#field` in a store) and win over all else.

    >>> secrets = Secrets({"KEY": "abc/def"})
    >>> secrets.value(Secret(env="KEY")), secrets.redactor().text("abc/def")
    ('abc/def', '~hidden.KEY.plain.')
    """

    def __init__(self, overrides: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._stores = Stores(overrides or {}, environ, self.remember)
        self._in_use: dict[str, str] = {}
        self._former: list[tuple[str, str]] = []
        self._redactor = Redactor({})
        self._remembering = threading.Lock()

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._in_use))})"

    def value(self, secret: Secret) -> str:
        """The secret's value, in use from now on.

        Raises ConfigError, naming its place, where it is missing, empty, too short to be told from other text, or
        holds characters that no header can carry; TransientFailure where a store does not answer.
        """
        value = self._long_enough(secret)
        if value != value.strip() or not value.isprintable():
            raise ConfigError(
                f"{secret} begins or ends with a space or holds a control character; write the bare value"
            )
        self.remember(secret.name, value)
        return value

    def text(self, secret: Secret) -> str:
        """The same for a secret of several lines, such as a private key: it is never sent."""
        value = self._long_enough(secret)
        self.remember(secret.name, value)
        return value

    def renewed(self, secrets: Iterable[Secret], instead_of: Mapping[Secret, str], *, is_refused: bool = True) -> bool:
        """Whether any of the secrets has another value than was sent, once it is looked up anew where it has to be.

        Where it is not sure that they are refused, what is known stays good while a store does not answer.
        """
        secrets = [*secrets]
        if any(self.text(secret) != instead_of[secret] for secret in secrets):
            return True  # another thread has looked already
        for secret in secrets:
            self._stores.forget(secret, is_refused=is_refused)
        return any(self.text(secret) != instead_of[secret] for secret in secrets)

    def _long_enough(self, secret: Secret) -> str:
        value = self._stores.value(secret)
        if not value:
            raise ConfigError(f"{secret} is empty; it has to hold the secret")
        if len(value) < SHORTEST:
            raise ConfigError(
                f"{secret} holds fewer than {SHORTEST} characters; so short a secret could not be kept out of "
                "stored data without harming it"
            )
        return value

    def remember(self, name: str, text: str) -> None:
        """From now on `text` is replaced wherever a value would be, its marker naming `name`.

        What stood under that name before is still replaced too.
        """
        with self._remembering:  # else a thread could put back a redactor that does not know what another remembered
            former = self._in_use.get(name)
            if former == text:
                return
            if former is not None:
                self._former = [(name, former), *self._former][:_FORMER_VALUES]
            self._in_use[name] = text
            self._redactor = Redactor(self._in_use, self._former)

    def in_use(self, name: str) -> str:
        """What was remembered last under a name."""
        return self._in_use[name]

    def redactor(self) -> Redactor:
        """Replaces the values that are in use now."""
        return self._redactor


class LogFilter(logging.Filter):
    """Lets every log record pass, with the values that are in use replaced in its message and its traceback.

    The query of a URL in the message is left out: that of a file is a signature, which nobody knows as a secret.
    """

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record is changed in place."""
        redactor = self._secrets.redactor()
        record.msg, record.args = _QUERY.sub("?(hidden)", redactor.text(record.getMessage())), ()
        if record.exc_info and record.exc_info[0] is not None:
            told = "".join(chain.from_iterable([traceback.format_exception(*record.exc_info)]))
            record.exc_text, record.exc_info = redactor.text(told), None
        return True

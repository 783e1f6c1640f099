"""Secrets by name, and their values kept out of everything."""

import base64
import json
import logging
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest_assets.errors import ConfigError
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import _PLAIN, LogFilter, Redactor, Secrets, _forms, _spellings

values = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6, max_size=20) | st.text(
    st.characters(codec="utf-8", categories=["L", "N"]), min_size=6, max_size=12
)
named = st.dictionaries(st.sampled_from(["A", "STRIPE_KEY", "b_2"]), values, min_size=1, max_size=3)


def redactor_for(secrets):
    try:
        return Redactor(secrets)
    except ConfigError:
        assume(False)


def texts(secrets):
    """Text that holds values in many encodings, whole and in part, and begun markers."""
    forms = [text for value in secrets.values() for _, text, _ in _forms(value)]
    pieces = st.sampled_from(forms) | st.sampled_from([form[:-1] for form in forms])
    return st.lists(pieces | st.text(max_size=5) | st.just("~hidden.A.plain"), max_size=6).map("".join)


@given(named, st.data())
def test_what_was_redacted_can_be_put_back(secrets, data):
    redactor = redactor_for(secrets)
    text = data.draw(texts(secrets))
    assume(redactor.restore(text) == text)

    assert redactor.restore(redactor.text(text)) == text


@given(named, st.data())
def test_no_value_is_left_in_any_encoding_however_the_text_is_cut(secrets, data):
    redactor = redactor_for(secrets)
    text = data.draw(texts(secrets)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    redacted = b"".join(redactor.stream(chunks))

    assert redacted.decode() == redactor.text(text.decode())
    outside = [redacted]
    for marker in redactor._texts:
        outside = [part for piece in outside for part in piece.split(marker)]
    assert not [text for text in redactor._markers for part in outside if text in part]


@settings(max_examples=30)  # each takes a while: what finds a value is compiled once it is near
@given(named, st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]), st.data())
def test_no_value_is_left_however_each_of_its_characters_is_written(secrets, encoding, data):
    assume(encoding == "utf-8" or all(max(value) <= "\xff" for value in secrets.values()))
    redactor = redactor_for(secrets)
    name = data.draw(st.sampled_from(sorted(secrets)))
    written = "".join(
        letter if _PLAIN.fullmatch(letter) else data.draw(st.sampled_from(sorted(_spellings(letter))))
        for letter in secrets[name]
    )
    text = f"a,{written},b".encode(encoding)
    cut = data.draw(st.integers(0, len(text)))

    redacted = b"".join(redactor.stream([text[:cut], text[cut:]]))

    assert "~hidden." in redacted.decode(encoding)
    assert redacted == b"".join(redactor.stream([text]))
    assert written.encode(encoding) not in redacted


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("abc\\u002Bdef/ghi==", "abc+def/ghi=="),  # System.Text.Json of .NET
        ("abc\\u003Cdef\\u003Eghi", "abc<def>ghi"),
        ("abc\\u003cdef\\u003eghi", "abc<def>ghi"),  # Go
        ("abc\\u003d\\u003d", "abc=="),  # Gson
        ("abc\\\\u002Bdef", "abc+def"),  # such JSON as a text of another
        ("abc&amp;def12", "abc&def12"),
        ("abc&#x2B;def12", "abc+def12"),
        ("abc&#43;def&#039;12", "abc+def'12"),
        ('abc""def12', 'abc"def12'),
        ("abc%2bdef%2Fghi", "abc+def/ghi"),
        ("abc%252bdef%252Fghi", "abc+def/ghi"),
        ("abc/d%25C3%25A9f", "abc/déf"),
    ],
)
def test_a_value_whose_characters_are_escaped_each_by_itself_is_found_and_put_back_as_it_is(written, value):
    redactor = Redactor({"KEY": value})

    redacted = redactor.text(f"before {written} after")

    assert redacted == "before ~hidden.KEY.plain. after"
    assert redactor.restore_decoded(redacted) == f"before {value} after"


def test_base64_is_found_where_its_signs_are_escaped():
    value = "jo:pässwörd~~~"
    encoded = base64.b64encode(value.encode()).decode()

    redacted = Redactor({"KEY": value}).text(encoded.replace("+", "\\u002B").replace("/", "%2F").replace("=", "%3D"))

    assert encoded == "am86cMOkc3N3w7ZyZH5+fg=="
    assert redacted == "~hidden.KEY.base64."


@pytest.mark.parametrize("encoding", ["windows-1252", "iso8859-15", "mac-roman"])
def test_a_value_is_found_in_an_encoding_of_one_byte_a_character(encoding):
    redacted = b"".join(Redactor({"KEY": "pässwort"}).stream(["id,echo\n1,pässwort\n".encode(encoding)]))

    assert redacted == b"id,echo\n1,~hidden.KEY.plain.\n"


@pytest.mark.parametrize(
    "encode",
    [
        str,
        lambda v: quote(v, safe=""),
        lambda v: re.sub("%..", lambda found: found[0].lower(), quote(v, safe="")),
        quote_plus,
        lambda v: quote(quote(v, safe=""), safe=""),  # a URL that is a parameter of another
        lambda v: base64.b64encode(v.encode()).decode(),
        lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
        lambda v: base64.b64encode(f"jo:{v}".encode()).decode(),
        lambda v: base64.b64encode(f"x{v}y".encode()).decode(),
        lambda v: json.dumps(v)[1:-1],
        lambda v: json.dumps(v)[1:-1].replace("/", "\\/"),
        lambda v: json.dumps(json.dumps(v)[1:-1])[1:-1],
    ],
)
def test_each_encoding_is_found_and_stays_json(encode):
    value = 'ab/c+d"é\\f&g'
    redactor = Redactor({"KEY": value})

    redacted = redactor.text(f"before {encode(value)} after")

    assert "~hidden.KEY." in redacted
    assert redactor.restore(redacted) == f"before {encode(value)} after"
    marker = redacted.split()[1]
    assert json.loads(json.dumps(marker)) == quote(marker, safe="") == marker


def test_the_marker_does_not_depend_on_the_order_in_which_secrets_came_into_use():
    one, other = Redactor({"A": "same-value", "B": "same-value"}), Redactor({"B": "same-value", "A": "same-value"})

    assert one.text("same-value") == other.text("same-value") == "~hidden.A.plain."


def test_the_longest_value_wins():
    assert Redactor({"A": "abcdef", "B": "abcdefgh"}).text("abcdefgh") == "~hidden.B.plain."


def test_a_value_that_markers_hold_is_refused():
    with pytest.raises(ConfigError, match="part of a marker"):
        Redactor({"SECRET": "hidden"})


def test_little_is_held_back_of_a_long_stream():
    redactor = Redactor({"A": "secret-value"})
    given_out = 0

    for chunks in range(1, 200):
        given_out = sum(map(len, redactor.stream([b"x" * 1000] * chunks)))
        assert given_out == 1000 * chunks
    first = next(iter(redactor.stream(iter([b"x" * 1000, b"y"]))))

    assert len(first) > 900


@pytest.mark.parametrize(
    "given_as", ["sk_live_123", {"env": "sk-live_123"}, {"value": "sk_live_123"}, ["sk_live_123"], {"env": ""}, {}]
)
def test_a_literal_secret_is_refused_without_repeating_it(given_as):
    with pytest.raises(ValidationError) as refused:
        Secret.model_validate(given_as)

    assert "{env: NAME}" in str(refused.value)
    assert "live" not in str(refused.value) + repr(refused.value.errors())


def test_a_value_comes_from_the_environment_a_file_or_an_override(tmp_path):
    file = tmp_path / "key"
    file.write_text("from-file\n")
    secrets = Secrets({"OVER": "from-override"}, {"KEY": "from-environment", "OVER": "not this"})

    assert secrets.value(Secret(env="KEY")) == "from-environment"
    assert secrets.value(Secret(env="OVER")) == "from-override"
    assert secrets.value(Secret(file=str(file))) == "from-file"
    assert "from-" not in secrets.redactor().text("from-environment from-override from-file") + repr(secrets)


@pytest.mark.parametrize(
    ("value", "told"),
    [("", "is empty"), ("xyzzy", "fewer than 6"), (" spaced-out", "space"), ("two\nlines", "control character")],
)
def test_a_value_that_cannot_be_used_is_refused_by_name_only(value, told):
    with pytest.raises(ConfigError, match=f"environment variable KEY .*{told}") as refused:
        Secrets(environ={"KEY": value}).value(Secret(env="KEY"))

    assert not value.strip() or value.strip() not in str(refused.value)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match="environment variable KEY is not set"):
        Secrets(environ={}).value(Secret(env="KEY"))
    with pytest.raises(ConfigError, match="nowhere cannot be read: No such file"):
        Secrets(environ={}).value(Secret(file=str(tmp_path / "nowhere")))


def test_log_records_pass_without_values(caplog):
    secrets = Secrets({"KEY": "abc-def-ghi"})
    secrets.value(Secret(env="KEY"))
    logger = logging.getLogger("ingest_assets_tests.http")
    logger.addFilter(LogFilter(secrets))

    try:
        int("with abc-def-ghi")
    except ValueError:
        logger.exception("asked %s", "x?key=abc-def-ghi")

    assert "abc-def-ghi" not in caplog.text
    assert "~hidden.KEY.plain." in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("value", ["abc/def ghi", "-----BEGIN KEY-----\nabc/def\n-----END KEY-----"])
def test_of_several_texts_each_has_its_values_replaced(value: str) -> None:
    redactor = Redactor({"KEY": value})
    texts = {"a": "plain", "b": f"x {value} y", "c": quote(value, safe=""), "d": "é\udcff"}

    found, without = redactor.texts(texts), redactor.texts({"a": "plain", "d": "é\udcff"})

    assert found == {name: redactor.text(text) for name, text in texts.items()}
    assert value not in str(found)
    assert without == {"a": "plain", "d": "é\udcff"}


def test_a_value_that_only_stands_across_two_texts_is_in_neither() -> None:
    redactor = Redactor({"KEY": "first line\nlast line"})

    assert redactor.texts({"a": "first line", "b": "last line"}) == {"a": "first line", "b": "last line"}

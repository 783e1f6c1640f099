"""The Link header, as RFC 8288 and its examples write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.http.paginators.link_header import links

URL = "https://x.example/v1/things?page=1"
TARGETS = st.text(st.characters(blacklist_characters=">", min_codepoint=33, max_codepoint=126), max_size=8)
NAMES = st.text(st.sampled_from("abcXYZ-*09"), min_size=1, max_size=5)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


def relations(text):
    """The relation types by target."""
    return {link.target: link.relations for link in links(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ,", {}),
        ("<a>", {"a": ()}),
        ("<a>;rel=next", {"a": ("next",)}),
        ('<a> ; Rel = "NEXT"', {"a": ("next",)}),
        ('<a>; rel="prev  next https://x.example/Rel"', {"a": ("prev", "next", "https://x.example/rel")}),
        ('<a>; rel=prev; rel="next"', {"a": ("prev",)}),
        ('<a>; title="x, <b>; rel=\\"next\\""; rel=last', {"a": ("last",)}),
        ('<a>; title="\\\\"; rel=next', {"a": ("next",)}),
        ("<a,b;c>; rel=next", {"a,b;c": ("next",)}),
        ("<a>;;rel=next;;, <b>;", {"a": ("next",), "b": ()}),
        ("<a>; rel=next,<b>; rel=last", {"a": ("next",), "b": ("last",)}),
        (",\t<a>; rel=next , , <b>; rel=last,", {"a": ("next",), "b": ("last",)}),
        ("<a>; crossorigin; rel=next", {"a": ("next",)}),
        ("<>; rel=next", {"": ("next",)}),
        ("<a>; title*=UTF-8'de'n%c3%a4chste; rel=next", {"a": ("next",)}),
        ("<a>; rel=", {"a": ()}),
    ],
)
def test_links_are_read_with_all_their_quoting(text, expected):
    assert relations(text) == expected


@pytest.mark.parametrize(
    "text", ["a", "<a", '<a>; rel="next', "<a> rel=next", "<a>; rel=next <b>", '<a>; rel="x"y', "<a>; =x", '"<a>"']
)
def test_what_is_not_written_like_a_link_is_refused(text):
    with pytest.raises(ValueError, match="at character"):
        links(text)


@pytest.mark.parametrize(
    ("anchor", "mine"),
    [("", True), ('; anchor="?page=1"', True), ('; anchor="#part"', False), ('; anchor="/v1/others"', False)],
)
def test_a_link_of_another_resource_is_known(anchor, mine):
    (link,) = links(f"<a>; rel=next{anchor}")

    assert link.is_of(URL) is mine


@given(
    st.lists(
        st.tuples(TARGETS.filter(lambda text: text == text.strip()), st.dictionaries(NAMES, VALUES, max_size=3)),
        max_size=4,
    ),
    st.sampled_from([", ", ",", " ,\t,"]),
)
def test_whatever_is_quoted_comes_back(told, between):
    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [f"<{target}>" + "".join(f"; {n}={quoted(v)}" for n, v in params.items()) for target, params in told]

    found = links(between.join(lines))

    assert [link.target for link in found] == [target for target, _ in told]
    for link, (_, params) in zip(found, told, strict=True):
        first = {}
        for name, value in params.items():
            first.setdefault(name.lower(), value)
        assert link.params == first

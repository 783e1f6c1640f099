"""XML: every attribute and text of a record in its place; nothing expanded, nothing fetched, memory bounded."""

import io
import json
import tracemalloc
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.decoders import Decoded, elements, xml
from ingest_assets.http.decoders.xml import Xml
from ingest_assets.http.selector import Selector


class Slowly(io.BytesIO):
    """A body that comes in small pieces."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 7) if size and size > 0 else size)


def page(body: bytes | str, path: str = "things.thing", *, selector: Any = None, **told: Any) -> Decoded:
    given = Selector.model_validate({"path": path, **(selector or {})})
    body = body.encode() if isinstance(body, str) else body
    return Xml.model_validate({"type": "xml"} | told).decode(io.BytesIO(body), given)


def records(*given: Any, **told: Any) -> list[Any]:
    return [json.loads(bytes(record)) for block in page(*given, **told) for record in block.records()]


def things(inner: str) -> str:
    return f"<things>{inner}</things>"


def flaws(*given: Any, **told: Any) -> dict[int, str]:
    return {block.first + place: flaw for block in page(*given, **told) for place, flaw in block.flaws.items()}


def test_attributes_texts_and_nested_elements_have_their_places():
    body = things('<thing id="1"><name lang="en">a &amp; b</name><who ref="7"><age>5</age></who><x/></thing>')

    assert records(body) == [
        {"@id": "1", "name": "a & b", "name@lang": "en", "who": {"age": "5"}, "who@ref": "7", "x": None}
    ]


def test_a_text_beside_elements_and_one_in_cdata_are_kept():
    body = things("<thing><p>so <b>it</b> is</p><c><![CDATA[<p>Fixed & done.</p>]]></c></thing><thing>5</thing>")

    assert records(body) == [
        {"p": {"b": "it", "value": "so  is"}, "c": "<p>Fixed & done.</p>"},
        {"value": "5"},
    ]


def test_elements_that_are_said_to_be_lists_are_so_whether_there_are_none_one_or_two():
    body = things("<thing><tag>a</tag><o><of n='1'/></o></thing><thing><tag>a</tag><tag k='x'>b</tag></thing><thing/>")

    assert records(body, lists=["tag", "o.of"]) == [
        {"tag": [{"value": "a"}], "o": {"of": [{"@n": "1", "value": None}]}},
        {"tag": [{"value": "a"}, {"@k": "x", "value": "b"}]},
        {"tag": []},
    ]


def test_elements_of_more_names_than_are_remembered_have_their_places_too(monkeypatch):
    monkeypatch.setattr(elements, "_MOST_PLACES", 3)
    body = things("".join(f"<thing><a{n}>{n}</a{n}><list>{n}</list></thing>" for n in range(5)))

    assert records(body, lists=["list"]) == [{f"a{n}": str(n), "list": [{"value": str(n)}]} for n in range(5)]


def test_an_element_that_comes_twice_and_is_no_list_is_set_aside_with_its_record():
    body = "<things><thing><tag>a</tag></thing><thing><tag>a</tag><tag>b</tag></thing></things>"

    assert flaws(body) == {1: "the element 'tag' stands twice: name it in `lists` of `decoder`"}


def test_an_element_called_value_beside_a_text_is_set_aside_with_its_record():
    assert flaws(things("<thing>a<value>b</value></thing>")) == {
        0: "an element 'value' stands beside the text of its record"
    }


def test_names_have_the_prefix_of_the_document_or_the_one_that_the_file_gives_their_namespace():
    spaces = 'xmlns:r="urn:r" xmlns="urn:d" xmlns:dc="urn:dc"'
    body = f'<r:things {spaces}><thing dc:at="1"><dc:by>x</dc:by></thing></r:things>'

    assert records(body, "r:things.thing") == [{"@dc:at": "1", "dc:by": "x"}]
    assert records(body, "things.d:thing", namespaces={"": "urn:r", "d": "urn:d", "k": "urn:dc"}) == [
        {"@k:at": "1", "k:by": "x"}
    ]


@pytest.mark.parametrize("prefix", ["d", ""])
def test_a_prefix_of_the_file_is_none_of_another_namespace(prefix):
    spaces = 'xmlns:d="urn:other" xmlns:e="urn:d"' if prefix else 'xmlns:e="urn:d"'
    foreign = "<d:by>x</d:by>" if prefix else '<by xmlns="urn:other">x</by>'
    body = f"<things {spaces}><thing>{foreign}<e:by>y</e:by></thing></things>"

    assert records(body, "things.thing", namespaces={prefix: "urn:d"}) == [
        {"{urn:other}by": "x", f"{prefix}:by".lstrip(":"): "y"}
    ]


def test_a_record_keeps_attributes_of_what_is_around_it():
    body = "<e><c><c time='1'><c of='a' rate='2'/><c of='b' rate='3'/></c><c time='2'><c of='a' rate='4'/></c></c></e>"

    found = page(body, "e.c.c[].c[]", selector={"keep": "@time"})

    assert [json.loads(bytes(record)) for block in found for record in block.records()] == [
        {"@time": "1", "@of": "a", "@rate": "2"},
        {"@time": "1", "@of": "b", "@rate": "3"},
        {"@time": "2", "@of": "a", "@rate": "4"},
    ]
    assert found.envelope == {"e": {"c": {"c": {"@time": "1"}}}}


def test_what_is_around_the_records_tells_of_totals_and_of_the_next_page():
    body = "<f><total>7</total><link rel='self' href='/a'/><thing/><link rel='next' href='/b'/></f>"

    found = page(body, "f.thing")

    assert [block.count for block in found] == [1]
    assert found.envelope == {
        "f": {"total": "7", "link": [{"@rel": "self", "@href": "/a"}, {"@rel": "next", "@href": "/b"}]}
    }


@pytest.mark.parametrize(
    "body", ["<things></things>", "<things/>", "<?xml version='1.0'?><things> <!-- none --> </things>"]
)
def test_a_list_that_is_there_and_empty_is_a_page_without_records(body):
    assert records(body) == []


def test_elements_of_another_name_are_no_page_without_records_unless_the_file_says_so():
    body = "<things><page>1</page></things>"

    with pytest.raises(RequestFailed, match=r"there is no such element; .* are: page. Mend `records`"):
        records(body)
    assert records(body, selector={"absent": "empty"}) == []


@pytest.mark.parametrize("absent", ["refuse", "empty"])
def test_another_document_is_refused_by_its_root(absent):
    with pytest.raises(RequestFailed, match="expected the root element 'things', found 'error'"):
        records("<error>no</error>", selector={"absent": absent})


@pytest.mark.parametrize(
    "body", [b"", b"<things><thing>", b"<things><thing/", b"<things><thing/></things", b"<things>\xc3"]
)
def test_a_cut_body_is_asked_for_again(body):
    with pytest.raises(TransientFailure, match="cut body"):
        records(body)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<things><a></b></things>", "found what is none in line 1: mismatched tag"),
        ("{}", "found what is none in line 1"),
        ("<things>&nope;</things>", "undefined entity"),
        ("<things/><things/>", "junk after document element"),
        (b"<things>\xff</things>", "not well-formed"),
        ("<html><head><title>Sign in</title></head></html>", "expected XML, found HTML or XML, titled 'Sign in'"),
        ("<a>" * 200, "more than 100 levels deep"),
    ],
)
def test_what_is_no_xml_is_refused(body, problem):
    with pytest.raises(RequestFailed, match=problem):
        records(body)


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LONG, MANY = "x" * 100_000, "&l;" * 1000
HOSTILE = {
    "a bomb of entities": f'<!DOCTYPE t [<!ENTITY l0 "lol">{BOMB}]><things><thing>&l9;</thing></things>',
    "a large entity, often": f'<!DOCTYPE t [<!ENTITY l "{LONG}">]><things><thing>{MANY}</thing></things>',
    "a file": '<!DOCTYPE t [<!ENTITY f SYSTEM "file:///etc/passwd">]><things><thing>&f;</thing></things>',
    "an address": '<!DOCTYPE t [<!ENTITY f SYSTEM "http://127.0.0.1:9/x">]><things><thing>&f;</thing></things>',
    "a parameter entity": '<!DOCTYPE t [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]><things/>',
    "a DTD elsewhere": '<!DOCTYPE things SYSTEM "http://127.0.0.1:9/x.dtd"><things/>',
    "a default attribute": '<!DOCTYPE t [<!ATTLIST thing a CDATA "x">]><things><thing/></things>',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_document_type_declaration_is_not_read_whatever_it_is_for(body):
    tracemalloc.start()
    with pytest.raises(RequestFailed, match=r"its document type declaration .* is not read"):
        records(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 5_000_000


class Endless(io.BytesIO):
    """A begin, and then the same piece for ever."""

    def __init__(self, begin: bytes, piece: bytes) -> None:
        super().__init__(begin)
        self._piece = piece

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) or self._piece[:size]


@pytest.mark.parametrize(
    ("begin", "piece", "problem"),
    [
        (b"<things><thing>", b"x" * 5000, "a single record is larger than 1 MB"),
        (b"<things><thing>", b"<a/>" * 1000, "a single record is larger than 1 MB"),
        (b"<things><thing>", b"<a b='c'>d</a>" * 500, "a single record is larger than 1 MB"),
        (b"<things><thing a='", b"x" * 5000, "a single record is larger than 1 MB"),
        (b"<things><", b"x" * 5000, "a single record is larger than 1 MB"),
        (b"<things><!--", b"x" * 5000, "a single record is larger than 1 MB"),
        (b"<things>", b"<a>x</a>" * 1000, "more than 1 MB lie outside the records"),
    ],
)
def test_a_body_without_an_end_is_refused_by_the_limit_that_it_meets(begin, piece, problem, monkeypatch):
    monkeypatch.setattr(elements, "MAX_ENVELOPE_BYTES", 1 << 20)
    tracemalloc.start()
    with pytest.raises(RequestFailed, match=problem):
        [*Xml(type="xml").decode(Endless(begin, piece), Selector(path="things.thing"), max_record_bytes=1 << 20)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 24 << 20


def test_many_records_come_in_blocks_that_hold_each_once_however_the_body_comes(monkeypatch):
    monkeypatch.setattr(xml, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(xml, "_PIECE_BYTES", 100)
    body = "<things>" + "".join(f"<thing><id>{n}</id></thing>" for n in range(300)) + "</things>"

    blocks = [*Xml(type="xml").decode(Slowly(body.encode()), Selector(path="things.thing"))]

    assert len(blocks) > 10
    assert [json.loads(bytes(r))["id"] for b in blocks for r in b.records()] == [str(n) for n in range(300)]
    assert [block.first for block in blocks] == [sum(b.count for b in blocks[:n]) for n in range(len(blocks))]


@pytest.mark.parametrize(
    ("path", "selector"),
    [("", {}), ("a{}", {"key": "k"}), ("a[].b[]", {"keep": "time"}), ("a", {"single": "record"}), ("a.@b", {})],
)
def test_a_path_that_leads_to_no_elements_is_refused(path, selector):
    with pytest.raises(RequestFailed, match="records: "):
        records("<a/>", path, selector=selector)


def test_the_encoding_is_that_of_the_document_or_of_the_file():
    body = "<things><thing>Zoë</thing></things>"

    declared = f'<?xml version="1.0" encoding="windows-1252"?>{body}'.encode("windows-1252")

    assert records(declared) == [{"value": "Zoë"}]
    assert records(f'<?xml version="1.0" encoding="big5"?>{body}'.encode("utf-8-sig")) == [{"value": "Zoë"}]
    assert records(body.encode("utf-16")) == [{"value": "Zoë"}]
    assert records(body.encode("latin-1"), encoding="iso-8859-1") == [{"value": "Zoë"}]


@pytest.mark.parametrize("encoding", ["gb2312", "big5", "shift_jis", "euc-kr", "gb18030", "iso-2022-jp"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_encodings_of_several_bytes_a_character_are_read(encoding: str, is_declared: bool) -> None:
    text = "\uff21\uff22" * 20  # letters that each of these has
    declared = f'<?xml version="1.0" encoding="{encoding}"?>' if is_declared else ""
    body = f"{declared}<things><thing>{text}</thing></things>".encode(encoding)

    told = Xml.model_validate({"type": "xml"} | ({} if is_declared else {"encoding": encoding}))
    blocks = [*told.decode(Slowly(body), Selector(path="things.thing"))]

    assert [json.loads(bytes(record)) for block in blocks for record in block.records()] == [{"value": text}]


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex"])
def test_an_encoding_that_nobody_knows_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(RequestFailed, match=f"says that its encoding is '{encoding}', which is not known"):
        records(f'<?xml version="1.0" encoding="{encoding}"?><things><thing>a</thing></things>')


def test_bytes_that_are_no_text_of_the_encoding_are_refused() -> None:
    body = b'<?xml version="1.0" encoding="big5"?><things><thing>' + b"\xff\xff</thing></things>"

    with pytest.raises(RequestFailed, match="expected text in big5, found bytes that are none"):
        records(body)


def test_a_body_that_ends_inside_a_character_is_cut() -> None:
    body = '<?xml version="1.0" encoding="big5"?><things><thing>\uff21'.encode("big5")[:-1]

    with pytest.raises(TransientFailure, match="cut body"):
        records(body)


NAMES = st.sampled_from(["a", "b", "c", "été", "x-y"])
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff", include_characters="\t\n"),
    max_size=8,
)
TREES = st.recursive(
    st.tuples(st.dictionaries(NAMES, TEXTS, max_size=2), TEXTS, st.just({})),
    lambda inner: st.tuples(
        st.dictionaries(NAMES, TEXTS, max_size=2),
        st.just(""),
        st.dictionaries(NAMES, st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=3),
    ),
    max_leaves=8,
)
Tree = tuple[dict[str, str], str, dict[str, list[Any]]]


QUOTED = {"'": "&apos;", "\t": "&#9;", "\n": "&#10;"}


def written(name: str, tree: Tree) -> str:
    attributes, text, children = tree
    told = "".join(f" {key}='{escape(v, QUOTED)}'" for key, v in attributes.items())
    inner = escape(text) + "".join(written(key, one) for key, several in children.items() for one in several)
    return f"<{name}{told}>{inner}</{name}>"


def expected(tree: Tree, path: str, lists: set[str], *, whole: bool) -> Any:
    """What is promised of a tree, said a second time and otherwise than in the decoder."""
    attributes, text, children = tree
    told: dict[str, Any] = {f"@{key}": value or None for key, value in attributes.items()} if whole else {}
    for name, several in children.items():
        here = f"{path}.{name}".strip(".")
        if here in lists:
            told[name] = [expected(one, here, lists, whole=True) for one in several]
        else:
            told[name] = expected(several[0], here, lists, whole=False)
            told |= {f"{name}@{key}": value or None for key, value in several[0][0].items()}
    if not children and not whole:
        return text or None
    if not children and (path or text.strip()):
        told["value"] = text or None
    return told


def several(tree: Tree, path: str = "") -> set[str]:
    """The paths at which some element comes more than once."""
    found = set[str]()
    for name, ones in tree[2].items():
        here = f"{path}.{name}".strip(".")
        found |= {here} if len(ones) > 1 else set()
        found |= {inner for one in ones for inner in several(one, here)}
    return found


@given(tree=TREES)
def test_every_record_arrives_exactly(tree):
    lists = several(tree)
    body = f"<things>{written('thing', tree)}</things>"

    found = records(body, lists=sorted(lists))

    assert without_gaps(found) == without_gaps([expected(tree, "", lists, whole=True)])
    assert flaws(body, lists=sorted(lists)) == {}


def without_gaps(value: Any) -> Any:
    """Without the empty lists, of which there is one wherever no element of a list came."""
    if isinstance(value, dict):
        return {key: without_gaps(inner) for key, inner in value.items() if inner != []} or None
    return [without_gaps(inner) for inner in value] if isinstance(value, list) else value

"""What `ingest check` says of nested lists that come cut."""

import json

import pytest

from ingest_assets.commands.unseen import unseen
from ingest_assets.http.decoders import Block
from ingest_assets.source import Endpoint

REST = {"has_more": "lines.has_more", "url": "lines.url", "paginator": {"type": "none"}}
CUT = {"id": 1, "lines": {"data": [1], "has_more": True, "url": "/lines"}}


def said(records, **fields):
    text = json.dumps(records).encode()
    endpoint = Endpoint.model_validate({"path": "/things", "primary_key": "id", **fields})
    return unseen(endpoint, Block(text, lines=False, first=0, count=len(records)))


def test_a_list_that_is_cut_and_would_not_be_read_on_is_told():
    assert [problem[:56] for problem in said([{"id": 0}, CUT])] == [
        "'lines.has_more' says in some records that a list inside"
    ]


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (CUT, {"cut_lists": {"lines.data": REST}}),
        ({**CUT, "lines": {**CUT["lines"], "has_more": False}}, {}),
        ({"id": 1, "has_more": True}, {}),
        (CUT, {"columns": {"lines": {"type": "json"}}}),
    ],
)
def test_of_lists_that_are_read_on_or_whole_or_kept_as_they_are_nothing_is_told(record, fields):
    assert said([record], **fields) == []


def test_a_list_that_no_record_has_is_told():
    (problem,) = said([{**CUT, "lines": {**CUT["lines"], "has_more": False}}], cut_lists={"lines.dta": REST})

    assert problem == "cut_lists: none of the records has a list 'lines.dta'; the lists there are: lines.data"


def test_a_path_that_is_one_key_with_a_dot_is_told_with_the_column_that_finds_it():
    (problem,) = said([{"id": 1, "user.name": "Ann"}], columns={"name": {"type": "varchar", "path": "user.name"}})

    assert problem == (
        "column 'name': none of the records has 'user.name': a dot leads into an object, and here it is part of a key; "
        "column 'user_name' without `path:` finds it"
    )
    assert said([{"id": 1, "user.name": "Ann"}], columns={"user_name": {"type": "varchar"}}) == []

"""A period that is not over: what asking for it brings."""

import pytest

from ingest_assets.errors import WalkIncomplete

# The lab's clock stands at noon of 2026-03-10.
DAILY = {"window": {"from": "from", "until": "until"}, "partitions": {"every": "day", "start": "2026-01-01"}}
OPEN = DAILY | {"partitions": {"every": "day", "start": "2026-01-01", "open": True}}
NOT_OVER = r"it is not over: it counts as closed from 2026-03-11 00:00 UTC on\. To fetch it while it runs, say `open"
NOT_BEGUN = r"it has not begun: its first moment is 2026-03-11T00:00:00\+00:00"


@pytest.mark.parametrize(
    ("endpoint", "day", "told"),
    [(DAILY, "2026-03-10", NOT_OVER), (DAILY, "2026-03-11", NOT_BEGUN), (OPEN, "2026-03-11", NOT_BEGUN)],
)
def test_a_period_that_cannot_be_whole_is_refused_without_a_request(lab, api, endpoint, day, told):
    with pytest.raises(WalkIncomplete, match=told):
        lab.fetch(lab.walk(endpoint, partition=day))

    assert api.asked == []
    assert lab.stored() == []

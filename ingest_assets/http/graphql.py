"""How GraphQL APIs say inside HTTP 200 that too much was asked: looked at after the rules of the source file.

{"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": {"cost": {…}}}    Shopify
{"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}                               GitHub
"""

from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.waits import WaitAt, WaitRefill

_COST = "extensions.cost"

THROTTLED = (
    ResponseRule(
        path="errors.extensions.code",
        equals=("THROTTLED", "RATE_LIMITED", "RATE_LIMIT_EXCEEDED", "RATELIMITED"),
        means="throttled",
        wait=(
            WaitRefill(
                needed=f"{_COST}.requestedQueryCost",
                available=f"{_COST}.throttleStatus.currentlyAvailable",
                per_second=f"{_COST}.throttleStatus.restoreRate",
            ),
        ),
    ),
    ResponseRule(
        path="errors.type",
        equals=("RATE_LIMITED",),
        means="throttled",
        wait=(WaitAt.model_validate({"path": "data.rateLimit.resetAt", "as": "date"}),),
    ),
)

"""What is wrong with a table, looked at in all its partitions: the worst is named, with what to do.

partitions   what is loaded is of the partitions that the file says
unique_key   no two rows of a key
shared_keys  no two different records of a fetch had the same key, nor of two partitions
newest_by    records of the newest fetches say which version of a row is newer
required     no row without a value that the contract wants
complete     the newest fetch of each partition reached its end, and that of a closed period came after it had settled
loaded       no load of a partition's newest fetch was refused, or failed
skipped      parents that a rule of the source file leaves out
expected     no more records came than the API says there are
volume       no partition has far fewer or more records than is usual
references   no row refers to what is not there
quarantine   the share of records that did not fit
drift        what the API changed within the last week
contract     partitions that were loaded under another contract
fresh        partitions, or the last look, that are late
"""

import json
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import duckdb

from ingest_assets.errors import ConfigError, ContractBroken
from ingest_assets.load import partitioning
from ingest_assets.load.clashes import shared_keys
from ingest_assets.load.looked import EXPECTED_IS, Found, Looked, named, run_again
from ingest_assets.load.noticed import drift
from ingest_assets.load.partitioning import Kept
from ingest_assets.load.plan import LOADABLE, WHOLE
from ingest_assets.load.references import references, references_of
from ingest_assets.load.volume import volume
from ingest_assets.load.warehouse import quoted
from ingest_assets.raw.manifest import SKIPPED
from ingest_assets.source import Endpoint, listed

QUOTING = frozenset({"drift", "loaded", "references", "shared_keys"})
"""Those whose findings quote values of records: who is forgotten may be among them."""
_NAMED = 10
_DIED = timedelta(days=1)
_FINE = ("complete", "open")


def partitions(at: Looked) -> Found:
    """What is loaded is of the partitions that the file says."""
    loaded = [
        Kept(fetch, partition, (lower, upper))
        for fetch, partition, lower, upper in at.rows(
            "SELECT _fetch, partition, from_time, until_time FROM _ingest.fetches "
            "WHERE source = $1 AND endpoint = $2 AND loaded IS NOT NULL ORDER BY _fetch",
            at.source,
            at.name,
        )
    ]
    found = partitioning.foreign(at.endpoint, loaded)
    if not found:
        return Found()
    told = partitioning.problem(at.endpoint, found)
    return Found(f"{told}. Next: put the file back, or ingest migrate {at.source}.{at.name}")


def unique_key(at: Looked) -> Found:
    """No two rows of a key."""
    if not {name.lower() for name in at.endpoint.primary_key} <= at.types().keys():
        return Found()  # no row ever had this key, or all are of another contract: `contract` tells that
    # A table may hold a key several times by what it is: once a version, a fetch or a partition. Ids are made of those.
    names = at.endpoint.primary_key if at.endpoint.write == "merge" else ["_id"]
    key = ", ".join(map(quoted, names))
    twins = at.rows(f"SELECT {key}, count(*) FROM {at.table} GROUP BY ALL HAVING count(*) > 1 LIMIT {_NAMED + 1}")
    # Keys may be what the file calls sensitive, so they are counted and not shown.
    keys = "1 key has" if len(twins) == 1 else f"{_some(len(twins))} keys have"
    return Found(f"{keys} more than one row. Next: {_replay(at)}" if twins else "")


def newest_by(at: Looked) -> Found:
    """Records of each newest fetch say which version is newer, or none changes a row; and no row is of the future."""
    column = at.endpoint.newest_by or ""
    told = at.newest(
        "partition, CASE WHEN outdated > 0 THEN CAST(filled AS VARCHAR) END, outdated", "loaded IS NOT NULL"
    )
    found = [(partition, count) for partition, filled, count in told if filled and column not in json.loads(filled)]
    silent = {partition: count for partition, count in found if at.knows(partition)}
    ahead = _of_later(at, column)
    counts = {"without it": sum(silent.values()), "of later than now": ahead}
    if silent:
        several = f"{named([*silent])} concerned: " if any(silent) else ""
        return Found(
            f"{several}no record of the newest fetch has a value of {column!r} (`newest_by`), and "
            f"{sum(silent.values()):,} records changed no row: each counts as older than what is there. Was it "
            f"renamed, or is its path another one? Mend the file, then: {_replay(at)}",
            counts,
        )
    problem = (
        f"{ahead:,} rows are of later than now by {column!r} (`newest_by`): no version changes them until then. Where "
        f"that is wrong, let the file say a `max` of that column, then: {_replay(at)}"
    )
    return Found(problem if ahead else "", counts, serious=False)


def _of_later(at: Looked, column: str) -> int:
    """How many rows tell a time that is more than a day ahead, which no clock of an API's is."""
    if not at.types().get(column.lower(), "").startswith(("TIMESTAMP", "DATE")):
        return 0
    query = f"SELECT count(*) FROM {at.table} WHERE {quoted(column)} > CAST(? AS TIMESTAMPTZ)"
    return int(at.rows(query, at.now + timedelta(days=1))[0][0])


def required(at: Looked) -> Found:
    """No row without a value that the contract wants."""
    there = at.types()  # what the file names since the last load is not among them: `contract` tells that
    wanted = [name for name in _wanted(at.endpoint) if name.lower() in there]
    if not wanted:
        return Found()
    counts = ", ".join(f"count(*) - count({quoted(name)})" for name in wanted)
    found = at.rows(f"SELECT {counts} FROM {at.table}")[0]
    missing = [f"{name}: {count:,}" for name, count in zip(wanted, found, strict=True) if count]
    return Found(f"rows without a required value: {', '.join(missing)}. Next: {_replay(at)}" if missing else "")


def _wanted(endpoint: Endpoint) -> list[str]:
    return [n for n, column in endpoint.columns.items() if column.required or n in endpoint.primary_key]


def complete(at: Looked) -> Found:
    """The newest fetch of each partition reached its end."""
    # Pages that shift while they are read tell one record twice and leave another out: the count alone is right.
    short = (
        f"verdict = 'complete' AND loaded IS NOT NULL AND expected > received - duplicates AND {EXPECTED_IS} <> 'about'"
    )
    few = "format('the API says {} records, and {} different ones came', expected, received - duplicates)"
    # A walk that has not ended may be going on; one of yesterday died.
    ended = at.newest(
        f"partition, CASE WHEN {short} THEN 'incomplete' ELSE coalesce(verdict, 'unfinished') END, "
        f"CASE WHEN {short} THEN {few} ELSE coalesce(reason, strftime(started, 'begun %Y-%m-%d %H:%M UTC')) END, "
        "loaded IS NOT NULL",
        "CASE WHEN ended IS NULL THEN started < $3 ELSE verdict <> 'given_up' END",
        at.now - _DIED,
    )
    ended = [one for one in ended if at.knows(one[0])]
    still = [partition for partition, verdict, *_ in ended if verdict == "open"]
    bad = [(p, f"{verdict}: {reason}", there) for p, verdict, reason, there in ended if verdict not in _FINE]
    over = "open: it was fetched before it was over and settled, and is since"
    bad += [(partition, over, True) for partition in still if _is_over(at, partition)]
    # Nobody can ask for it again, and nothing of the fetch that failed is in the table.
    bad = [one for one in bad if one[2] or at.offers(one[0])]
    problem = _none_listed(at, [partition for partition, *_ in ended])
    if bad:
        problem = f"{named([p for p, *_ in bad])} {bad[0][1].rstrip('.')}. Next: {_mend(at, bad[0][0])}"
    return Found(
        problem, {"partitions": len(ended), **({"open": len(still)} if still else {}), "not complete": len(bad)}
    )


def _none_listed(at: Looked, fetched: Sequence[str | None]) -> str:
    """What is wrong where nothing is listed any more of which there were partitions: no fetch would tell it."""
    try:
        if not fetched or at.slices:
            return ""
    except (ConfigError, ContractBroken):
        return ""  # that a listing cannot be read is told by who wants to ask
    listings = [f"{at.source}.{name}" for name in dict.fromkeys(told.endpoint for told in listed(at.endpoint).values())]
    return (
        f"nothing is asked for any more: the table of {' and '.join(listings)} lists none, and partitions were fetched "
        f"before ({len(fetched):,}). Next: ingest run {' '.join(listings)}; where that is right, take the endpoint out "
        "of the file"
    )


def _mend(at: Looked, partition: str | None) -> str:
    if at.offers(partition):
        return run_again(at, partition)
    undo = f"ingest undo {at.source}.{at.name} --partition {shlex.quote(partition or '')}"
    return f"have the file ask for {partition} again, or {undo}"


def loaded(at: Looked) -> Found:
    """No load of a partition's newest fetch was refused, or failed."""
    refused = refusals(at)
    problem = f"{named([*refused])} stored and not loaded: {next(iter(refused.values()))}" if refused else ""
    return Found(problem, {"not loaded": len(refused)})


def refusals(at: Looked) -> dict[str | None, str]:
    """Why the newest fetch of a partition is not loaded, of those that could not be; not of those nobody tried to."""
    told = at.newest(
        "partition, loaded, (SELECT max_by(problem, failed) FROM _ingest.failures AS t WHERE t.source = f.source "
        "AND t.endpoint = f.endpoint AND t.partition IS NOT DISTINCT FROM f.partition AND t.failed >= f.ended)",
        f"list_contains({list(WHOLE if at.endpoint.contract.replaces else LOADABLE)}, verdict)",
    )
    return {partition: problem for partition, done, problem in told if done is None and problem and at.knows(partition)}


def skipped(at: Looked) -> Found:
    """No parent was left out of the newest fetch of each partition, as a rule of the source file may want it."""
    # What completes a fetch asks for its failed parents only: those that it skipped are skipped still.
    told = at.rows(
        "SELECT partition, reason, lag(CASE WHEN verdict = 'incomplete' THEN reason END) OVER parts FROM "
        "_ingest.fetches WHERE source = $1 AND endpoint = $2 AND loaded IS NOT NULL "
        "WINDOW parts AS (PARTITION BY partition ORDER BY _fetch) "
        "QUALIFY row_number() OVER (PARTITION BY partition ORDER BY _fetch DESC) = 1 ORDER BY partition",
        at.source,
        at.name,
    )
    left = {key: one for key, *reasons in told for one in reversed(reasons) if one and SKIPPED in one}
    problem = f"{named([*left])} without some parents: {next(iter(left.values()))}" if left else ""
    return Found(problem, {"partitions": len(told), "with parents skipped": len(left)}, serious=False)


def expected(at: Looked) -> Found:
    """No more records came than the API says there are."""
    # Of what is filtered it is not known what came twice.
    told = at.newest(
        f"partition, expected, received - duplicates - filtered, {EXPECTED_IS}",
        "loaded IS NOT NULL AND verdict = 'complete'",
    )
    numbers = [one for one in told if one[1] is not None]
    more = [(partition, number, came) for partition, number, came, how in numbers if how == "exactly" and came > number]
    problem = ""
    if more:
        _, number, came = more[0]
        problem = (
            f"{named([partition for partition, _, _ in more])} larger than the API says: {number:,} records by its own "
            f"count, and {came:,} different ones came. Does that count the same records, and not those of one page?"
        )
    return Found(problem, {"with a count": len(numbers), "more than that": len(more)}, serious=False)


def _is_over(at: Looked, partition: str) -> bool:
    """Whether an open partition has been closed for longer than its next fetch may take to come."""
    settled = at.endpoint.settled_at(partition)
    return settled is not None and settled + (at.endpoint.fresh_within or _DIED) <= at.now


def quarantine(at: Looked) -> Found:
    """The share of records that did not fit, over what is loaded now."""
    total, aside = at.rows(
        """
        SELECT
            coalesce(sum(received), 0),
            (SELECT count(*) FROM _ingest.quarantine WHERE source = $1 AND endpoint = $2 AND closed_by IS NULL)
        FROM _ingest.fetches WHERE source = $1 AND endpoint = $2 AND loaded IS NOT NULL
        """,
        at.source,
        at.name,
    )[0]
    reasons = at.rows(
        "SELECT reason, count(*), min(_fetch) FROM _ingest.quarantine WHERE source = ? AND endpoint = ? "
        f"AND closed_by IS NULL GROUP BY reason ORDER BY 2 DESC LIMIT {_NAMED}",
        at.source,
        at.name,
    )
    share = aside / total if total else 0.0
    told = {"quarantined": aside, "share": share, "reasons": {reason: count for reason, count, _ in reasons}}
    problem = ""
    if share > at.endpoint.max_quarantined:
        from ingest_assets.load.behind import rows_behind

        behind = rows_behind(at)
        kept = f"; {behind:,} rows of their keys are there, and may be older than they" if behind else ""
        problem = (
            f"{aside:,} records are in quarantine, mostly: {reasons[0][0]} (fetch {reasons[0][2]}){kept}. A newer "
            f"version of a row may be among them. Mend the contract, then: {_replay(at)}"
        )
        told |= {"rows that may be older": behind}
    unswept = _unswept(at)
    return Found(f"{problem}. Also, {unswept}" if problem and unswept else problem or unswept, told)


def _unswept(at: Looked) -> str:
    """That rows stay which a complete fetch did not bring, since one of its records did not fit."""
    if at.endpoint.sweep is None:
        return ""
    newest = at.newest("partition, quarantined", "loaded IS NOT NULL AND verdict = 'complete'")
    kept = {partition: count for partition, count in newest if count and at.knows(partition)}
    if not kept:
        return ""
    return (
        f"{named([*kept])} not swept: the newest fetch set records aside ({sum(kept.values()):,}), each of which may "
        f"be of a row that it did not bring, so that none is deleted. Mend the contract, then: {_replay(at)}"
    )


def contract(at: Looked) -> Found:
    """Partitions that were loaded under another contract."""
    version = at.endpoint.contract.version
    loaded = at.newest("partition, contract", "loaded IS NOT NULL")
    stale = [partition for partition, under in loaded if under != version]
    problem = ""
    if stale:
        how = f"{_replay(at)} (or materialize the table alone); it sends no request"
        problem = f"{named(stale)} loaded under another contract. Next: {how}"
    return Found(problem, {"contract": version, "out of date": len(stale)}, serious=False)


def fresh(at: Looked) -> Found:
    """Closed partitions that are late, or how long ago the API was last asked to its end."""
    within = at.endpoint.fresh_within or timedelta(0)
    done = [
        one for one in at.newest("partition, ended", "loaded IS NOT NULL AND verdict = 'complete'") if at.knows(one[0])
    ]
    if at.endpoint.periods is None:
        return _looked_at(at, within, done)
    missing = _missing({partition for partition, _ in done}, at, at.now - within)
    late = f"{named(missing)} late" if done else "no partition is loaded yet"
    problem = f"{late}. Next: {run_again(at)}" if missing else ""
    return Found(problem, {"late partitions": len(missing)}, serious=False)


def _looked_at(at: Looked, within: timedelta, done: Sequence[tuple[str | None, datetime]]) -> Found:
    """How long ago it was asked to its end; of several accounts, the one that waits the longest."""
    keyed = at.endpoint.partitions
    there = {keyed.key(None, by) for by in at.slices} if keyed else {None}
    if not there:
        return Found()  # `complete` tells that nothing is listed
    past = [(partition, ended) for partition, ended in done if ended <= at.now]  # not by a clock that was ahead
    ages = {partition: at.now - ended for partition, ended in past if partition in there}
    never = sorted(key for key in there - ages.keys() if key is not None)
    worst = max(ages, key=lambda partition: ages[partition], default=None)
    told = "never" if never or not ages else f"{_hours(ages[worst])} ago"
    which = next(iter(never), worst)
    late = bool(never) or not ages or ages[worst] > within
    whose = f" of {which}" if which is not None else ""
    problem = f"the last complete look{whose} was {told}, expected within {_hours(within)}. Next: {run_again(at)}"
    return Found(problem if late else "", {"last complete look": told}, serious=False)


def _missing(done: set[str], at: Looked, due: datetime) -> list[str]:
    """Partitions between the first period that is there and the last one that settled before `due` that are missing."""
    periods, told = at.endpoint.periods, at.endpoint.partitions
    last = periods.last_ended(due.astimezone(UTC), at.endpoint.settle) if periods else None
    if periods is None or told is None or last is None:
        return []
    first = max(min((at.endpoint.slice(key).period or "" for key in done), default=""), periods.first)
    keys = [told.key(period, by) for by in at.slices for period in periods.between(first, last)]
    return [key for key in keys if key not in done]


def _replay(at: Looked) -> str:
    return f"ingest replay {at.source}.{at.name}"


def _some(count: int) -> str:
    return f"{_NAMED} or more" if count > _NAMED else str(count)


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} h"


def looks(endpoint: Endpoint) -> dict[str, Callable[[Looked], Found]]:
    """What can be asked of this endpoint's table, by name; `look` asks."""
    says_number = endpoint.total or endpoint.count or endpoint.paginator.records_total
    skips = any(rule.means == "skip_parent" for rule in endpoint.responses)
    return {
        **({"unique_key": unique_key, "shared_keys": shared_keys} if endpoint.primary_key else {}),
        **({"newest_by": newest_by} if endpoint.newest_by else {}),
        **({"required": required} if _wanted(endpoint) else {}),
        "partitions": partitions,
        "complete": complete,
        "loaded": loaded,
        **({"expected": expected} if says_number else {}),
        **({"skipped": skipped} if skips else {}),
        **({"volume": volume} if endpoint.volume and not endpoint.feed else {}),
        **({"references": references} if any(references_of(endpoint, "")) else {}),
        "quarantine": quarantine,
        "drift": drift,
        "contract": contract,
        **({"fresh": fresh} if endpoint.fresh_within else {}),
    }


def look(name: str, at: Looked) -> Found:
    """What one of `looks` finds; that a table is not there, or lists no partitions, is a finding too."""
    try:
        return looks(at.endpoint)[name](at)
    except duckdb.CatalogException:
        return Found("the table is not there yet: materialize it first")
    except (ConfigError, ContractBroken) as error:
        return Found(str(error))

"""Issues and pull requests of one repository, and how they change: comments, labels, closing and reopening."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from ingest_assets.sandbox.world import (
    DAY,
    Laws,
    Person,
    World,
    count_before,
    day_of,
    draws,
    iso,
    pick,
    seconds_of_day,
    someone,
)

OWNER, NAME, REPOSITORY_ID = "acme", "lamps", 900
ISSUES_A_DAY = 1.5
LABELS = ("bug", "enhancement", "question", "wontfix")
TITLES = ("Dimmer flickers", "Lamp stays on: why?", "灯が点かない", 'Shade says "hot"', "Fix dimmer", "Docs & examples")
API = "https://api.github.com"

Json = dict[str, Any]


class Step(NamedTuple):
    """Something that happens to an issue, and moves its updated_at."""

    time: int
    kind: str
    label: str


class Issue(NamedTuple):
    """An issue with all that ever happens to it; `person` is who wrote it, None for an account that is gone."""

    number: int
    created: int
    title: str
    person: Person | None
    is_pull: bool
    steps: tuple[Step, ...]


def issues_before(laws: Laws, day: int) -> int:
    """How many issues were opened before a day begins."""
    return count_before(ISSUES_A_DAY * laws.scale, day)


@lru_cache(maxsize=16_384)
def made(laws: Laws, number: int) -> Issue:
    """The issue with this number; numbers begin at 1."""
    dice = draws(laws, "issue", number)
    day = day_of(ISSUES_A_DAY * laws.scale, number - 1)
    of_that_day = issues_before(laws, day + 1) - issues_before(laws, day)
    created = seconds_of_day(draws(laws, "issues", day), day, of_that_day)[number - 1 - issues_before(laws, day)]
    steps, time = list[Step](), created
    for _ in range(int(6 * dice.random())):
        time += 60 + int(dice.random() ** 3 * 90 * DAY)
        steps.append(Step(time, pick(dice, ("comment", "comment", "label", "close", "reopen")), pick(dice, LABELS)))
    return Issue(number, created, pick(dice, TITLES), someone(laws, dice, created), dice.random() < 0.3, tuple(steps))


def issues(world: World) -> Iterator[Issue]:
    """All issues that exist, in the order they were opened."""
    for number in range(1, issues_before(world.laws, world.today) + 1):
        yield made(world.laws, number)


def updated(issue: Issue, as_of: int) -> int:
    """When something last happened to an issue before `as_of`."""
    return max((step.time for step in issue.steps if step.time < as_of), default=issue.created)


def closed(issue: Issue, as_of: int) -> int | None:
    """When an issue was closed, None where it is open at `as_of`."""
    for step in reversed(issue.steps):
        if step.time < as_of and step.kind in ("close", "reopen"):
            return step.time if step.kind == "close" else None
    return None


def _user(person: Person | None) -> Json | None:
    if person is None:
        return None
    login = f"user{person.number}"
    return {
        "login": login,
        "id": 7000 + person.number,
        "node_id": f"U_{person.number}",
        "avatar_url": f"https://avatars.example/{person.number}",
        "gravatar_id": "",
        "url": f"{API}/users/{login}",
        "html_url": f"https://github.com/{login}",
        "type": "User",
        "site_admin": False,
    }


def _label(name: str) -> Json:
    number = LABELS.index(name)
    return {
        "id": 9 + number,
        "node_id": f"LA_{number}",
        "url": f"{API}/repos/{OWNER}/{NAME}/labels/{name}",
        "name": name,
        "color": "f29513",
        "default": number == 0,
        "description": None,
    }


def record(issue: Issue, as_of: int) -> Json:
    """The issue as the API tells it at `as_of`."""
    happened = [step for step in issue.steps if step.time < as_of]
    labels = dict.fromkeys(step.label for step in happened if step.kind == "label")
    closed_at, user = closed(issue, as_of), _user(issue.person)
    url = f"{API}/repos/{OWNER}/{NAME}/issues/{issue.number}"
    page = f"https://github.com/{OWNER}/{NAME}/{'pull' if issue.is_pull else 'issues'}/{issue.number}"
    told: Json = {
        "id": 2_000_000_000 + issue.number * 7,
        "node_id": f"I_{issue.number}",
        "url": url,
        "repository_url": f"{API}/repos/{OWNER}/{NAME}",
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": page,
        "number": issue.number,
        "state": "open" if closed_at is None else "closed",
        "state_reason": None if closed_at is None else "completed",
        "title": issue.title,
        "body": None if issue.number % 9 == 0 else f"Seen at {issue.number % 100} %.",
        "user": user,
        "labels": [_label(name) for name in labels],
        "assignee": user if issue.number % 5 == 0 else None,
        "assignees": [user] if issue.number % 5 == 0 and user else [],
        "milestone": None,
        "locked": False,
        "active_lock_reason": None,
        "comments": sum(step.kind == "comment" for step in happened),
        "created_at": iso(issue.created),
        "updated_at": iso(updated(issue, as_of)),
        "closed_at": None if closed_at is None else iso(closed_at),
        "author_association": "NONE",
        "reactions": {"url": f"{url}/reactions", "total_count": issue.number % 3, "+1": issue.number % 3, "-1": 0},
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": None,
    }
    if issue.is_pull:
        pull = {"url": f"{API}/repos/{OWNER}/{NAME}/pulls/{issue.number}", "html_url": page}
        told |= {"draft": False, "pull_request": {**pull, "merged_at": told["closed_at"]}}
    return told

"""The rules on responses that docs/ show, for tests that try what they do."""

import re
from pathlib import Path
from typing import Any

import yaml

_PAGE = Path(__file__).parent.parent / "docs" / "responses.md"


def shown(means: str, key: str = "") -> dict[str, Any]:
    """The first rule of this meaning on the page; of those, the first that has this key."""
    blocks = re.findall(r"```yaml\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    lines = [line for block in blocks if not block.startswith("#") for line in block.splitlines()]
    rules: list[dict[str, Any]] = [rule for line in lines for rule in yaml.safe_load(line)["responses"]]
    return next(rule for rule in rules if rule["means"] == means and (key in rule or not key))

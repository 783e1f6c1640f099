"""What is told of mistakes in `responses` and `breaker`: the line, what stands there, and what was expected."""

import pytest

from ingest_assets import catalog
from ingest_assets.errors import ConfigError

SHOP = """\
base_url: https://shop.example
{line}
endpoints: {{things: {{path: /things, write: replace}}}}
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "responses: [{path: error, means: throttle}]",
            "expected throttled, retry, fail, new_credential, skip_parent, end or empty; found 'throttle'",
        ),
        ("responses: [{jmespath: size(items), means: retry}]", "calls size(), which JMESPath does not have"),
        ("responses: [{status: 403, means: fail}]", "responses.0: means: fail needs `message`"),
        ("responses: [{status: 404, means: empty}]", "responses.0.means: empty is a matter of one endpoint"),
        ("responses: [{path: error}]", "responses.0: 'means' is missing"),
        ("responses: [{stauts: 403, means: throttled}]", "unknown key 'stauts'; did you mean 'status'?"),
        (
            "responses: [{status: 429, means: throttled, wait: 60}]",
            "responses.0.wait: expected a duration with its unit",
        ),
        ("responses: [{status: 429, means: throttled, wait: 90s}]", "write PT90S; found '90s'"),
        (
            "responses: [{status: 429, means: throttled, wait: {until: week}}]",
            "responses.0.wait.until: expected minute, hour or day; found 'week'",
        ),
        (
            "responses: [{status: 429, means: throttled, wait: [{path: a, as: second}]}]",
            "responses.0.wait.0.as: expected seconds, milliseconds, minutes, date, unix or unix_ms; found 'second'",
        ),
        (
            "responses: [{status: 429, means: throttled, wait: {until: day, time_zone: Europe/Amsterdan}}]",
            "'Europe/Amsterdan' is no time zone",
        ),
        ("responses: [{status: 429, means: throttled, wait: {needed: a}}]", "'available' is missing"),
        ("responses: [{text: slow down, means: throttled}]", "text of a whole body needs status beside it"),
        ("responses: {status: 429, means: throttled}", "responses: expected a list; found a mapping"),
        ("breaker: {failures: 0}", "breaker.failures: expected a value greater than or equal to 1; found 0"),
        ("breaker: {pause: PT1H}", "pause is 60 min, and longest_pause 15 min"),
        ("breaker: {open_for: PT1M}", "unknown key 'open_for'"),
        ("breaker: off", "breaker: expected a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_expected(tmp_path, line, told):
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP.format(line=line))

    with pytest.raises(ConfigError) as refusal:
        catalog.load(file, [tmp_path])

    assert "shop.yaml:2: " in str(refusal.value)
    assert told in str(refusal.value)

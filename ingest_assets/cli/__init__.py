"""The `ingest` command: what it can be asked. What it then does is in `ingest_assets.commands`.

main      the group of commands; errors as lines or JSON, and exit codes
options   the kinds of parameters that several commands share
line      commands that fetch and load
look      commands that look and tell
mend      commands that mend what came wrong
keep      commands that keep the data, and bring it back
serve     commands that stay until Ctrl-C

Nothing slow is imported before it is known what was asked: shell completion asks on every Tab.
"""

from ingest_assets.cli.main import entry, main

__all__ = ["entry", "main"]

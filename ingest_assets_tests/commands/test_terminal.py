"""Tables as a terminal shows them."""

import io

from rich.console import Console

from ingest_assets.commands.terminal import table

NAME = "longer.customer_subscription_status_changes"


def test_no_figure_of_a_number_is_cut_where_the_screen_is_narrow() -> None:
    console = Console(width=60, record=True, file=io.StringIO())

    console.print(table(("endpoint", "records", "rows", "seconds"), [(NAME, 12_345_678, 12_345, 0.4)]))

    shown = console.export_text()
    assert {"12,345,678", "12,345", "0.4"} <= set(shown.split())
    assert "".join(line.split()[0] for line in shown.splitlines()[1:]) == NAME

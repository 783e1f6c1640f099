"""`python -m ingest_assets.sandbox`: the sandbox from the command line."""

import argparse
from datetime import date


def main() -> None:
    """Reads the options and serves until it is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m ingest_assets.sandbox", description="Three APIs on loopback, to ingest from."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--now", type=date.fromisoformat, help="a UTC midnight as YYYY-MM-DD (default: the last one)")
    parser.add_argument("--start", type=date.fromisoformat, help="the first day with charges, tickets and events")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="a factor on how much of everything there is")
    parser.add_argument("--factor", type=float, default=1.0, help="a factor on the rate limits")
    parser.add_argument("--while-stdin-open", action="store_true", help="end when standard input ends")
    from ingest_assets.sandbox.server import run

    run(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()

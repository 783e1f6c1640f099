"""What docs/operating.md shows is so: its commands run, in its order; unit and Dockerfile say what it says."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ingest_assets.cli import main
from ingest_assets.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operating.md").read_text()
UNIT = (ROOT / "deploy" / "ingest.service").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def blocks(language: str) -> list[str]:
    """The page's examples in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_every_command_of_the_page_works_one_after_the_other_and_asks_for_nothing(
    here: Any, box: Sandbox, monkeypatch: Any
) -> None:
    perform("ingest run stripe.charges --from 2026-11-18 --to 2026-11-19", here, monkeypatch)
    perform("ingest run stripe.customers", here, monkeypatch)
    before = rows(here)
    box.forget_seen()
    lines = [line for block in blocks("sh") for line in block.splitlines()]

    for line in lines:
        perform(line, here, monkeypatch)

    assert len(lines) >= 12
    assert box.seen() == []
    assert len(before) > 3
    assert rows(here) == before
    moved = type(here)(here.folder / "srv", here.url)
    (here.folder / "srv" / "ingest").rename(moved.data)
    assert rows(moved) == before


def perform(line: str, here: Any, monkeypatch: Any) -> None:
    """A line of the page, its places below this one's folder; `ingest` in this process, where it starts at once."""
    for path, place in {"/var/lib/ingest": "data", "/mnt/backup": "mnt", "/srv": "srv"}.items():
        (here.folder / place).parent.mkdir(exist_ok=True)
        line = line.replace(path, str(here.folder / place))
    for place in ("mnt", "srv"):
        (here.folder / place).mkdir(exist_ok=True)
    for name, value in here.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", "")  # each command sets it for itself
    program, *arguments = line.split()
    if program != "ingest":
        subprocess.run([program, *arguments], check=True)
    elif arguments == ["status"]:
        main.main(["status", "stripe.customers"], standalone_mode=False)  # of what is fresh in the sandbox's time
    else:
        main.main(arguments, standalone_mode=False)


def rows(place: Any) -> dict[str, list[tuple[object, ...]]]:
    """Of each row of each table which version it is, and where it came from."""
    return {
        name: place.ask(f"SELECT _id, _hash, _fetch, _page, _position FROM {name} ORDER BY ALL")  # noqa: S608 -- ours
        for name in place.tables()
    }


def executed() -> list[str]:
    """What the unit starts."""
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    return str(line).split()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    file = tmp_path / "ingest.service"
    file.write_text(UNIT.replace(executed()[0], "/bin/true").replace("#LoadCredential", "LoadCredential"))

    told = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)

    assert (told.returncode, told.stderr) == (0, "")


def test_the_unit_starts_a_command_that_there_is_with_options_that_it_has(here: Any) -> None:
    program, *arguments = executed()
    known = here.ingest(arguments[0], "--help").stdout

    assert program == "/opt/ingest/.venv/bin/ingest"
    assert [option for option in arguments if option.startswith("--") and option not in known] == []
    assert "INGEST_DATA=/var/lib/ingest\n" in UNIT


def test_the_dockerfile_installs_from_the_lock_alone_and_runs_as_nobody_special() -> None:
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    version = re.search(r"^FROM python:3\.(\d+)-slim$", DOCKERFILE, re.MULTILINE)

    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in ignored] == []
    assert "pip install --require-hashes --no-deps -r requirements.lock" in DOCKERFILE
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["ingest"]
    assert wanted == ">=3.11"
    assert version is not None
    assert 11 <= int(version[1]) <= 13
    assert '"--host", "0.0.0.0", "--port", "3000"' in DOCKERFILE
    assert "http://127.0.0.1:3000/server_info" in DOCKERFILE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_that_is_named_is_taken_or_refused(here: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        told = here.program("ui", "--port", port)

    assert told.returncode == 75
    assert f"port {port} on 127.0.0.1 is taken" in told.stderr


@pytest.mark.skipif(not os.environ.get("INGEST_LONG"), reason="starts Dagster's UI twice: the long form")
def test_the_service_ends_by_sigterm_with_all_that_it_started_and_starts_again(here: Any) -> None:
    for _ in range(2):
        port = free_port()
        process = here.start("ui", "--port", str(port))
        until = time.monotonic() + 120
        while not answers(port) and time.monotonic() < until:
            time.sleep(0.2)
        assert answers(port)

        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)

        assert process.returncode == 0, told
        assert "Traceback" not in told[1]
        until = time.monotonic() + 30
        while alive(process.pid) and time.monotonic() < until:
            time.sleep(0.2)
        assert alive(process.pid) == []


def alive(group: int) -> list[str]:
    """Processes of a group; without the dead, which some containers' first process never collects."""
    told = subprocess.run(["ps", "-eo", "pgid=,state=,args="], capture_output=True, text=True, check=True).stdout
    found = [line.split(maxsplit=2) for line in told.splitlines()]
    return [rest[-1] for pgid, state, *rest in found if int(pgid) == group and state != "Z"]


def answers(port: int) -> bool:
    """Whether the UI is there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5):
            return True
    except OSError:
        return False


def test_a_run_ends_by_sigterm_as_by_ctrl_c_and_the_next_one_goes_on(here: Any) -> None:
    run = ("run", "stripe.charges", "--from", "2026-11-15", "--to", "2026-11-19")

    with here.midway(*run) as process:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)

    assert process.returncode == 130, told
    assert "stays" in told
    assert "Traceback" not in told
    assert here.ingest(*run).returncode == 0


# Root may write anywhere, unless it gives that up.
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []


@pytest.mark.skipif(ORDINARY != [] and shutil.which("setpriv") is None, reason="root, and no setpriv to give that up")
@pytest.mark.parametrize("command", [["status"], ["run", "stripe.customers"], ["rebuild"], ["backup", "../copy"]])
def test_a_folder_that_is_not_ours_is_said_in_a_line(here: Any, command: list[str]) -> None:
    here.data.mkdir(mode=0o500)

    told = subprocess.run(
        [*ORDINARY, sys.executable, "-m", "ingest_assets.cli", *command],
        env=here.environment,
        cwd=here.folder,
        text=True,
        capture_output=True,
        check=False,
    )

    assert told.returncode == 1
    assert f"{here.data}/" in told.stderr
    assert "Permission denied. Expected a folder that this user may write to" in told.stderr
    assert "Traceback" not in told.stderr

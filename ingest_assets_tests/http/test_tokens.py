"""The file in which processes share a token: who may read it, when it is over, and what is wrong with it."""

import json
import multiprocessing
import os
import signal
import stat
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import ConfigError, Locked, StorageFailed, TransientFailure
from ingest_assets.http.auth.exchanged import Token
from ingest_assets.http.tokens import TokenFile

FORKS = multiprocessing.get_context("spawn")


class Server:
    """Gives tokens, each with its number, and counts them."""

    def __init__(self, lifetime=None):
        self.lifetime, self.given = lifetime, 0

    def __call__(self):
        self.given += 1
        return Token(f"token-{self.given}", self.lifetime)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "tokens"


@pytest.fixture
def file(folder, clock):
    return TokenFile(folder, "key", clock=clock, wall=clock)


def test_folder_and_file_are_for_their_user_alone(folder, file):
    file.renewed(Server())

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def test_a_folder_that_others_may_look_into_is_closed(folder, file):
    folder.mkdir(mode=0o755, parents=True)

    file.renewed(Server())

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path):
    (tmp_path / "tokens").write_text("")

    with pytest.raises(ConfigError, match=r"tokens cannot be kept there: .* INGEST_TOKENS"):
        TokenFile(tmp_path / "tokens", "key").renewed(Server())


def test_a_token_that_others_could_read_is_replaced_and_never_used(folder, file):
    server = Server()
    file.renewed(server)
    (folder / "key.json").chmod(0o644)

    assert file.fresh() is None
    assert file.renewed(server).value == "token-2"
    assert stat.S_IMODE((folder / "key.json").stat().st_mode) == 0o600


def test_a_link_in_place_of_the_file_is_not_followed(folder, file, tmp_path):
    server = Server()
    file.renewed(server)
    (folder / "key.json").rename(tmp_path / "elsewhere.json")
    (folder / "key.json").symlink_to(tmp_path / "elsewhere.json")

    assert file.renewed(server).value == "token-2"
    assert "token-1" in (tmp_path / "elsewhere.json").read_text()


@pytest.mark.parametrize(
    ("lifetime", "used"), [(2, 1.8), (60, 54), (300, 270), (600, 540), (3600, 3540), (86400, 86340)]
)
def test_a_token_is_used_until_a_tenth_of_its_life_is_left_or_a_minute(file, clock, lifetime, used):
    file.renewed(Server(lifetime))
    clock.now += used - 0.001

    assert file.fresh() is not None
    clock.now += 0.002
    assert file.fresh() is None


def test_a_token_of_unknown_life_is_used_until_it_is_refused(file, clock):
    server = Server(None)
    kept = file.renewed(server)
    clock.now += 10_000_000

    assert file.fresh() == kept
    assert file.renewed(server, kept).value == "token-2"


def test_what_another_process_has_renewed_meanwhile_is_used(folder, clock):
    server = Server(60)
    one, other = (TokenFile(folder, "key", clock=clock, wall=clock) for _ in range(2))
    refused = one.renewed(server)
    other.renewed(server, refused)

    assert one.renewed(server, refused).value == "token-2"
    assert server.given == 2


def test_a_life_counts_from_before_the_token_was_asked_for(file, clock):
    def slow():
        clock.now += 30
        return Token("token", 60)

    kept = file.renewed(slow)
    clock.now += 25

    assert not file.is_fresh(kept)


@pytest.mark.parametrize(
    ("monotonic", "wall", "fresh"),
    [
        (10, 10, True),
        (10, -86400, True),  # the wall clock was set back
        (10, 7200, False),  # set ahead, or the machine slept: rather one renewal too many
        (-5000, 10, True),  # the machine was started again
        (-5000, 7200, False),
        (-5000, -86400, False),  # nothing is known
    ],
)
def test_clocks_may_jump(folder, monotonic, wall, fresh):
    now = {"monotonic": 9000.0, "wall": 1e9}
    file = TokenFile(folder, "key", clock=lambda: now["monotonic"], wall=lambda: now["wall"])
    file.renewed(Server(3600))
    now["monotonic"] += monotonic
    now["wall"] += wall

    assert (file.fresh() is not None) is fresh


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"token-1"',
        b"\xff\xfe",
        b"{}",
        b'{"value": 1, "lifetime_seconds": 9, "monotonic": 1000, "wall": 1000}',
        b'{"value": "", "lifetime_seconds": 9, "monotonic": 1000, "wall": 1000}',
        b'{"value": "token-0", "lifetime_seconds": "soon", "monotonic": 1000, "wall": 1000}',
        b'{"value": "token-0", "lifetime_seconds": NaN, "monotonic": 1000, "wall": 1000}',
        b'{"value": "token-0", "lifetime_seconds": 9, "monotonic": NaN, "wall": NaN}',
        b'{"value": "token-0", "lifetime_seconds": 9, "monotonic": [], "wall": 1000}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_damaged_counts_as_none_and_is_replaced(folder, file, text):
    server = Server(60)
    file.renewed(server)
    (folder / "key.json").write_bytes(text)

    assert file.fresh() is None
    assert file.renewed(server).value == "token-2"
    assert file.fresh().value == "token-2"


@given(end=st.integers(0, 200))
def test_a_file_cut_anywhere_is_whole_or_none(tmp_path_factory, end):
    folder = tmp_path_factory.mktemp("tokens")
    file = TokenFile(folder, "key")
    kept = file.renewed(Server(3600))
    text = (folder / "key.json").read_bytes()
    (folder / "key.json").write_bytes(text[:end])

    assert file.fresh() == (kept if end >= len(text) else None)


def test_an_exchange_that_fails_keeps_what_was_there_and_frees_the_lock(folder, file):
    kept = file.renewed(Server(60))

    def fails():
        raise TransientFailure("no connection")

    with pytest.raises(TransientFailure, match="no connection"):
        file.renewed(fails, kept)

    assert file.fresh() == kept
    assert file.renewed(Server(60), kept) is not None


def test_a_full_disk_is_told_and_leaves_nothing_half_written(folder, file):
    file.renewed(Server())
    (folder / "key.new").mkdir()  # nothing can be written under that name

    with pytest.raises(StorageFailed, match="a token cannot be kept there"):
        file.renewed(Server(), file.fresh())


def renew_and_hang(folder, begun):
    def hangs():
        begun.set()
        time.sleep(60)

    TokenFile(folder, "key").renewed(hangs)


def test_a_process_that_dies_in_the_middle_of_a_renewal_holds_nobody_up(folder):
    begun = FORKS.Event()
    worker = FORKS.Process(target=renew_and_hang, args=(folder, begun))
    worker.start()
    begun.wait()
    with pytest.raises(Locked, match="renewing a token"):
        TokenFile(folder, "key", lock_wait_seconds=0).renewed(Server())
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    (folder / "key.new").write_text("half a tok")  # where it died a moment later

    assert TokenFile(folder, "key").renewed(Server()).value == "token-1"
    assert json.loads((folder / "key.json").read_text())["value"] == "token-1"
    assert not (folder / "key.new").exists()


def test_many_that_need_a_token_at_once_cause_one_exchange(folder):
    server, got = Server(3600), []

    def slow():
        time.sleep(0.05)
        return server()

    threads = [
        threading.Thread(target=lambda: got.append(TokenFile(folder, "key").renewed(slow).value)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == ["token-1"] * 8


def test_nothing_shows_a_token_by_its_representation(file):
    kept = file.renewed(Server())

    assert "token-1" not in f"{kept} {kept!r} {Token('token-1')!r}"

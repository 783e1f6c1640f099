"""The group of all commands; how their errors are told, and with which exit code they end.

Exit codes: 0 done; 1 something failed, or is wrong with the data; 2 mend a file, a setting or the command line;
75 try again later: an API or a lock asks for patience; 130 interrupted.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click

from ingest_assets.cli import keep, line, look, mend, serve
from ingest_assets.cli.options import FAILED, INTERRUPTED, LATER, MEND
from ingest_assets.commands.interrupts import send_again_where_swallowed
from ingest_assets.errors import ConfigError, IngestError, TransientFailure
from ingest_assets.process import Process

_OF_THE_DISK = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG),  # what stands there is something else
)
_STDOUT, _STDERR = 1, 2
_INTERRUPTED_QUERY = "Query interrupted"  # what DuckDB makes of Ctrl-C while it works
_SECTIONS = {
    "Fetch and load": (line.run, line.replay, line.accept, line.auth),
    "Look": (
        look.status,
        look.sources,
        look.check,
        look.try_out,
        look.preview,
        look.verify,
        look.report,
        look.why,
        look.trace,
    ),
    "Mend": (mend.quarantine, mend.undo, mend.migrate, mend.forget),
    "Keep": (keep.du, keep.prune, keep.reader, keep.backup, keep.rebuild),
    "Serve": (serve.ui, serve.sandbox, serve.demo, serve.completion),
}


class _Sections(click.Group):
    """A group whose help lists its commands by what they are for, in that order."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is no text before any command meets it: DuckDB, JSON and YAML know no such bytes."""
        for one in args:
            try:
                one.encode()
            except UnicodeEncodeError:
                raise click.UsageError(f"{one!r} is not UTF-8 text") from None
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's own signature
        """Write a list of commands for each section."""
        width = max(len(name) for name in self.commands)
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{c.name:<{width}}", c.get_short_help_str(100)) for c in commands])


@click.group(cls=_Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data", envvar="INGEST_DATA", default="data", show_default=True, help="Folder of warehouse and snapshots."
)
@click.version_option(package_name="ingest-assets")
@click.pass_context
def main(context: click.Context, data: str) -> None:
    """HTTP APIs as Dagster assets, in DuckDB: one short YAML file a source.

    \b
    ingest check stripe              is the file right, are the keys there?
    ingest run stripe.charges        fetch and load what is due
    ingest status                    what is wrong, and what to do
    """
    context.obj = data


for _commands in _SECTIONS.values():
    for _command in _commands:
        main.add_command(_command)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def guarded(command: Callable[[], object], *, as_json: bool = False) -> int:
    """The exit code of a command; an error raised on purpose is said in a line, without a traceback.

    With `as_json` it is told as a document on stdout too.
    """
    # Ended politely is interrupted, and a shell's `&` must not make it deaf to Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command()
    except IngestError as error:
        code = MEND if isinstance(error, ConfigError) else LATER if isinstance(error, TransientFailure) else FAILED
        _say(str(error))
        return _told(type(error).__name__, str(error), code, as_json=as_json)
    except click.ClickException as error:
        error.show()
        return _told("UsageError", error.format_message(), error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(as_json=as_json)
    except RuntimeError as error:
        if str(error) != _INTERRUPTED_QUERY:
            raise
        return _interrupted(as_json=as_json)
    except BrokenPipeError:
        _output_is_lost()  # who read has enough, as `head` does
        return FAILED
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        return _unwritten(error, as_json=as_json)
    except Exception as error:
        _told(type(error).__name__, str(error), FAILED, as_json=as_json)
        raise  # nobody meant it: the traceback is what helps to mend it
    return 0


def _unwritten(error: OSError, *, as_json: bool) -> int:
    if error.filename is None and _output_is_lost():
        _say(f"standard output: {error.strerror}. Expected a place that can be written to, with room in it")
        return FAILED
    message = f"{error.filename}: {error.strerror}. Expected a folder that this user may write to, with room in it"
    click.echo(f"✗ {message}", err=True)
    return _told("StorageFailed", message, FAILED, as_json=as_json)


def _output_is_lost() -> bool:
    """Whether what was printed cannot be written. From then on it goes nowhere: Python would complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _interrupted(*, as_json: bool) -> int:
    message = "Interrupted. What is fetched and loaded stays; run again for the rest"
    click.echo(message, err=True)
    return _told("Interrupted", message, INTERRUPTED, as_json=as_json)


def _say(message: str) -> None:
    from ingest_assets.commands.output import console
    from ingest_assets.commands.terminal import note

    console(stderr=True).print(note("✗", message))


def _told(kind: str, message: str, code: int, *, as_json: bool) -> int:
    if as_json:
        from ingest_assets.commands.output import print_document

        print_document({"ok": False, "error": {"kind": kind, "message": message, "exit_code": code}})
    return code


def _open_streams() -> None:
    """Have streams that were closed (`>&-`) lead nowhere: the next file that is opened would be taken for one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(_STDOUT, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(_STDERR, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: of another encoding than UTF-8, it lacks signs


def entry() -> None:
    """Where the installed command begins."""
    process = Process()
    _open_streams()
    send_again_where_swallowed()
    process.end(guarded(lambda: main(standalone_mode=False), as_json="--json" in sys.argv[1:]))

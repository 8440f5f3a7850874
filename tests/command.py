"""The command, called in this process: what it prints and returns, and the one line with which it refuses."""

from typing import Any

from minidl.cli import main


def run(capsys: Any, *argv: str) -> tuple[Any, str, str]:
    """(exit code, standard output, standard error) of the command."""
    capsys.readouterr()
    try:
        code: Any = main(list(argv))
    except SystemExit as error:  # argparse
        code = error.code
    return code, *capsys.readouterr()


def refused(capsys: Any, *argv: str) -> str:
    """The one line on standard error with which the command ends."""
    code, out, err = run(capsys, *argv)
    assert code == 2 and not out
    assert err.startswith(f"minidl {argv[0]}: ") and err.count("\n") == 1 and err.endswith("\n"), err
    return err

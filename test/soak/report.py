"""Prints TAP lines for the programs of this directory; the Perl test that starts a program counts its lines."""

import threading

_lock = threading.Lock()


def _say(line):
    with _lock:
        print(line, flush=True)


def note(text):
    for line in str(text).split("\n"):
        _say(f"# {line}")


def ok(passed, name, *notes):
    """One test; its notes are printed if it fails."""
    _say(f"{'ok' if passed else 'not ok'} - {name}")
    if not passed:
        for text in notes:
            note(text)
    return passed

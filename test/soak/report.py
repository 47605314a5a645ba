"""TAP for the programs of this directory: the Perl test that starts one counts its lines."""

import threading

_lock = threading.Lock()


def _say(line):
    with _lock:
        print(line, flush=True)


def note(text):
    for line in str(text).split("\n"):
        _say(f"# {line}")


def ok(passed, name, *notes, todo=None):
    """One test; the notes are printed where it fails.  todo says what is to be mended first."""
    _say(f"{'ok' if passed else 'not ok'} - {name}" + (f" # TODO {todo}" if todo else ""))
    if not passed:
        for text in notes:
            note(text)
    return passed

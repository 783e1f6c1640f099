"""What was meant by a name that is not known."""

from collections.abc import Iterable


def hint(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known: the one that was meant, else those that there are.

    >>> hint("strip", ["stripe", "zendesk"]), hint("x", ["stripe", "zendesk"])
    ("did you mean 'stripe'?", 'there are stripe, zendesk')
    """
    import difflib

    near = difflib.get_close_matches(name, known := sorted(known), 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"

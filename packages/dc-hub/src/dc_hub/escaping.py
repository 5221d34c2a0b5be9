"""Text out of a stored model, made safe to show: it can steer no terminal and hide nothing."""


def escape_controls(text: str) -> str:
    r"""Return ``text`` with what cannot be seen written as escapes: ``\x1b``, ``\n``, ``\u202e``.

    Those are control and format characters, lone surrogates, and all spaces but the ordinary one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

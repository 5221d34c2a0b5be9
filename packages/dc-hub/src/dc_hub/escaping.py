"""Escape text from stored models, so that it cannot control the terminal or hide anything."""


def escape_controls(text: str) -> str:
    r"""Return ``text`` with invisible characters written as escapes: ``\x1b``, ``\n``, ``\u202e``.

    These are control and format characters, lone surrogates, and every space but U+0020.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

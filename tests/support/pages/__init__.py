"""The reference pages that are made from the code: `python -m tests.support.pages` writes them, for `make types`.

Each module has `page()`, which returns the text of its page; `docs/TYPES.md` and `docs/python.md` are made elsewhere.
"""

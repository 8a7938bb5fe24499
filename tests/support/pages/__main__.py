"""`python -m tests.support.pages` writes the pages."""

from tests.support.pages.every import write

write()

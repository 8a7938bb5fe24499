"""Python imports this first in the processes that tests start: they find no package that only our tests install.

stripe-python and PyMongo import these if they are there, which is a quarter of what a process of ours takes to start.
"""

import sys

sys.modules.update(dict.fromkeys(("cryptography", "httpx")))

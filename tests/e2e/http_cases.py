"""All rows, and what a test needs to run them."""

import http_bodies  # noqa: F401  (adds its rows)
import http_heads  # noqa: F401
from http_case import CASES, CLOSED, NOTHING, OPEN, head  # noqa: F401

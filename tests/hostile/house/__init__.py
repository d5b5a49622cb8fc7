"""A gateway in front of an upstream, as the tests of this folder need them."""

import os

# `HOSTILE=full`: numbers of connections and lengths of time as the contract has them.
FULL = os.environ.get("HOSTILE") == "full"

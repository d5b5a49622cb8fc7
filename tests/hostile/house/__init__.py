"""A gateway in front of an upstream, as the tests of this folder need them."""

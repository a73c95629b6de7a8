"""What the distribution promises as a package."""

import redis_quota


def test_says_what_it_is():
    assert "quota.so" in redis_quota.__doc__

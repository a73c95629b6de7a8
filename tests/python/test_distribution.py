"""What the distribution promises as a package."""

import pytest
import redis_quota


def test_says_what_it_is():
    assert "quota.so" in redis_quota.__doc__


def test_every_name_is_there_and_imported_when_it_is_used():
    for name in redis_quota.__all__:
        assert getattr(redis_quota, name).__doc__, name
    with pytest.raises(AttributeError, match="no_such_name"):
        redis_quota.no_such_name  # noqa: B018

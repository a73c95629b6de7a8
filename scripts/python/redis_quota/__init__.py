"""redis-quota for Python: rate limits, quotas and credits that a Redis server with quota.so decides.

    your service ── redis_quota ──▶ redis-py ──▶ redis-server + quota.so

Nothing is decided here but what `on_error="local"` names: the server's reply is the answer.
"""

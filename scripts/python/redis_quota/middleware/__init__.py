"""Limits in front of web applications: asgi, wsgi, django, flask, fastapi. No view is touched.

    from redis_quota.middleware.asgi import QuotaMiddleware       Starlette, FastAPI, Quart, any ASGI application
    from redis_quota.middleware.wsgi import QuotaMiddleware       Flask, Django, Bottle, any WSGI application

What is decided and how it is written is redis_quota/http.py.
"""

from ..http import Consumption, RateLimit, client_address, client_key, header

__all__ = ["Consumption", "RateLimit", "client_address", "client_key", "header"]

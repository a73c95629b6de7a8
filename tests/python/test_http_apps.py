"""Applications with a limit in front of them, by real HTTP: uvicorn, threaded WSGI servers.

    HTTP clients ══▶ uvicorn / WSGI ─▶ middleware ─▶ Redis server, killed and brought back meanwhile
        count what they were answered        ==        what QUOTA.INFO says was used
"""

import contextlib
import hashlib
import json
import socketserver
import threading
import time
import uuid
from typing import Annotated
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import fastapi
import flask
import http_sf
import httpx
import pytest
import redis
import uvicorn
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
from redis_quota import AsyncQuota, BadCommand, Denied, Quota, Verdict, limited
from redis_quota.cli import acl
from redis_quota.http import Consumption, RateLimit, decide, header
from redis_quota.middleware import asgi, wsgi
from redis_quota.middleware import django as django_quota
from redis_quota.middleware import fastapi as fastapi_quota
from redis_quota.middleware import flask as flask_quota
from servers import PATIENCE_S, wait_until

NOON = "2025-01-31T15:00:00Z"
KEY = "sk_acme_1"


@pytest.fixture
def server(durable):
    client = durable.client()
    client.flushall()
    client.execute_command("QUOTA.CLOCK", "RESUME")
    return durable


@contextlib.contextmanager
def serving_asgi(app):
    """uvicorn in a thread; -> its URL."""
    runner = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=runner.run)
    thread.start()
    wait_until(lambda: runner.started, "uvicorn does not start")
    yield f"http://127.0.0.1:{runner.servers[0].sockets[0].getsockname()[1]}"
    runner.should_exit = True
    thread.join()


class Silent(WSGIRequestHandler):
    def log_message(self, *words):
        """Nothing is written for each request."""


class Threaded(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


@contextlib.contextmanager
def serving_wsgi(app):
    """A thread for each request; -> its URL."""
    runner = Threaded(("127.0.0.1", 0), Silent)
    runner.set_app(app)
    thread = threading.Thread(target=runner.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{runner.server_port}"
    runner.shutdown()
    thread.join()
    runner.server_close()


def async_quota(server, **options):
    return AsyncQuota(redis.asyncio.Redis(port=server.port, socket_timeout=5), **options)


def sync_quota(server, **options):
    return Quota(redis.Redis(port=server.port, socket_timeout=5), **options)


def digest_of(request):
    key = header(request, "Authorization").removeprefix("Bearer ")
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


# Django finds its views in this module, and its limit in the settings.
def hello(request):
    return HttpResponse("hello", headers={"X-View": "ran"})


urlpatterns = [path("hello", hello)]
if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, MIDDLEWARE=["redis_quota.middleware.django.QuotaMiddleware"],
                       ALLOWED_HOSTS=["*"], SECRET_KEY="of tests", QUOTA_CLIENT=None, QUOTA_LIMIT=None)


def django_app(quota, limit):
    settings.QUOTA_CLIENT, settings.QUOTA_LIMIT = (lambda: quota), limit
    return WSGIHandler()


def flask_app(quota, limit):
    app = flask.Flask("of_tests")
    app.get("/hello")(lambda: flask.Response("hello", headers={"X-View": "ran"}))
    flask_quota.limit_app(app, quota, limit)
    return app


def wsgi_app(quota, limit):
    def app(environ, start_response):
        start_response("200 OK", [("X-View", "ran"), ("Content-Length", "5")])
        return [b"hello"]
    return wsgi.QuotaMiddleware(app, quota, limit)


def fastapi_app(quota, limit):
    """The limit as a dependency of the path."""
    app = fastapi.FastAPI()
    fastapi_quota.install(app, quota)

    @app.get("/hello", dependencies=[fastapi.Depends(fastapi_quota.limited(limit))])
    async def answer():
        return fastapi.responses.PlainTextResponse("hello", headers={"X-View": "ran"})

    return app


def asgi_app(quota, limit):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-view", b"ran")]})
        await send({"type": "http.response.body", "body": b"hello"})
    return asgi.QuotaMiddleware(app, quota, limit)


KINDS = {"django": (django_app, serving_wsgi, sync_quota), "flask": (flask_app, serving_wsgi, sync_quota),
         "wsgi": (wsgi_app, serving_wsgi, sync_quota), "fastapi": (fastapi_app, serving_asgi, async_quota),
         "asgi": (asgi_app, serving_asgi, async_quota)}


@contextlib.contextmanager
def served(kind, server, limit, **options):
    app, serving, quota = KINDS[kind]
    with serving(app(quota(server, **options), limit)) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        yield client


def fields(response, name):
    """The items of a structured-field list."""
    return http_sf.parse(response.headers[name].encode(), tltype="list")


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_limit_in_front_of_an_application(server, kind):
    server.client().execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    limit = RateLimit("2 1m SLIDING 100 1h", name="per client", key=lambda request: header(request, "X-User") or None)
    with served(kind, server, limit) as client:
        ok = [client.get("/hello", headers={"X-User": "joe"}) for _ in range(2)][1]
        assert (ok.status_code, ok.text, ok.headers["X-View"]) == (200, "hello", "ran")
        assert fields(ok, "RateLimit-Policy") == [("per client", {"q": 2, "w": 60})]
        assert fields(ok, "RateLimit") == [("per client", {"r": 0, "t": 60})]
        assert "Retry-After" not in ok.headers
        denied = client.get("/hello", headers={"X-User": "joe"})
        assert (denied.status_code, denied.headers["Retry-After"]) == (429, "30")
        assert fields(denied, "RateLimit") == [("per client", {"r": 0, "t": 30})]
        assert denied.headers["Content-Type"] == "application/problem+json"
        assert denied.json()["violated-policies"] == ["per client"]
        assert denied.json()["wait_ms"] == 30000
        assert "X-View" not in denied.headers
        free = client.get("/hello")
        assert (free.status_code, "RateLimit" in free.headers) == (200, False)


@pytest.mark.parametrize("kind", KINDS)
def test_an_account_behind_an_api_key(server, kind):
    quota = sync_quota(server)
    quota.set_plan("pro", "calls", "LIMIT 3 month RATE 100 90s")
    quota.open("acme", "pro")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    quota.execute("QUOTA.APIKEY", "SET", "acme", digest, "SCOPES", 1, "read", key="acme")
    limit = Consumption("calls", account=lambda request: header(request, "X-Account"), api_key=digest_of, scope="read")
    with served(kind, server, limit) as client:
        def get(**named):
            return client.get("/hello", headers={name.replace("_", "-"): value for name, value in named.items()})

        mine = {"X_Account": "acme", "Authorization": f"Bearer {KEY}"}
        unknown = get(X_Account="acme")
        assert (unknown.status_code, unknown.json()["code"]) == (401, "NOKEY")
        assert unknown.headers["WWW-Authenticate"] == "Bearer"
        quota.execute("QUOTA.APIKEY", "SET", "acme", digest, "SCOPES", 1, "write", key="acme")
        assert (get(**mine).status_code, get(**mine).json()["code"]) == (403, "NOSCOPE")
        quota.execute("QUOTA.SUSPEND", "acme", key="acme")
        quota.execute("QUOTA.APIKEY", "SET", "acme", digest, "SCOPES", 1, "read", key="acme")
        assert (get(**mine).status_code, get(**mine).json()["code"]) == (403, "SUSPENDED")
        quota.execute("QUOTA.RESUME", "acme", key="acme")
        assert get(**mine | {"X_Account": "stranger"}).json()["code"] == "NOACCOUNT"
        answers = [get(**mine) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert fields(answers[0], "RateLimit-Policy") == [("calls.month", {"q": 3})]
        assert fields(answers[0], "RateLimit")[0][1]["r"] == 2
        assert answers[4].json()["violated-policies"] == ["calls.month"]
    assert quota.info("acme", "calls")["rules"][0]["used"] == 3


def test_a_policy_has_its_own_name_and_windows(server):
    quota = sync_quota(server)
    quota.set_policy("public", "5 1h SCHEDULE UTC daily 00:00-24:00 3 1m")
    quota.execute("RL.POLICY", "REFUSE", "public", "127.0.0.2")
    limit = RateLimit(policy="public", address=lambda request: header(request, "X-From") or "127.0.0.1")
    with served("asgi", server, limit) as client:
        ok = client.get("/hello")
        assert fields(ok, "RateLimit-Policy") == [("public", {"q": 3, "w": 60})]
        refused = client.get("/hello", headers={"X-From": "127.0.0.2"})
        assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["public"])


def consumer(server, *more):
    """A client with the rights of a consumer, and more."""
    for line in acl.lines_of("consumer", "consumer", "*", ">secret"):
        server.client().execute_command(*line.split())
    if more:
        server.client().execute_command("ACL", "SETUSER", "consumer", *more)
    return redis.Redis(port=server.port, username="consumer", password="secret")


def test_without_the_right_to_read_rules_their_names_are_shorter(server):
    """A consumer may charge and not read. What was charged is served, and the server is left alone for a minute."""
    admin = sync_quota(server)
    admin.set_plan("pro", "calls", "LIMIT 3 day")
    admin.set_policy("public", "5 1m")
    admin.open("acme", "pro")
    limits = {"calls": Consumption("calls", account=lambda request: "acme"), "public": RateLimit(policy="public")}
    may = consumer(server, "+quota.info", "+rl.policy|get")
    named = {name: Quota(may)._drive(decide(Quota(may), limit, {})).fields[0] for name, limit in limits.items()}
    assert named == {"calls": ("RateLimit-Policy", '"calls.day";q=3;w=86400'),
                     "public": ("RateLimit-Policy", '"public";q=5;w=60')}
    server.client().execute_command("ACL", "LOG", "RESET")
    may_not = Quota(consumer(server), on_error="local")
    for name, limit in limits.items():
        for _ in range(2):
            decision = may_not._drive(decide(may_not, limit, {}))
            assert decision.response() is None
            assert decision.fields[0][1].split(";")[0] == f'"{name}"'
    assert admin.info("acme", "calls")["rules"][0]["used"] == 3
    refused = {entry["object"].lower(): entry["count"] for entry in server.client().acl_log()}
    assert refused == {"quota.info": 1, "rl.policy|get": 1}


def test_several_limits_are_several_items(server):
    """A whole application, one path, and a view that takes its verdict: the fields of all of them."""
    app, quota = fastapi.FastAPI(), async_quota(server)
    fastapi_quota.install(app, quota, RateLimit("100 1m", name="app"), legacy=True)
    of_path = fastapi_quota.limited(RateLimit("1 1m", name="path", key=lambda request: "path"))

    @app.get("/both")
    async def both(verdict: Annotated[Verdict, fastapi.Depends(of_path)]):
        return {"left": verdict.remaining}

    with serving_asgi(app) as url, httpx.Client(base_url=url) as client:
        ok = client.get("/both")
        assert ok.json() == {"left": 0}
        assert [name for name, _ in fields(ok, "RateLimit")] == ["app", "path"]
        assert ok.headers.get_list("X-RateLimit-Limit") == ["100", "1"]
        denied = client.get("/both")
        assert denied.status_code == 429
        assert [name for name, _ in fields(denied, "RateLimit")] == ["path", "app"]
        assert denied.json()["violated-policies"] == ["path"]
        assert client.get("/nowhere").status_code == 404
        assert fields(client.get("/nowhere"), "RateLimit")[0][0] == "app"


def test_views_can_be_limited_one_by_one(server):
    limit = RateLimit("1 1m", key=lambda request: "view")
    app = flask.Flask("of_views")
    app.get("/one")(flask_quota.limited(sync_quota(server), limit)(lambda: "one"))
    client = app.test_client()
    assert [client.get("/one").status_code for _ in range(2)] == [200, 429]
    view = django_quota.limited(sync_quota(server), RateLimit("1 1m", key=lambda request: "other"))(hello)
    request = django_quota.HttpRequest()
    answers = [view(request) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert json.loads(answers[1].content)["status"] == 429


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_server(server, kind):
    limit = Consumption("calls", account=lambda request: "acme")
    server.stop()
    with served(kind, server, limit) as client:
        closed = client.get("/hello")
        assert (closed.status_code, closed.headers["Retry-After"]) == (503, "1")
        assert closed.json()["code"] == "UNAVAILABLE"
    with served(kind, server, limit, on_error="open") as client:
        opened = client.get("/hello")
        assert (opened.status_code, "RateLimit" in opened.headers) == (200, False)


def test_functions_are_limited_by_a_decorator(server):
    @limited(sync_quota(server), "2 1m", key=lambda user: f"user:{user}")
    def greet(user):
        return f"hello {user}"

    assert [greet("joe"), greet("joe"), greet("ann")] == ["hello joe", "hello joe", "hello ann"]
    with pytest.raises(Denied, match="greet is limited") as caught:
        greet("joe")
    assert 29_000 < caught.value.verdict.wait_ms <= 30_000
    with pytest.raises(TypeError, match="AsyncQuota"):
        limited(async_quota(server), "2 1m", key="k")(lambda: None)
    with pytest.raises(BadCommand):
        limited(sync_quota(server), "2 1M", key="k")(lambda: None)()


# ---- under load, with the server killed and brought back ------------------------------------------------------------

CLIENTS, CALLS, ACCOUNTS = 6, 50, 3


def load(url, call):
    """CLIENTS threads send CALLS requests each; -> what `call(client, account)` answered."""
    answers, underway = [], threading.Event()

    def work(number):
        with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
            for _ in range(CALLS):
                account = f"account:{number % ACCOUNTS}"
                answers.append((account, call(client, account)))
                if len(answers) > CLIENTS * CALLS // 4:
                    underway.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    return answers, underway, threads


def open_accounts(server, limit):
    quota = sync_quota(server)
    quota.set_plan("pro", "calls", f"LIMIT {limit} month")
    for number in range(ACCOUNTS):
        quota.open(f"account:{number}", "pro")
    return quota


def kill_and_bring_back(server, underway, threads, away_s):
    assert underway.wait(PATIENCE_S)
    server.kill()
    time.sleep(away_s)
    server.start_at(server.port)
    for thread in threads:
        thread.join()


def used_of(quota):
    return {f"account:{number}": quota.info(f"account:{number}", "calls")["rules"][0]["used"]
            for number in range(ACCOUNTS)}


def test_fastapi_closed_no_unit_is_lost_or_charged_twice(server):
    """Clients repeat a 503 under the same Idempotency-Key until they are answered; the limit refuses the last ones."""
    limit_of_account = CLIENTS * CALLS // ACCOUNTS - 10
    quota = open_accounts(server, limit_of_account)
    limit = Consumption("calls", account=lambda request: header(request, "X-Account"),
                        id=lambda request: header(request, "Idempotency-Key"))
    statuses = []

    def call(client, account):
        named = {"X-Account": account, "Idempotency-Key": str(uuid.uuid4())}
        while (status := client.get("/hello", headers=named).status_code) == 503:
            statuses.append(status)
            time.sleep(0.02)
        return status

    with serving_asgi(fastapi_app(async_quota(server), limit)) as url:
        answers, underway, threads = load(url, call)
        kill_and_bring_back(server, underway, threads, away_s=1.0)
    assert statuses  # the outage was seen
    assert {status for _, status in answers} == {200, 429}
    admitted = {account: sum(status == 200 for name, status in answers if name == account)
                for account in used_of(quota)}
    assert used_of(quota) == admitted == dict.fromkeys(admitted, limit_of_account)


def test_django_open_no_unit_is_lost_or_charged_twice(server):
    """Nothing is refused while the server is away; what was admitted is posted when it is back."""
    quota = open_accounts(server, 1_000_000)
    serving = sync_quota(server, on_error="open")
    limit = Consumption("calls", account=lambda request: header(request, "X-Account"), amount=2)

    def call(client, account):
        response = client.get("/hello", headers={"X-Account": account})
        return response.status_code, "RateLimit" in response.headers

    with serving_wsgi(django_app(serving, limit)) as url:
        answers, underway, threads = load(url, call)
        kill_and_bring_back(server, underway, threads, away_s=0.5)
    assert serving.flush() == 0
    assert {answer for _, answer in answers} == {(200, True), (200, False)}  # by the server, and without it
    assert used_of(quota) == dict.fromkeys(used_of(quota), 2 * CALLS * CLIENTS // ACCOUNTS)

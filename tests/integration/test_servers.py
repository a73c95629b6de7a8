"""The harness itself: a port that another program has, a server that ends by itself, a replica in its place."""

import socket

import servers
from conftest import NOON, Quota, replace_ended
from servers import Server, caught_up, free_port


def test_a_port_that_is_taken_is_given_up_for_another_one(monkeypatch):
    """The other program came between the look at the port and the server's bind."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken, free = stranger.getsockname()[1], free_port()
        monkeypatch.setattr(servers, "free_port", iter([taken, taken, free]).__next__)
        server = Server().start()
        try:
            assert server.port == free
            assert Quota(server.client())("PING") in (b"PONG", True)
        finally:
            server.close()


def test_what_answers_on_the_port_of_another_server_is_not_ours(monkeypatch):
    other = Server().start()
    try:
        free = free_port()
        monkeypatch.setattr(servers, "free_port", iter([other.port, free]).__next__)
        server = Server().start()
        assert server.port == free and not server.ended_by_itself()
        server.close()
    finally:
        other.close()


def test_a_server_that_ends_by_itself_is_named_and_replaced():
    """Empty, on the same port; a replica follows its primary again."""
    primary, replica = Server(appendonly="yes").start(), Server(appendonly="yes").start()
    try:
        replica.follow(primary)
        port = replica.port
        replica.process.kill()
        replica.process.wait()
        said = replace_ended()
        assert len(said) == 1 and f"the server on port {port} ended with -9" in said[0]
        assert replace_ended() == [] and replica.port == port
        Quota(primary.client())("QUOTA.CLOCK FREEZE", NOON)
        Quota(primary.client())("RL.ALLOW k 10 1s")
        caught_up(primary, replica)
        assert replica.digest() == primary.digest()
        primary.process.kill()
        primary.process.wait()
        assert len(replace_ended()) == 1 and primary.client().dbsize() == 0
    finally:
        replica.close()
        primary.close()


def test_a_server_that_never_came_up_or_was_ended_on_purpose_is_left_alone():
    ended, stopped = Server().start(), Server().start()
    ended.kill()
    stopped.stop()
    never = Server(module_options=("no", "such"))
    try:
        never.start()
    except RuntimeError as error:
        assert "server ended with 1" in str(error)
    assert replace_ended() == []
    for server in (ended, stopped, never):
        server.close()

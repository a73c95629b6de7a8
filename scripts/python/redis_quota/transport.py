"""How one command reaches the server by redis-py, once, and whether it can have arrived.

    pool.get_connection() fails ──▶ NotSent      nothing has left this process
    send or read fails          ──▶ NoReply      the server may have executed it
    an error reply              ──▶ our class    it was not executed

Routing, redirections and connections are redis-py's. Its repeats are switched off (client.set_retry): it repeats
requests that were sent, also those that a second execution would charge twice. Which may be repeated is known above.
"""

import inspect
from typing import Any

import redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from .errors import NOT_READY, code_of, typed
from .steps import NoReply, NotSent, Send

MARGIN_S = 1.0  # a reply that the server holds back for d comes within d and this


def failure_of(error: Exception, sent: bool) -> Exception:
    """What redis-py raised, as what it means: an error reply, or whether the command can have been executed."""
    if code_of(error)[0] in NOT_READY:
        return NotSent(str(error))
    if isinstance(error, redis.AuthenticationError | redis.ResponseError):
        return typed(error)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | RedisClusterException | OSError):
        return (NoReply if sent else NotSent)(str(error) or type(error).__name__)
    return error


def was_refused(error: Exception) -> bool:
    """A cluster client's command found no connection. Where it also failed to look for other nodes, that hides what
    came before: then it counts as sent."""
    return "connecting to" in str(error) and not isinstance(error, RedisClusterException)


def is_cluster(client: Any) -> bool:
    """A client that finds the node of a key by itself."""
    return hasattr(client, "get_node_from_key")


def name_for(client: Any) -> tuple[str, ...]:
    """What get_connection takes: before redis-py 5.3 the name of a command, which it does not use."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return ()
    name = inspect.signature(pool.get_connection).parameters.get("command_name")
    return ("QUOTA",) if name and name.default is name.empty else ()


class Routing:
    """Which nodes of a cluster take a command."""

    client: Any

    def nodes(self, send: Send) -> list[Any]:
        """One node, or with "all" every primary."""
        if send.node == "all":
            return list(self.client.get_primaries())
        if send.node or not send.key:
            return [send.node or self.client.get_primaries()[0]]
        return [self.client.get_node_from_key(send.key)]


class SyncTransport(Routing):
    """One attempt through redis.Redis, redis.RedisCluster or another client that has execute_command."""

    def __init__(self, client: Any) -> None:
        self.client, self.is_cluster = client, is_cluster(client)
        self.of_pool = name_for(client)
        if hasattr(client, "set_retry"):
            client.set_retry(Retry(NoBackoff(), 0))

    def __call__(self, send: Send) -> Any:
        if self.is_cluster or not hasattr(self.client, "connection_pool"):
            return self.routed(send)
        return self.alone(send) if send.wait_s else self.pooled(send)

    def pooled(self, send: Send) -> Any:
        """By a connection of the client's pool."""
        pool, sent = self.client.connection_pool, False
        try:
            connection = pool.get_connection(*self.of_pool)
            try:
                sent = True
                connection.send_command(*send.words)
                return connection.read_response()
            except BaseException as error:
                if not isinstance(error, redis.ResponseError):
                    connection.disconnect()  # a late reply must not be the next command's
                raise
            finally:
                pool.release(connection)
        except Exception as error:
            raise failure_of(error, sent) from error

    def alone(self, send: Send) -> Any:
        """By a connection that is opened for it, since it answers nothing else meanwhile."""
        pool, sent = self.client.connection_pool, False
        connection = pool.connection_class(**{**pool.connection_kwargs, "socket_timeout": send.wait_s + MARGIN_S})
        try:
            connection.connect()
            sent = True
            connection.send_command(*send.words)
            return connection.read_response()
        except Exception as error:
            raise failure_of(error, sent) from error
        finally:
            connection.disconnect()

    def routed(self, send: Send) -> Any:
        """By the client's own routing; a named node keeps a cluster client from repeating."""
        try:
            nodes = self.nodes(send) if self.is_cluster else []
        except Exception as error:
            raise failure_of(error, False) from error
        try:
            if not self.is_cluster:
                return self.client.execute_command(*send.words)
            replies = [self.client.execute_command(*send.words, target_nodes=node) for node in nodes]
            return replies if send.node == "all" else replies[0]
        except Exception as error:
            raise failure_of(error, not was_refused(error)) from error


class AsyncTransport(Routing):
    """The same through redis.asyncio."""

    def __init__(self, client: Any) -> None:
        self.client, self.is_cluster = client, is_cluster(client)
        self.of_pool = name_for(client)
        if hasattr(client, "set_retry"):
            client.set_retry(AsyncRetry(NoBackoff(), 0))

    async def __call__(self, send: Send) -> Any:
        if self.is_cluster or not hasattr(self.client, "connection_pool"):
            return await self.routed(send)
        return await (self.alone(send) if send.wait_s else self.pooled(send))

    async def pooled(self, send: Send) -> Any:
        """By a connection of the client's pool."""
        pool, sent = self.client.connection_pool, False
        try:
            connection = await pool.get_connection(*self.of_pool)
            try:
                sent = True
                await connection.send_command(*send.words)
                return await connection.read_response()
            except BaseException as error:
                if not isinstance(error, redis.ResponseError):
                    await connection.disconnect(nowait=True)  # a late reply must not be the next command's
                raise
            finally:
                await pool.release(connection)
        except Exception as error:
            raise failure_of(error, sent) from error

    async def alone(self, send: Send) -> Any:
        """By a connection that is opened for it, since it answers nothing else meanwhile."""
        pool, sent = self.client.connection_pool, False
        connection = pool.connection_class(**{**pool.connection_kwargs, "socket_timeout": send.wait_s + MARGIN_S})
        try:
            await connection.connect()
            sent = True
            await connection.send_command(*send.words)
            return await connection.read_response()
        except Exception as error:
            raise failure_of(error, sent) from error
        finally:
            await connection.disconnect(nowait=True)

    async def routed(self, send: Send) -> Any:
        """By the client's own routing; a named node keeps a cluster client from repeating."""
        try:
            if self.is_cluster:
                await self.client.initialize()
            nodes = self.nodes(send) if self.is_cluster else []
        except Exception as error:
            raise failure_of(error, False) from error
        try:
            if not self.is_cluster:
                return await self.client.execute_command(*send.words)
            replies = [await self.client.execute_command(*send.words, target_nodes=node) for node in nodes]
            return replies if send.node == "all" else replies[0]
        except Exception as error:
            raise failure_of(error, not was_refused(error)) from error

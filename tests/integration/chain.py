"""Three servers in a row, each with an AOF: what tests of failovers and of replication share.

    clients ─▶ first ─▶ second ─▶ leaf        hand_over: second and first change places
"""

from servers import Server, wait_until, writes_no_file

DAY_MS = 86_400_000
KEPT = {"quota.id-ttl-ms": str(400 * DAY_MS)}


class Chain:
    """first ─▶ second ─▶ leaf; `primary` is where clients are to go."""

    def __init__(self):
        self.servers = [Server(appendonly="yes", **KEPT) for _ in range(3)]
        self.first, self.second, self.leaf = self.servers
        self.primary = self.first

    def __enter__(self):
        try:
            for server in self.servers:
                server.start()
            self.second.follow(self.first)
            self.leaf.follow(self.second)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.close()

    def freeze(self, server, instant_ms):
        server.client().execute_command("QUOTA.CLOCK", "FREEZE", instant_ms)

    def hand_over(self, how):
        """The other one of first and second becomes the primary, and the former one its replica."""
        old, new = self.primary, self.first if self.primary is self.second else self.second
        if how == "FAILOVER":
            old.client().execute_command("FAILOVER", "TO", "127.0.0.1", new.port)
            wait_until(lambda: old.client().info("replication")["role"] == "slave", "no failover")
        else:
            new.client().replicaof("NO", "ONE")
            self.primary = new
            old.client().replicaof("127.0.0.1", new.port)
        self.primary = new
        wait_until(lambda: old.client().info("replication").get("master_link_status") == "up", "does not follow")

    def assert_equal(self):
        """All three hold the same, and so does the leaf after reading its AOF."""
        for replica in (server for server in self.servers if server is not self.primary):
            wait_until(lambda: replica.digest() == self.primary.digest(), "a replica differs")
            wait_until(lambda: writes_no_file(replica), "a replica rewrites its AOF for ever")
            replica.client().execute_command("DEBUG LOADAOF")
            assert replica.digest() == self.primary.digest(), "a replica differs after reading its AOF"

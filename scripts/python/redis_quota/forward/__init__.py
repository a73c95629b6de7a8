"""The forwarder: events of the module's log to where people are, at least once.

    QUOTA.EVENTS of each primary ──▶ reader ──▶ sink ──▶ webhook, CloudEvents, Slack, a file, a Redis stream
                                       │          └─ what failed ──▶ retry set ──▶ … ──▶ dead letters
                                       └─ its position, in Redis, moves after that

    config     the file of sinks                      store    positions, retry set, dead letters, lease: keys in Redis
    delivery   an event on its way, and its outcome   worker   one sink: readers, retries, refusals
    schedule   when a failed event is sent again      sweep    QUOTA.SETTLE of all accounts, so that ends are known
    metrics    what the forwarder counts of itself    refused  refusals as events
    stored     the sinks as config apply keeps them
    shards     names of logs that outlive a failover  run      the program
    guard      which addresses may be connected to    sinks/   one file for each kind

quotactl forward starts it, quotactl sinks shows and repairs it, quotactl audit reads what the file sink has written.
"""

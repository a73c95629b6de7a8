"""quotactl forward: runs the forwarder, which sends events to sinks; ../forward has all of it.

    quotactl forward sinks.yaml --url redis://…       until SIGTERM or Ctrl-C; logs are JSON lines on standard error
"""

from __future__ import annotations

import click

from .base import Session, command


@command()
@click.argument("config", type=click.Path(), required=False)
@click.option("--check", is_flag=True, help="Only read the file: are the sinks, secrets and certificates right?")
@click.option("--once", is_flag=True, help="End when every sink has what the logs hold now, for cron and tests.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), metavar="PORT",
              help="Serve the forwarder's own metrics for Prometheus there; 0 takes a free port. Default: none.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True,
              help="The address to serve them on; :: for all.")
def forward(session: Session, config: str | None, check: bool, once: bool, metrics_port: int | None,
            metrics_host: str) -> None:
    """Sends events to webhooks, files, streams: at least once, until SIGTERM or Ctrl-C.

    CONFIG is a YAML or JSON file with a map 'sinks'; without it the sinks are those that `config apply` has put on the
    servers. Several processes may run: one works for a sink, the others wait.
    """
    from ..forward.config import read_settings
    from ..forward.stored import stored_settings
    settings = read_settings(config) if config else stored_settings(session.fleet)
    if check:
        from ..forward.config import HTTP_KINDS
        from ..forward.sinks.http import trusted
        from ..forward.sinks.webhook import signer
        for sink in settings.sinks:
            if sink.kind in HTTP_KINDS:
                trusted(sink)
            for secret in sink.secrets:
                signer(secret, sink.name)
            session.say(f"{sink.name}: {sink.kind} {', '.join(sink.types)}")
        return
    from ..forward.run import run
    run(settings, session.fleet.urls, once, None if metrics_port is None else (metrics_host, metrics_port))

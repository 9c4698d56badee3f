"""`flowq metrics`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.terminal import echo


@click.command(epilog="Example: flowq metrics | grep flowq_queue_jobs")
@url_option
@pass_context
def command(session: CliContext) -> None:
    """Print metrics in the text format of Prometheus.

    What has happened is counted on the server, so everyone who asks sees the same. `flowq serve` and `flowq ui` answer with the same at /metrics, and with
    what they have done themselves.
    """
    from flowq.telemetry.metrics.exposition import exposition
    from flowq.telemetry.metrics.stored import stored_samples

    echo(exposition(stored_samples(session.store()), own=False), nl=False)

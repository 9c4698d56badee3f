"""Telemetry: what observers outside see. It reads what is stored; workers execute nothing for it.

    metrics   numbers about everything, for scrapers
    spans     a run as spans, from its plan and its events
    endpoint  where the collector is
    export    spans to a collector, by OTLP
    follow    the traces of all runs, as they end

The ids of traces and spans are hashes (`flowq.ids`), so a job knows those of its own execution before they are sent: its code can make
spans below it (`TRACEPARENT`), and what is sent twice is the same.
"""

"""What was measured of telemetry as text: a line for each case."""

from typing import Any

from bench.report import machine_lines

FORMS = {
    "messages_per_s": "{:,.0f} messages/s",
    "firehose_per_s": "firehose {:,.0f} messages/s",
    "requests_per_s": "{:,.0f} requests/s",
    "p50_ms": "p50 {:,.1f} ms",
    "p99_ms": "p99 {:,.1f} ms",
    "stored": "all {:,} stored",
    "took_s": "in {:.1f} s",
    "sent_s": "sent in {:.1f} s",
    "held_s": "held up {:.1f} s",
    "late_s": "at most {:.1f} s late",
    "late_ms": "sent {:.0f} ms late at most",
    "closed_s": "goodbyes answered after {:.2f} s",
    "stored_after_close_s": "stored {:.2f} s later",
    "new_sockets": "{} new sockets meanwhile",
    "caught_up_s": "caught up in {:.1f} s",
    "stored_p50_ms": "stored_at p50 {:.0f} ms",
    "stored_p99_ms": "p99 {:.0f} ms",
    "stored_max_ms": "max {:.0f} ms",
    "seen_p50_ms": "visible p50 {:.0f} ms",
    "seen_p99_ms": "p99 {:.0f} ms",
    "seen_max_ms": "max {:.0f} ms",
    "opened_s": "opened in {:.1f} s",
    "open": "{:,} open",
    "kib_per_socket": "{:.1f} KiB each",
    "kib_per_fresh_socket": "{:.1f} KiB each at first",
    "pings": "{} pings answered on each",
    "peak_mib": "RSS peak {}",
    "end_mib": "end {} MiB",
    "gateway_us": "gateway {:,.1f} µs",
    "postgres_us": "Postgres {:,.1f} µs",
    "client_us": "client {:,.2f} µs",
    "other_cores": "{:.2f} other cores",
}
NAME_WIDTH = 46


def table(rows: list[dict[str, Any]], where: dict[str, Any] | None = None) -> str:
    """Cases, and where they were measured."""
    lines = [f"{row['name']:<{NAME_WIDTH}}{_facts(row)}" for row in rows]
    return "\n".join([*lines, *(["", *machine_lines(where)] if where else [])])


def _facts(row: dict[str, Any]) -> str:
    if row["problem"]:
        return f"FAILED: {row['problem']}"
    facts = row["facts"]
    return ", ".join(form.format(_shown(facts[name])) for name, form in FORMS.items() if name in facts)


def _shown(value: Any) -> Any:
    return " + ".join(f"{mib:.0f}" for mib in value) if isinstance(value, list) else value

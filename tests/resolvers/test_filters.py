"""A filter, compared with what the database makes of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers import listing
from resolvers.filters import StatFilter, Window
from tests.harness import Running

BASE = datetime.now(UTC).replace(microsecond=0)

texts = st.sampled_from(["0xa", "0xB", "0xc"])
floats = st.sampled_from([0.0, 0.5, 1.0])
names = st.none() | st.lists(texts, max_size=2).map(tuple)
times = st.none() | st.integers(0, 3).map(lambda seconds: BASE + timedelta(seconds=seconds))
filters = st.builds(
    StatFilter,
    window=st.builds(Window, since=times, until=times),
    job_type=st.sampled_from([None, "ai", "transcoding"]),
    orchestrators=names,
    regions=st.none() | st.lists(st.sampled_from(["fra", "LAX", "none"]), max_size=2).map(tuple),
    pipelines=st.none() | st.lists(st.sampled_from(["p", "q"]), max_size=2).map(tuple),
    models=st.none() | st.lists(st.sampled_from(["m", "n"]), max_size=2).map(tuple),
    min_success_rate=st.none() | floats,
    max_success_rate=st.none() | floats,
    min_round_trip_time=st.none() | floats,
    max_round_trip_time=st.none() | floats,
    error_codes=st.none() | st.lists(st.sampled_from(["Timeout", "Busy"]), max_size=2).map(tuple),
    model_is_warm=st.sampled_from([None, True, False]),
    is_withdrawn=st.sampled_from([None, True, False]),
)


async def test_a_filter_matches_the_same_rows_here_as_in_the_database(
    running: Running, connection: asyncpg.Connection
) -> None:
    for index in range(40):
        ai = {"pipeline": "pq"[index // 2 % 2], "model": "mn"[index // 4 % 2]} if index % 3 else {}
        errors = [[], [{"error_code": "Timeout"}], [{"error_code": "Busy"}, {"error_code": "Other"}], None][index % 4]
        posted = {"region": ("FRA", "LAX")[index % 2], "orchestrator": ("0xa", "0xb", "0xc")[index % 3], **ai}
        rates = {"success_rate": index % 3 / 2, "round_trip_time": index % 5 / 2, "errors": errors}
        answer = await running.post_stat(**posted, **rates, model_is_warm=[True, False, None][index % 3])
        assert answer.status_code == 200, answer.text
    await connection.execute("UPDATE podium.results SET withdrawal_id = 1 WHERE id % 4 = 0")
    await connection.execute("UPDATE podium.results SET recorded_at = $1::timestamptz + id % 5 * interval '1 s'", BASE)
    everything = await listing.all_results(running.gateway.db.read, StatFilter(is_withdrawn=None))
    assert len(everything) == 40
    loop = asyncio.get_running_loop()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(wanted=filters)
    def compare(wanted: StatFilter) -> None:
        asked = asyncio.run_coroutine_threadsafe(listing.all_results(running.gateway.db.read, wanted), loop)
        assert {row.id for row in asked.result(10)} == {row.id for row in everything if wanted.matches()(row)}

    await asyncio.to_thread(compare)

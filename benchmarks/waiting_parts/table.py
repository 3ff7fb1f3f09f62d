"""The figures as a table with the goals, and as that of the README."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

MEGA = 2**20


@dataclass
class Row:
    """A line of the table; `met` is None where there is no goal."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        """Return what is printed."""
        met = "" if self.met is None else "  met" if self.met else "  MISSED"
        return f"{self.what} | {self.value} | {self.goal}{met}"


def rows(figures: dict[str, Any]) -> list[Row]:
    """Return the table with the goals."""
    most = max(figures["steady"])
    one = _Summary(figures)
    burst = figures["burst"]
    lost = burst["runs"] - burst["succeeded"]
    return [
        Row("requests per interval, whatever N", f"{one.requests:.2f}", "at most 2", one.requests <= 2),
        Row("  requests a second for the stages in the logs", f"{figures['stages']['requests_per_second']:.1f}"),
        Row("connections of the whole run", f"{one.connections}", "at most 8", one.connections <= 8),
        Row("tokens of the whole run", f"{one.tokens}", "1", one.tokens == 1),
        Row(
            "CPU per task and interval, N = 1000, of dbt-cloud's",
            f"1/{one.of_dbt:.0f}",
            "at most 1/50",
            one.of_dbt >= 50,
        ),
        Row("the same, of a bare loop's", f"{one.of_bare:.2f} times", "at most 3", one.of_bare <= 3),
        *(_hold(most, when, figures["holds"][name]) for when, name in _WHEN.items()),
        *_collections(most, figures),
        Row(f"memory above {most} idle triggers", f"{one.memory:.0f} MB", "at most 30", one.memory <= 30),
        *_ends("spread", figures["ends"]["spread"]),
        *_ends(f"{figures['ends']['ended_at_once']} at once", figures["ends"]["at_once"]),
        Row("tasks with a workflow of their own", f"{figures['many_workflows']['tasks']}"),
        Row("  requests per interval", f"{figures['many_workflows']['requests_per_interval']:.0f}"),
        Row("  CPU per task and interval", f"{figures['many_workflows']['cpu_per_task'] * 1e6:.0f} us"),
        Row("burst: runs started twice, lost", f"{burst['twice']}, {lost}", "0, 0", burst["twice"] == lost == 0),
        Row("  submissions turned away", f"{burst['turned_away']}", "at least 1", burst["turned_away"] >= 1),
        Row(f"  seconds of {burst['runs']} runs", f"{burst['seconds']:.0f}"),
        *_servers(figures["servers"]),
        *_shared(figures),
        *_crossing(figures["crossing"]),
    ]


_WHEN = {"while nothing happens": "steady", "while 1000 end": "ends", "while all begin": "begin"}


class _Summary:
    """What is told in more than one place."""

    def __init__(self, figures: dict[str, Any]) -> None:
        steady, most = figures["steady"], max(figures["steady"])
        runs = [*steady.values(), figures["ends"]]
        self.requests = max(one["requests_per_interval"] for one in steady.values())
        self.connections = max(one["connections"] for one in runs)
        self.tokens = max(one["tokens"] for one in runs)
        cpu = steady[1000]["cpu_per_task"]
        self.cpu = cpu * 1e6
        self.cpu_of_dbt = figures["dbt_cloud"][1000]["cpu_per_task"] * 1000
        self.of_dbt = figures["dbt_cloud"][1000]["cpu_per_task"] / cpu
        self.of_bare = cpu / figures["bare"][1000]["cpu_per_task"]
        self.memory = (steady[most]["memory"] - figures["idle"]["memory"]) / MEGA


def _hold(most: int, when: str, found: dict[str, float]) -> Row:
    # Where another process has the core, that is no hold of ours; a call that blocks shows in every window.
    met = found["usual"] < 0.05 and found["own"] < 0.05
    value = f"{found['usual'] * 1000:.0f} ms, at work at most {found['own'] * 1000:.0f} ms"
    worst = f"; {found['longest'] * 1000:.0f} ms where others had the core"
    return Row(f"hold of the event loop, N = {most}, {when}", value + worst, "below 50 ms", met)


def _collections(most: int, figures: dict[str, Any]) -> list[Row]:
    idle = figures["idle"]["begin"]["collection"]
    return [
        Row(
            f"  Python's garbage collector {when}",
            f"{figures['holds'][name]['collection'] * 1000:.0f} ms"
            + (f" ({idle * 1000:.0f} ms while {most} idle triggers begin)" if name == "begin" else ""),
        )
        for when, name in _WHEN.items()
    ]


def _ends(how: str, found: dict[str, float]) -> list[Row]:
    mean, longest = found["mean"], found["longest"]
    return [
        Row(f"end to event, {how}, mean", f"{mean:.2f} intervals", "at most 0.6", mean <= 0.6),
        Row(f"end to event, {how}, longest", f"{longest:.2f} intervals", "at most 1.2", longest <= 1.2),
    ]


def _servers(figures: dict[str, dict[int, dict[str, Any]]]) -> list[Row]:
    found = []
    for server, by_number in figures.items():
        for number, one in by_number.items():
            most = int(number) / 100 + 2 if server == "next" else 2
            requests, took = one["requests_per_interval"], one["end_to_event"]
            found += [
                Row(
                    f"server {server}, N = {number}: requests per interval",
                    f"{requests:.1f}",
                    f"at most {most:.0f}",
                    requests <= most,
                ),
                Row("  hold of the event loop", *_short(one)),
                Row("  CPU per task and interval", f"{one['cpu_per_task'] * 1e6:.0f} us"),
                Row("  seconds from one look to the next", f"{one['seconds_per_interval']:.1f}"),
                Row("  seconds from end to event, mean and longest", f"{took['mean']:.1f}, {took['longest']:.1f}"),
            ]
    return found


def _shared(figures: dict[str, Any]) -> list[Row]:
    here, plain, refused = figures["tokens"]["here"], figures["tokens"]["plain"], figures["refused"]
    grows = here["cpu_last"] / here["cpu_first"]
    allowed = 1 + 2 * refused["seconds"] / 60
    return [
        Row(
            f"memory of {here['tokens']} tokens",
            f"{here['memory'] / MEGA:.0f} MB ({plain['memory'] / MEGA:.0f} MB for {plain['tokens']}, each masked)",
            "at most 10",
            here["memory"] <= 10 * MEGA,
        ),
        Row(
            "CPU of a token, the last hundred of the first",
            f"{grows:.2f} times ({plain['cpu_last'] / plain['cpu_first']:.1f} times, each masked)",
            "at most 1.2",
            grows <= 1.2,
        ),
        Row("  CPU of a token, call and ten log lines", f"{here['cpu_last'] * 1000:.1f} ms"),
        Row(
            f"{refused['tasks']} tasks refused for {refused['seconds']:.0f} s: tokens",
            f"{refused['tokens']:.0f}",
            f"at most {allowed:.0f}",
            refused["tokens"] <= allowed,
        ),
        Row("  hold of the event loop", *_short(refused)),
        Row("  CPU above idle triggers", f"{refused['cpu']:.1%}", "at most 5 %", refused["cpu"] <= 0.05),
        Row("  memory", f"{refused['memory'] / MEGA:.0f} MB", "at most 10", refused["memory"] <= 10 * MEGA),
        Row("  seconds until all ends are seen after it healed", f"{refused['healed_after']:.0f}"),
        Row(f"hold while {figures['long_workflow']['stages']} stages are looked at", *_short(figures["long_workflow"])),
    ]


def _short(found: dict[str, float]) -> tuple[str, str, bool]:
    return f"{found['hold'] * 1000:.0f} ms, at work {found['own'] * 1000:.0f} ms", "below 50 ms", found["own"] < 0.05


def _crossing(figures: dict[int, dict[str, float]]) -> list[Row]:
    return [
        Row(f"CPU of one list of {number}, of {number} reads", f"{one['list'] * 1e3:.1f}, {one['reads'] * 1e3:.1f} ms")
        for number, one in figures.items()
    ]


def for_readme(figures: dict[str, Any]) -> str:
    """Return the table of the README, and what is said below it."""
    one, ends, held, burst = _Summary(figures), figures["ends"], figures["holds"], figures["burst"]
    many = figures["many_workflows"]["cpu_per_task"] * 1000
    hold = max(found["usual"] for found in held.values()) * 1000
    lines = [
        ("measured side by side in one run", "here", "dbt-cloud"),
        ("---", "---", "---"),
        ("requests each interval, N tasks waiting on one workflow", f"{one.requests:.0f}, whatever N", "N"),
        ("connections and tokens of a whole run", f"{one.connections} and {one.tokens}", "a connection a request"),
        (
            "CPU of the triggerer for each task and interval, N = 1,000",
            f"{one.cpu:.0f} µs, {one.of_bare:.1f} times a bare loop of one list request that wakes N futures",
            f"{one.cpu_of_dbt:.1f} ms, {one.of_dbt:.0f} times as much",
        ),
        ("longest hold of the event loop, N = 10,000 (lists of 13 MB)", f"{hold:.0f} ms", ""),
        ("memory above 10,000 triggers that do nothing", f"{one.memory:.0f} MB", ""),
        ("from the end of an instance to its event, in intervals of 10 s", _mean_and_longest(ends["spread"]), ""),
        ("the same where 1,000 end at once", _mean_and_longest(ends["at_once"]), ""),
        (
            "1,000 tasks on a workflow each: requests each interval, CPU for each task",
            f"1,000, {many:.1f} ms",
            f"1,000, {one.cpu_of_dbt:.1f} ms",
        ),
        (
            "1,000 runs begun at once at a stack that answers 429 above 100 requests a second",
            f"each started once, none lost, {burst['seconds']:.0f} s; {burst['turned_away']} submissions turned away",
            "",
        ),
    ]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    notes = [
        _of_collections(figures),
        _of_servers(figures["servers"]),
        _of_shared(figures),
        _of_triggerer(figures.get("triggerer")),
        _of_sensors(figures),
    ]
    return "\n\n".join(
        [table, *(textwrap.fill(" ".join(note.split()), 120, break_long_words=False) for note in notes if note)]
    )


def _mean_and_longest(found: dict[str, float]) -> str:
    return f"mean {found['mean']:.2f}, at most {found['longest']:.2f}"


def _of_collections(figures: dict[str, Any]) -> str:
    begin, idle = figures["holds"]["begin"]["collection"], figures["idle"]["begin"]["collection"]
    return f"""
        The hold is that of a usual window, the longest of: while nothing happens, while 1,000 end, while all begin.
        Python's garbage collector comes on top a few times while 10,000 begin, up to {begin * 1000:.0f} ms; with
        triggers that do nothing it is {idle * 1000:.0f} ms.
    """


def _of_servers(figures: dict[str, dict[int, dict[str, Any]]]) -> str:
    told = []
    for number, one in figures["next"].items():
        other, took = figures["2.6"][number], one["end_to_event"]
        told.append(
            f"{int(number):,} tasks: {one['requests_per_interval']:.0f} requests an interval, "
            f"{one['cpu_per_task'] * 1e6:.0f} µs of CPU for each task ({other['cpu_per_task'] * 1e6:.0f} µs with one "
            f"list), loop held for {one['own'] * 1000:.0f} ms at the most, a look every "
            f"{one['seconds_per_interval']:.1f} s instead of {other['seconds_per_interval']:.1f} s, an event "
            f"{took['mean']:.1f} s after its end, {took['longest']:.1f} s at the most"
        )
    return f"On the next server, whose lists come in pages of a hundred: {'; '.join(told)}."


def _of_shared(figures: dict[str, Any]) -> str:
    here, plain, refused = figures["tokens"]["here"], figures["tokens"]["plain"], figures["refused"]
    stages = figures["long_workflow"]
    return f"""
        Nobody harms the others for long. 1,000 tokens, as of six weeks, leave {here["memory"] / MEGA:.0f} MB (where
        each is masked, {plain["tokens"]} leave {plain["memory"] / MEGA:.0f} MB). While a stack refuses the credentials
        of {refused["tasks"]} tasks for {refused["seconds"]:.0f} s, {refused["tokens"]:.0f} tokens are fetched and the
        loop is held for {refused["own"] * 1000:.0f} ms at the most. A look for an event among
        {stages["stages"]:,} stages holds it for {stages["own"] * 1000:.0f} ms. `python benchmarks/soak.py` lets tasks,
        connections, tokens and faults come and go for as long as one likes, and says whether memory, threads, sockets
        and holds stay as they are.
    """


def _of_triggerer(found: dict[str, float] | None) -> str:
    if not found:
        return ""
    blocked = f"{found['blocked']:.0f} times" if found["blocked"] else "never"
    return f"""
        On a real Airflow (`python -m benchmarks.waiting_parts.triggerer`; 2 cores, PostgreSQL), {found["tasks"]:,}
        deferred runs of one mapped task all waited after {found["until_all_wait"]:.0f} s, and were green
        {found["from_ends_to_green"]:.0f} s after their ends, {found["from_start_to_end"]:.0f} s in all: the time of
        {2 * found["tasks"]:,} executions in workers. The triggerer's memory went from
        {found["memory_before"] / MEGA:.0f} to {found["memory"] / MEGA:.0f} MB; it said {blocked} that its event loop
        was blocked.
    """


def _of_sensors(figures: dict[str, Any]) -> str:
    kinds = {
        "sensor_in_workers": "begin and end in workers",
        "sensor": "end in the triggerer",
        "sensor_started": "need no worker",
    }
    found = {words: one for kind, words in kinds.items() if (one := figures.get(f"triggerer_{kind}"))}
    if not found:
        return ""
    told = "; ".join(
        f"{one['tasks']:,} that {words}: {one['executions_in_workers']:,} executions in workers, all wait after "
        f"{one['until_all_wait']:.0f} s, green {one['from_ends_to_green']:.0f} s after their ends"
        for words, one in found.items()
    )
    return f"Sensors there (`--kind`): {told}."

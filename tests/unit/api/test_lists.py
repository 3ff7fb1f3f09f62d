"""A list is whole, or an error: whichever server it is, and however it moves while it is read."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from airflow_provider_orchestration.api import lists
from airflow_provider_orchestration.exceptions import IncompleteListError, ServerTroubleError
from tests.support.scripted_server import Answer, flows_error, html


class Thing(msgspec.Struct):
    id: str


def some(*numbers: int) -> list[dict[str, str]]:
    return [{"id": str(number)} for number in numbers]


def v1(*numbers: int) -> Answer:
    return Answer(200, {"data": some(*numbers)})


def page(*numbers: int, more: str = "", size: int = 100) -> Answer:
    cursor: dict[str, Any] = {"pageSize": size, "hasMore": bool(more), "data": some(*numbers)}
    return Answer(200, {"cursor": cursor | ({"next": more} if more else {})})


def read(client, what: lists.List = lists.WORKFLOWS, **request: Any) -> tuple[list[str], bool]:
    listed = client.lists.read(what, Thing, retries=0, **request)
    return [one.id for one in listed.items], listed.paged


def paths(server) -> list[str]:
    return [request.path for request in server.api_requests]


def test_more_than_a_page_is_all(serve, connect):
    server = serve(v1(*range(101)))
    found, paged = read(connect(server))
    assert (len(found), paged, paths(server)) == (101, False, ["/workflows?pageSize=100"])


def test_none_is_all(serve, connect):
    server = serve(v1())
    assert read(connect(server)) == ([], False)
    assert len(paths(server)) == 1


def test_a_server_that_does_not_look_at_sizes_is_asked_once(serve, connect):
    server = serve(v1(1, 2))
    client = connect(server)
    for _ in range(3):
        assert read(client) == (["1", "2"], False)
    size = "/workflows?pageSize="
    assert paths(server) == [f"{size}100", f"{size}0", f"{size}100", f"{size}100"]


def test_that_is_believed_for_a_while_only(serve, connect, monkeypatch):
    server = serve(v1(1))
    client = connect(server)
    read(client)
    monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + 601)
    read(client)
    assert [path.endswith("pageSize=0") for path in paths(server)] == [False, True, False, True]


def test_a_full_page_proves_nothing_even_of_a_server_that_cut_nothing_before(serve, connect):
    server = serve(v1(1), v1(1), v1(*range(100)), v1(), page(*range(100), more="c"), page(100))
    client = connect(server)
    read(client)
    found, paged = read(client)
    assert (len(found), paged) == (101, True)
    assert paths(server)[-2:] == ["/v2/workflows?pageSize=100", "/v2/workflows?cursor=c"]


def test_what_comes_twice_is_there_once(serve, connect):
    server = serve(v1(*range(100)), v1(), page(*range(100), more="c"), page(99, 100))
    found, _ = read(connect(server))
    assert found == [str(number) for number in range(101)]


def test_the_size_of_its_pages_tells_what_it_gives_at_the_most(serve, connect):
    server = serve(v1(1, 2), v1(), page(1, 2), v1(1, 2, 3))
    client = connect(server)
    assert read(client) == (["1", "2"], True)
    assert read(client) == (["1", "2", "3"], False)
    assert len(paths(server)) == 4


def test_a_smaller_page_than_was_asked_for_may_be_cut(serve, connect):
    server = serve(v1(1, 2), v1(), page(1, 2, more="c", size=2), page(3, size=2), v1(1, 2), v1(), page(1, 2, size=2))
    client = connect(server)
    assert read(client) == (["1", "2", "3"], True)
    assert read(client) == (["1", "2"], True)


def test_what_is_asked_for_is_asked_of_each_version(serve, connect):
    server = serve(v1(1), v1(), page(1, more="c"), page(2))
    read(connect(server), lists.INSTANCES, query={"workflowID": "w", "running": "true"})
    wanted = "workflowID=w&running=true"
    assert paths(server) == [
        f"/instances?{wanted}&pageSize=100",
        f"/instances?{wanted}&pageSize=0",
        f"/v2/instances?{wanted}&pageSize=100",
        "/v2/instances?cursor=c",
    ]


def test_triggers_are_cut_by_every_server(serve, connect):
    server = serve(v1(1), page(1, more="c"), page(2), v1(1))
    client = connect(server)
    assert read(client, lists.TRIGGERS) == (["1", "2"], True)
    assert read(client, lists.TRIGGERS) == (["1"], False)


@pytest.mark.parametrize("answer", [html(404), html(403), html(200), flows_error(405, "X", "no")])
def test_without_pages_a_list_that_may_be_cut_is_an_error(serve, connect, answer):
    server = serve(v1(*range(100)), v1(), answer)
    with pytest.raises(IncompleteListError, match=r"list_workflows: the server gave 100 items or fewer") as caught:
        read(connect(server))
    assert "GET /v2/workflows" in " ".join(caught.value.details)
    assert caught.value.operation == "list_workflows"


def test_a_server_in_trouble_is_no_gateway_without_pages(serve, connect):
    server = serve(v1(1), v1(), Answer(503))
    with pytest.raises(ServerTroubleError):
        read(connect(server))


def test_a_cursor_that_leads_nowhere(serve, connect):
    nowhere = Answer(200, {"cursor": {"pageSize": 100, "hasMore": True, "data": some(1)}})
    server = serve(v1(1), v1(), nowhere)
    with pytest.raises(IncompleteListError, match="says that there is more, and not where"):
        read(connect(server))


def test_pages_end_in_time(serve, connect):
    server = serve(v1(1), v1(), page(1, more="c"), page(2, more="d"))
    with pytest.raises(IncompleteListError, match="could not be read in time"):
        read(connect(server), ends=time.time() - 1)
    assert len(paths(server)) == 3


def surely(client) -> list[str]:
    found = client.lists.read_surely(lists.WORKFLOWS, Thing, concerns=lambda one: one.id != "9", retries=0).items
    return [one.id for one in found]


def test_an_absence_is_believed_where_two_passes_agree(serve, connect):
    # One is missed, then seen; the third pass agrees with the second, but for one that is of no concern.
    passes = (page(1), page(1, 2), page(1, 2, 9))
    server = serve(*(answer for one in passes for answer in (v1(*range(100)), v1(), one)))
    assert surely(connect(server)) == ["1", "2", "9"]


def test_what_any_pass_saw_is_there(serve, connect):
    """The second and third pass agree, and have missed what the first one saw."""
    passes = (page(1, 2), page(1), page(1))
    server = serve(*(answer for one in passes for answer in (v1(*range(100)), v1(), one)))
    assert surely(connect(server)) == ["1", "2"]


def test_a_list_that_never_rests_is_an_error(serve, connect):
    server = serve(*(answer for number in range(5) for answer in (v1(*range(100)), v1(), page(number))))
    with pytest.raises(IncompleteListError, match="another list each of 5 times") as caught:
        surely(connect(server))
    assert [one.id for one in caught.value.items] == ["0", "1", "2", "3", "4"]


def test_a_list_of_another_generation_behind_the_same_address_is_not_taken_for_whole(serve, connect):
    """The next server cuts it, and today's is asked whether it does."""
    server = serve(v1(*range(100)), v1(*range(151)))
    found, paged = read(connect(server))
    assert (len(found), paged) == (151, False)


def test_what_was_read_of_a_list_that_is_cut_is_told_once(serve, connect):
    server = serve(v1(*range(100)), v1(), page(*range(100), more="c"), html(404))
    with pytest.raises(IncompleteListError) as caught:
        read(connect(server))
    assert [one.id for one in caught.value.items] == [str(number) for number in range(100)]


def test_a_page_that_is_the_last_ends_the_list_whatever_it_names(serve, connect):
    last = Answer(200, {"cursor": {"pageSize": 100, "hasMore": False, "next": "c", "data": some(1)}})
    server = serve(v1(*range(100)), v1(), last)
    assert read(connect(server)) == (["1"], True)


def test_cursors_in_a_circle_are_an_error(serve, connect):
    circle = [page(number, more=f"c{number % 2}") for number in range(4)]
    server = serve(v1(*range(100)), v1(), *circle)
    with pytest.raises(IncompleteListError, match="says that there is more, and not where"):
        read(connect(server))
    assert len(paths(server)) == 5


def test_the_size_of_pages_is_believed_for_a_while_only(serve, connect, monkeypatch):
    server = serve(v1(1, 2), v1(), page(1, 2), v1(1, 2, 3), v1(), page(1, 2, 3))
    client = connect(server)
    read(client)
    monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + 601)
    assert read(client) == (["1", "2", "3"], True)


def test_a_whole_list_is_read_once(serve, connect):
    server = serve(v1(*range(101)))
    assert len(surely(connect(server))) == 101
    assert len(paths(server)) == 1


def test_iterators_hold_a_page(serve, connect):
    workflow = {"id": "w", "config": {"name": "n", "stages": []}, "createdAt": "2026-01-01T00:00:00Z"}
    one = {"cursor": {"pageSize": 100, "hasMore": True, "next": "c", "data": [workflow]}}
    server = serve(Answer(200, one), Answer(503))
    found = connect(server).iter_workflows(retries=0)
    assert next(found).id == "w"
    assert len(paths(server)) == 1
    with pytest.raises(ServerTroubleError):
        next(found)

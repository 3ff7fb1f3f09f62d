"""An answer comes to its end: a server that sends a byte now and then is given up in time."""

from __future__ import annotations

import time

import pytest

from airflow_provider_orchestration.exceptions import FlowsApiError, OutcomeUnknownError, ServerTroubleError
from tests.support.scripted_server import Answer

LIST = Answer(200, {"data": []})
LIMITS = (5.0, 0.3)


@pytest.mark.parametrize("how", ["drip", "drip_head"])
def test_a_read_that_drips(serve, connect, how):
    server = serve(Answer(200, {"data": [], "more": "x" * 200}, how=how))
    began = time.monotonic()
    with pytest.raises(FlowsApiError, match=r"the answer was not whole after 0\.6 s"):
        connect(server).list_workflows(retries=0, timeout=LIMITS)
    assert 0.5 < time.monotonic() - began < 2.0


@pytest.mark.parametrize("how", ["drip", "drip_head"])
def test_a_submission_whose_answer_drips_is_unknown(serve, connect, how):
    server = serve(Answer(201, {"data": "x" * 200}, how=how))
    with pytest.raises(OutcomeUnknownError, match="the answer was not whole"):
        connect(server).run_workflow("w", {}, timeout=LIMITS)
    assert len(server.api_requests) == 1


@pytest.mark.parametrize("how", ["drip", "drip_head"])
def test_a_token_that_drips(serve, connect, how):
    server = serve(LIST)
    server.token_answers.append(Answer(200, {"access_token": "x" * 200}, how=how))
    with pytest.raises(ServerTroubleError, match=r"token endpoint .* the answer was not whole"):
        connect(server).list_workflows(retries=0, timeout=LIMITS)


def test_the_connection_is_kept_with_its_whole_time_for_the_next_request(serve, connect):
    server = serve(LIST)
    client = connect(server)
    server.before_answer = lambda _: server.is_ending(0.25)
    for _ in range(3):
        client.list_workflows(timeout=LIMITS)
    assert server.connections == 1

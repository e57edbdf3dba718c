"""Problem details: one table, one shape."""

import json

import pytest

from service.problems import Problem, Refused, problem_answer

MEMBERS = ["type", "title", "status", "detail", "field", "rule", "request_id"]


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_the_same_members(problem: Problem) -> None:
    answer = problem_answer(problem, "r1")
    body = json.loads(answer.body)
    assert list(body) == MEMBERS
    assert (body["status"], answer.status) == (problem.status, problem.status)
    assert answer.content_type == b"application/problem+json"


@pytest.mark.parametrize("problem", [p for p in Problem if p.status in (429, 503)])
def test_what_may_be_sent_again_says_when(problem: Problem) -> None:
    assert int(dict(problem_answer(problem, "r1").headers)[b"retry-after"]) >= 1


def test_types_are_unique() -> None:
    assert len({problem.type for problem in Problem}) == len(Problem)


def test_a_refusal_names_field_and_rule() -> None:
    answer = Refused(Problem.INVALID_SIGNAL, "stop: must be 0 or more.", field="stop", rule="V10").answer("r1")
    body = json.loads(answer.body)
    assert (body["field"], body["rule"], body["detail"]) == ("stop", "V10", "stop: must be 0 or more.")

"""Refusals of the domain as problems: fields are named, values never are."""

from ihala_runtime.problem import FieldError, Problem, field_errors
from pydantic import ValidationError

from ihala_intake.domain.errors import IntakeRefused


def as_problem(refused: IntakeRefused | ValidationError) -> Problem:
    if isinstance(refused, ValidationError):
        return Problem.invalid(field_errors(refused.errors(include_url=False, include_input=False)))
    return Problem.invalid(FieldError(each.pointer, each.code, each.message) for each in refused.errors)

"""The ways in: the command line, Prefect's flows, and what they share."""

from jobs.service.environment import prepare_environment

prepare_environment()

"""Environment variables to set before Prefect and Ray are imported. What a person has set stays as it is.

The package `jobs` calls this as it is imported: whichever way in is taken, the command line, `python -m jobs`, `serve`, or a
flow that a Prefect worker loads, the environment is the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["prepare_environment"]


def prepare_environment() -> None:
    """Quiet libraries, and let flows run without a server and without touching a Prefect set-up of the user's own."""
    own_prefect = "prefect" not in sys.modules  # else a worker's or a person's, which is set up already
    prefect = {
        # A failed task's exception reaches the command line, which prints it as one line.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 are too few beside a machine's own work
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    }
    libraries = {
        "RAY_DEDUP_LOGS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TRANSFORMERS_VERBOSITY": "error",
        "DIFFUSERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    for name, value in (libraries | (prefect if own_prefect else {})).items():
        os.environ.setdefault(name, value)
    # Ray's own client, unlike its other doors, does not look for the token that a cluster may ask for.
    tokens = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if any(name in os.environ for name in tokens) or (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    own_setup = Path.home() / ".prefect" / "profiles.toml"
    if (
        own_prefect
        and "PREFECT_API_URL" not in os.environ
        and "PREFECT_HOME" not in os.environ
        and not own_setup.exists()
    ):
        from faithdiff_model.weights.download import cache_folder

        home = cache_folder() / "prefect"
        home.mkdir(parents=True, exist_ok=True)  # Prefect makes the last folder only
        os.environ["PREFECT_HOME"] = str(home)

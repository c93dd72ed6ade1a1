"""How many documents are made up: 500 unless PODIUM_DOCUMENTS says otherwise."""

import os

import pytest


@pytest.fixture(scope="session")
def document_factor() -> int:
    """How many times 500 documents."""
    return max(int(os.environ.get("PODIUM_DOCUMENTS", "500")) // 500, 1)

"""The README's table of models is the project's own print."""

from pathlib import Path

import pytest

from visiontune.results.model_table import model_table

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.heavy
def test_the_readme_has_what_the_command_prints():
    text = README.read_text()
    table = text.partition("<!-- models -->\n")[2].partition("<!-- /models -->")[0]
    assert table.splitlines() == list(model_table())

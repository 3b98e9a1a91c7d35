"""The README's table of models is the project's own print."""

import pytest
from places import ROOT

from visiontune.results.model_table import model_table

README = ROOT / "README.md"


@pytest.mark.heavy
def test_the_readme_has_what_the_command_prints():
    text = README.read_text()
    table = text.partition("<!-- models -->\n")[2].partition("<!-- /models -->")[0]
    assert table.splitlines() == list(model_table())

"""What `fathom weights` and errors say of every net in the catalog: words that lead on."""

from pathlib import Path

import pytest

from fathom.catalog import ENTRIES
from fathom.core.errors import InputError, UsageError
from fathom.published.record import RECIPES, Licences, none_published
from fathom.published.store import weights_file
from fathom.workflows.weights_known import checked_model, net_modules, weights_of
from fathom.workflows.weights_list import Row, rows_of

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_of_every_net_a_record_or_a_recipe_is_known(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path))
    recorded = {r.model for _, records in net_modules() for r in records}
    for entry in ENTRIES:
        if not entry.converted:
            continue
        net = weights_of(entry.name)
        assert checked_model(entry.name) == net and checked_model(net) == net
        assert (net in recorded) != (net in RECIPES), net
        row = Row("kept", net, "", "ready", None, None, Licences(), "")
        assert rows_of(entry.name, [row]) == [row]
        with pytest.raises(InputError) as caught:
            weights_file(net)
        words = none_published(net) or f"fathom weights list --model {net}"
        assert str(caught.value).count(words) == 1
    assert weights_of("bi3d-quantized") == "bi3d-binary" and weights_of("a-net") == "a-net"
    assert all((EXPERIMENTS / f"{name}.py").is_file() for name in RECIPES.values())


def test_of_a_net_that_is_not_known_close_ones_are_named() -> None:
    with pytest.raises(UsageError, match=r"unknown net with weights 'gwcnet-q'; did you mean gwc"):
        rows_of("gwcnet-q", [])

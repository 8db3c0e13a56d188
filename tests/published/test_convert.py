"""From the authors' tensors to ours: which net they are of, and what differs in one line."""

from collections.abc import Callable
from types import ModuleType

import pytest
import tiny_nets.tiny as module
import torch
from torch import Tensor

from fathom.core.errors import InputError
from fathom.published import convert
from fathom.published.convert import builders, candidates, compared, convert_tensors, fits

ALL = candidates(module, module.WEIGHTS)
TINY = candidates(module, module.WEIGHTS, "tiny")


def official(wide: bool = False) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return module.unconvert(module.tiny(wide=wide).state_dict())


def converted(tensors: dict[str, Tensor], among=None) -> convert.Converted:
    return convert_tensors(tensors, TINY if among is None else among, lambda: ALL, "a.pth")


def refused(tensors: dict[str, Tensor], among=None) -> str:
    with pytest.raises(InputError) as caught:
        converted(tensors, among)
    line = str(caught.value)
    assert line.startswith("a.pth: ") and "\n" not in line
    return line


def test_builders_and_their_choices_are_found() -> None:
    assert builders(module) == {"tiny": "tiny", "tiny-two": "tiny_two"}
    assert [str(c) for c in ALL] == ["tiny", "tiny (wide=True)", "tiny-two"]
    assert [str(c) for c in TINY] == ["tiny", "tiny (wide=True)"]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "model."])
def test_names_go_there_and_back(wide: bool, prefix: str) -> None:
    given = official(wide)
    found = converted({prefix + k: v for k, v in given.items()})
    assert dict(found.candidate.settings) == ({"wide": True} if wide else {})
    assert (found.stripped, found.added) == (prefix, 0)
    assert found.parameters == sum(v.numel() for v in given.values()) - 1
    back = module.unconvert({k: torch.from_numpy(v) for k, v in found.tensors.items()})
    assert set(back) == set(given)
    assert all(torch.equal(back[k], v) for k, v in given.items())


def test_our_own_names_are_taken_as_they_are() -> None:
    given = module.tiny().state_dict()
    found = converted(dict(given))
    assert all(torch.equal(torch.from_numpy(found.tensors[k]), v) for k, v in given.items())


def test_counters_that_old_files_lack_are_added() -> None:
    for given in (official(), dict(module.tiny().state_dict())):
        old = {k: v for k, v in given.items() if "num_batches" not in k}
        found = converted(old)
        assert found.added == 1 and found.tensors["norm.num_batches_tracked"] == 0


def test_half_precision_becomes_the_nets_own() -> None:
    halved = {k: v.half() if v.is_floating_point() else v for k, v in official().items()}
    assert converted(halved).tensors["enter.weight"].dtype == "float32"


def test_another_nets_weights_are_named() -> None:
    line = refused(module.unconvert(module.tiny_two().state_dict()))
    assert "is of another net, tiny-two: for tiny there are 2 of another shape" in line
    assert "decoder.weight 2x4x1x1 for 1x4x1x1" in line and "--model tiny-two" in line


def test_the_variant_is_found_by_itself_and_else_named() -> None:
    line = refused(official(wide=True), TINY[:1])
    assert "is of another net, tiny (wide=True)" in line
    assert "8x3x3x3 for 4x3x3x3" in line and ", ..." in line


def test_what_differs_is_named() -> None:
    given = official()
    del given["encoder.0.bias"]
    given["more"] = torch.ones(1)
    assert "1 missing (encoder.0.bias), 1 unknown (more)" in refused(given)
    assert "for tiny, the nearest, there are" in refused({"x": torch.ones(3)})


def test_values_that_are_not_finite_are_refused() -> None:
    given = official()
    given["decoder.bias"] = torch.tensor([float("nan")])
    assert "decoder.bias: holds values that are not finite" in refused(given)


def changed(**functions: Callable | None) -> ModuleType:
    """The module with other functions."""
    other = ModuleType(module.__name__)
    vars(other).update({**vars(module), **functions})
    return other


def test_a_module_whose_names_are_the_authors_needs_no_renaming() -> None:
    other = changed()
    del other.unconvert
    plain = candidates(other, (), "tiny")
    assert converted(dict(module.tiny().state_dict()), plain).tensors.keys() == set(
        module.tiny().state_dict()
    )


def test_renaming_that_loses_something_is_noticed() -> None:
    def losing(state):
        return {k: v for k, v in module.convert(state).items() if k != "leave.bias"}

    line = refused(official(), candidates(changed(convert=losing), (), "tiny"))
    assert "cannot be renamed for tiny: 1 missing (leave.bias)" in line


def test_what_a_net_says_itself_names_the_file() -> None:
    def refusing(_):
        raise InputError("does not please me", field="encoder")

    line = refused(official(), candidates(changed(convert=refusing), (), "tiny"))
    assert line == "a.pth: encoder: does not please me"


def test_forms_that_were_not_published_have_our_names_only() -> None:
    def unpublished(_):
        raise InputError("is not published")

    only = candidates(changed(unconvert=unpublished), (), "tiny")
    assert [official for official, _ in only[0].wanted] == [False]
    assert "missing" in refused(official(), only)


def test_comparing_is_exact() -> None:
    shapes = {k: tuple(v.shape) for k, v in module.tiny().state_dict().items()}
    fit = compared(shapes, TINY[0])
    assert (fit.wrong, fit.same, fit.absent) == (0, len(shapes), ())
    assert compared({**shapes, "leave.bias": (2,)}, TINY[0]).reshaped == (
        ("leave.bias", (2,), (1,)),
    )
    assert len(fits(official(), ALL)) == 2  # those after the one that fits are not looked at

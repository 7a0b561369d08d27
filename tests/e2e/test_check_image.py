"""check --image: contracts of images that no manifest speaks of."""

from __future__ import annotations

from tests.e2e.project import Site


def test_a_contract_that_an_image_breaks(small: Site) -> None:
    """Every point is tried and told; what no server answers to cannot be kept."""
    said = small.try_("check", "--image", f"{small.store_path}/images:tool", "--contract", "kubeflow")
    assert said.code == 1
    assert said.out.count("BROKEN") == 6
    assert "the container ended" in said.out
    assert "6 of 6 points of the contract are not kept" in said.err


def test_a_manifest_is_not_needed(small: Site) -> None:
    bare = Site(small.store_path, small.store_path)
    said = bare.try_("check", "--image", "./images:tool", "--contract", "kubeflow")
    assert said.out.count("BROKEN") == 6


def test_what_cannot_be_asked(small: Site) -> None:
    layout = f"{small.store_path}/images"
    said = small.try_("check", "--image", f"{layout}:tool")
    assert (said.code, "--contract" in said.err) == (2, True)
    said = small.try_("check", "--image", f"{layout}:tool", "--contract", "contents")
    assert (said.code, "compares an image with its manifest" in said.err) == (1, True)
    said = small.try_("check", "--image", f"{layout}:tool", "--contract", "nonsense")
    assert (said.code, "unknown contract: nonsense" in said.err) == (1, True)
    said = small.try_("check", "--image", f"{layout}:nowhere", "--contract", "kubeflow")
    assert (said.code, "no such image" in said.err) == (1, True)
    said = small.try_("check", "tool", "--image", f"{layout}:tool", "--contract", "kubeflow")
    assert said.code == 2

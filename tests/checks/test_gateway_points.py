"""What the contract of gateways thinks of the kernelspecs that a gateway lists."""

from __future__ import annotations

from builder.checks.gateway import _image, _wrong

DIGEST = "sha256:" + "0" * 64
NAME = "registry.example.com/kernel-py"


def spec(image: str, key: str = "process_proxy") -> dict[str, object]:
    return {"metadata": {key: {"config": {"image_name": image}}}}


def test_the_image_is_found_for_both_readers() -> None:
    for key in ("process_proxy", "kernel_provisioner"):
        assert _image(spec("x", key)) == "x"
    assert _image({"metadata": {}}) == _image({}) == ""


def test_only_the_promised_image_by_a_whole_digest_will_do() -> None:
    promised = {"python": NAME}
    assert not list(_wrong({"python": spec(f"{NAME}@{DIGEST}")}, promised))
    for image in (f"{NAME}:2026.11", f"{NAME}@{DIGEST[:-1]}", f"elsewhere/kernel-py@{DIGEST}", ""):
        (problem,) = _wrong({"python": spec(image)}, promised)
        assert problem.startswith(f"python: expected {NAME}@sha256:…")

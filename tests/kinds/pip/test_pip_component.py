"""What a wheel's METADATA declares about its licence."""

from __future__ import annotations

import pytest

from builder.kinds.pip.component import licence
from builder.licences import Licence

OSI = "Classifier: License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["License-Expression: MIT AND PSF-2.0", "License: whatever"], Licence(expression="MIT AND PSF-2.0")),
        (["License: BSD-3-Clause", OSI + "BSD License"], Licence(expression="BSD-3-Clause")),
        (["License: see LICENSE", OSI + "MIT License"], Licence(expression="MIT")),
        ([OSI + "BSD License"], Licence(names=("BSD License",))),
        (
            [OSI + "Apache Software License", OSI + "MIT License"],
            Licence(names=("Apache Software License", "MIT License")),
        ),
        (["License: Dual License", OSI + "BSD License"], Licence(names=("Dual License", "BSD License"))),
        (["License: UNKNOWN"], Licence()),
        (["License: BSD 3-Clause License", " ", " Copyright"], Licence(names=("BSD 3-Clause License",))),
        (["Classifier: License :: OSI Approved"], Licence()),
        ([], Licence()),
    ],
)
def test_what_is_declared(lines: list[str], wanted: Licence) -> None:
    assert licence("\n".join(["Metadata-Version: 2.1", "Name: x", *lines, "", "License: of the text"])) == wanted

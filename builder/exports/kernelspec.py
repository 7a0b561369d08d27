"""A published kernel image as a `kernel.json`; `kinds/kernelspec/document.py` says what is in it."""

from __future__ import annotations

from builder.exports import Scope, Subject
from builder.kinds import kernelspec
from builder.kinds.kernelspec import document
from builder.kinds.kernelspec.document import Spec

SCOPE = Scope.IMAGE
DIGESTS = True
READERS = kernelspec.READERS


def export(subject: Subject) -> str:
    """The text of kernel.json.

    Raises:
        StackbuildError: the image is no kernel image; it was not pushed.
    """
    language = document.language(subject.manifest, subject.target)
    return document.dumps(
        Spec(
            reader=subject.reader,
            language=language,
            display=document.display(subject.manifest, subject.target),
            reference=subject.references(subject.targets)[subject.target],
            name=document.called(subject.target),
            encrypts=document.encrypts((*subject.pins("pip"), *subject.pins("conda"))),
        )
    )

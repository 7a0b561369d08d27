"""Signatures on images, as cosign, podman, CRI-O, skopeo and policy controllers write and read them.

    keys.py         PEM ─→ a key that signs, a key that verifies
    cosign_key.py   a private key as cosign encrypts it
    payload.py      what is signed: that this digest is what the key's owner means by that name
    search.py       a digest, keys ─→ the key that has signed it, or why none has

Where they lie is `transports/signature_tag.py`. Entries of a cache are signed in another way: `signing.py`.

What is believed: a signature that one of the given keys made, of a payload that names the very digest. As with cosign,
the name in it is not compared: an image keeps its signature when it is copied, and means the same there.
"""

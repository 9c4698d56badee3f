"""Functions of the jobs of `signed.yaml`."""

import base64
import hashlib
import hmac
import os
from pathlib import Path


def sign(file: str) -> dict[str, str]:
    """Return the signature of a file, made with the key in the job's environment."""
    key = os.environ["SIGNING_KEY"].encode()
    return {"signature": hmac.new(key, Path(file).read_bytes(), hashlib.sha256).hexdigest()}


def check(file: str, signature: str) -> bool:
    """Raise an error unless the signature is that of the file."""
    if not hmac.compare_digest(sign(file)["signature"], signature):
        raise ValueError(f"{file} was changed after it was signed")
    print(f"{file} is as it was signed: {signature[:16]}…")
    return True


def careless() -> dict[str, str]:
    """Print the key, and return it."""
    key = os.environ["SIGNING_KEY"]
    print(f"the key is {key}, {base64.b64encode(key.encode()).decode()} in base64")
    return {"key": key}

"""What tests of package managers share."""
import os

import mounted


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def needs_registry(command, **more):
    """A command that fetches packages; without a network the test skips aloud."""
    try:
        return mounted.run(command, **more)
    except AssertionError as problem:
        offline = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "Could not resolve", "failed to download", "spurious network error")
        mounted.need(not any(word in str(problem) for word in offline), f"no registry is reached: {' '.join(command)}")
        raise

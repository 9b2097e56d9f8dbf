"""How soon a new session has its first result: from the start of Python to the end of `infer`.

    python -m benchmarks.first_result

Each session is run twice; in the first, which is not counted, code is compiled and the prior is made, which the second
finds in the cache folder.
"""

import subprocess
import sys
import time

_SESSION = """
from albireo import {sampler}, infer, load_model
from benchmarks.real_stars import read_stars

model = load_model("default")
infer(read_stars(model, {num}), model=model, sampler={sampler}())
"""


def main() -> None:
    """Print the seconds."""
    for sampler, num in (("Importance", 64), ("NUTS", 20)):
        _run(sampler, num)
        print(f"{sampler}, {num} stars: {_run(sampler, num):.1f} s")


def _run(sampler: str, num: int) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", _SESSION.format(sampler=sampler, num=num)], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

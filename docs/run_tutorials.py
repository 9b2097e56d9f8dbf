"""Run tutorials and keep, for the site, what each cell prints (docs/printed) and the pictures it saves (docs/pictures).

`python docs/run_tutorials.py 01 04` runs these two, without numbers all of them; `make pictures` does the latter.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from types import CodeType

import matplotlib as mpl
from hooks import PICTURES, ROOT, TUTORIALS, code_cells, digest, printed_file
from PIL import Image

# Wide enough for the site's column; with 64 colours a picture takes tens of kilobytes.
_MAX_WIDTH, _NUM_COLORS = 1100, 64


def run(path: Path) -> dict[str, str]:
    """Run a tutorial in the working folder; what each cell of code printed, by the digest of the code."""
    namespace = {"__name__": "__main__", "__file__": str(path)}
    return {digest(code): _printed(compile(code, path.name, "exec"), namespace) for code in code_cells(path)}


def _printed(code: CodeType, namespace: dict) -> str:
    """Run code; what it and the processes that it starts write to standard output."""
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        terminal = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            exec(code, namespace)
        finally:
            sys.stdout.flush()
            os.dup2(terminal, 1)
            os.close(terminal)
        file.seek(0)
        return file.read().replace(str(ROOT), "…")


def keep_picture(source: Path, target: Path) -> None:
    """A picture as the site shows it."""
    picture = Image.open(source).convert("RGB")
    picture.thumbnail((_MAX_WIDTH, _MAX_WIDTH), Image.Resampling.LANCZOS)
    picture.quantize(_NUM_COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


def main(numbers: list[str]) -> None:
    """Run the tutorials of these numbers, each in a folder of its own, and keep what the site shows of them."""
    mpl.use("Agg")
    for path in TUTORIALS:
        if numbers and path.stem[:2] not in numbers:
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            printed = run(path)
            for picture in Path(folder).glob("*.png"):
                keep_picture(picture, PICTURES / f"{path.stem[:2]}_{picture.name}")
            os.chdir(path.parent)
        file = printed_file(path)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(printed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.append(str(TUTORIALS[0].parent))
    main(sys.argv[1:])

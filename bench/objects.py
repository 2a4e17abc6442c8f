"""Trees of objects, each under the path that its SHA-1 gives it, as a CernVM-FS stratum holds them."""

import hashlib
import math
import random
from pathlib import Path

REPOSITORY = "bench.test"


class Tree:
    """Objects of the given sizes below `root`; the same seed brings the same objects."""

    def __init__(self, root, sizes, seed=1):
        self.root = Path(root)
        self.paths = []
        self.bytes = 0
        content = random.Random(seed)
        for size in sizes:
            data = content.randbytes(size)
            digest = hashlib.sha1(data).hexdigest()
            path = f"/cvmfs/{REPOSITORY}/data/{digest[:2]}/{digest[2:]}"
            file = self.root / path[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            self.paths.append(path)
            self.bytes += size

    def list(self, file):
        """Writes the paths, one a line, for the load generator."""
        Path(file).write_text("".join(path + "\n" for path in self.paths))
        return file

    def slices(self, folder, number):
        """The same in so many files of equal length."""
        length = len(self.paths) // number
        files = []
        for at in range(number):
            files.append(Path(folder) / f"paths.{at}")
            files[-1].write_text("".join(path + "\n" for path in self.paths[at * length : (at + 1) * length]))
        return files


def log_normal(total, median, sigma, longest, seed=1):
    """Sizes that add up to about `total` bytes, as the objects of a repository are distributed."""
    draw = random.Random(seed)
    sizes = []
    while total > 0:
        size = min(longest, max(1, round(draw.lognormvariate(math.log(median), sigma))))
        sizes.append(size)
        total -= size
    return sizes

"""What stands before every server comes on: objects, a file of their paths, and an origin that has them."""

from contextlib import contextmanager

from load import LOAD_CORE
from objects import Tree
from servers import Origin


@contextmanager
def stage(work, sizes):
    """The tree of the objects, the file of their paths, and the origin, which ends with it."""
    tree = Tree(work / "tree", sizes)
    paths = tree.list(work / "paths")
    with Origin(work / "origin", LOAD_CORE, tree.root) as origin:
        yield tree, paths, origin

"""A search as a Ray job.

    ray job submit --address URL --working-dir . -- python jobs/search.py search_spaces/digits.yaml [KEY=VALUE ...]

Takes what `visiontune search` takes and joins the job's cluster. The study must outlive the job's own folder: name a
shared one with --studies-dir or VISIONTUNE_STUDIES, else it is ~/visiontune-studies on the head node. Run it again to
go on; `visiontune submit` does all this for you.
"""

import importlib.util
import os
import sys
from pathlib import Path

if importlib.util.find_spec("visiontune") is None:  # the cluster has the dependencies, the package comes with the job
    SOURCE = str(Path(__file__).resolve().parents[1] / "platform")
    sys.path.insert(0, SOURCE)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))

from visiontune.cli import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))

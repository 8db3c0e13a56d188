"""Without torch these tests are not even imported; with it, it uses one quiet thread."""

import importlib.util
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]
